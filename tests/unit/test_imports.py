"""The layers: imports run one way (DESIGN of the project, ARCHITECTURE.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness import bundle

ROOT = bundle.root()

# folder or module -> what of ours it must not import
FORBIDDEN = {
    "readiness/probes": ("pytest", "readiness.plugin", "readiness.check", "readiness.evidence",
                         "readiness.report", "readiness.record", "readiness.reference", "suites",
                         "readiness.fixtures"),
    "readiness/alerting": ("pytest", "readiness.plugin", "readiness.check", "readiness.evidence",
                           "readiness.report", "readiness.record", "readiness.reference",
                           "readiness.probes", "httpx", "subprocess", "socket", "suites",
                           "readiness.fixtures"),
    "readiness/kubernetes": ("pytest", "readiness.plugin", "readiness.check", "readiness.evidence",
                             "readiness.report", "readiness.record", "readiness.reference",
                             "readiness.probes", "readiness.config", "httpx", "subprocess",
                             "socket", "suites", "readiness.fixtures"),
    "readiness/promql": ("pytest", "readiness.plugin", "readiness.check", "readiness.evidence",
                         "readiness.report", "readiness.record", "readiness.reference",
                         "readiness.probes", "readiness.config", "httpx", "subprocess", "socket",
                         "suites", "readiness.fixtures"),
    "readiness/history": ("pytest", "readiness.plugin", "readiness.check", "readiness.evidence",
                          "readiness.report", "readiness.record", "readiness.reference",
                          "readiness.probes", "readiness.config", "psycopg", "suites",
                          "readiness.fixtures"),
    "readiness/config": ("pytest", "readiness.plugin", "readiness.probes", "readiness.report",
                         "readiness.record", "readiness.reference", "suites", "readiness.fixtures"),
    "readiness/report": ("pytest", "readiness.plugin", "readiness.probes", "readiness.config",
                         "readiness.reference", "suites", "readiness.fixtures"),
    "readiness/plugin": ("readiness.reference", "suites", "readiness.fixtures"),
    "readiness/reference": ("pytest", "readiness.plugin", "readiness.report", "suites",
                            "readiness.fixtures"),
    "readiness/verdict.py": ("readiness.report", "readiness.config", "readiness.plugin"),
    "readiness/record.py": ("readiness.report", "readiness.config", "readiness.plugin",
                            "readiness.verdict"),
    "fixtures": ("suites", "readiness.report", "readiness.plugin", "readiness.reference"),
    "suites": ("readiness.plugin", "readiness.report", "readiness.record"),
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", FORBIDDEN)
def test_imports_run_one_way(place: str) -> None:
    found = files(place)
    assert found
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in found
        for name in imports(path)
        if any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN[place])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["readiness", "suites", "fixtures"])
def test_locust_and_the_command_line_are_imported_nowhere(package: str) -> None:
    for path in files(package):
        names = set(imports(path))
        assert not any(name.partition(".")[0] == "locust" for name in names), path
        if path.name != "__main__.py":
            assert not any(name.startswith("readiness.cli") for name in names), path
