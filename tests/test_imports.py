"""The rooms: imports run one way (ARCHITECTURE.md), and an area never imports another."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from readiness.lib import bundle

ROOT = bundle.root()
PLACES = ("readiness", "suites", "fixtures")

# room -> the rooms that it may import; `areas` is the area's own package for `suites` and `areas`
MAY = {
    "model": set(),
    "config.base": {"model"},
    "lib": {"model", "config.base"},
    "servers": {"model", "config.base", "lib"},
    "areas": {"model", "config.base", "lib", "servers"},
    "registry": {"model", "config.base", "areas"},
    "config": {"model", "config.base", "lib", "registry"},
    "report": {"model"},
    "run": {"model", "config", "config.base", "lib", "registry", "report"},
    "reference": {"model", "config", "config.base", "lib", "servers", "areas", "run"},
    "prove": {"registry", "model", "config", "config.base", "lib", "run", "report", "reference"},
    "cli": {
        "model", "config", "config.base", "lib", "servers", "registry", "run", "report",
        "reference", "prove",
    },
    "fixtures": {"model", "config", "config.base", "lib", "servers", "areas"},
    "suites": {
        "model", "config", "config.base", "lib", "servers", "areas", "fixtures", "reference",
    },
}  # fmt: skip
# What a room must not touch besides: no pytest where nothing is tested, no network where nothing
# is asked.
FOREIGN = {
    "model": {"pytest", "httpx", "socket", "subprocess"},
    "areas": {"pytest"},
    "lib": {"pytest"},
    "servers": {"pytest"},
    "report": {"pytest", "httpx", "psycopg", "socket", "subprocess"},
    "reference": {"pytest"},
}


def files() -> Iterator[Path]:
    for place in PLACES:
        yield from sorted((ROOT / place).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return f"readiness.{name}" if name.startswith("fixtures") else name


def room(module: str) -> str:
    """The room of a module of ours; empty for the public names and for what is not ours."""
    words = module.split(".")
    if words[0] == "suites":
        return "suites"
    if words[0] != "readiness" or len(words) == 1:
        return ""
    if not (ROOT / "readiness" / words[1]).is_dir():
        return ""
    if module.startswith("readiness.config.base"):
        return "config.base"
    if words[1] == "areas" and (len(words) == 2 or words[2] == "registry"):
        return "registry"
    return words[1]


def area(module: str) -> str:
    words = module.split(".")
    if words[0] == "suites" and len(words) > 1:
        return words[1]
    return words[2] if len(words) > 2 and words[1] == "areas" else ""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        yield from imports_of(node)


def imports_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def arrows() -> list[tuple[str, str]]:
    return [
        (dotted(path), name)
        for path in files()
        if "fixtures" not in path.relative_to(ROOT).parts[1:]  # the link in the package
        for name in imports(path)
    ]


def is_allowed(source: str, target: str) -> bool:
    here, there = room(source), room(target)
    if not here or not there or here == there != "areas":
        return True
    if there == "areas" and here in {"areas", "suites"}:
        return area(source) == area(target)
    return there in MAY[here]


def test_imports_run_one_way() -> None:
    assert sorted({f"{a} -> {b}" for a, b in arrows() if not is_allowed(a, b)}) == []


@pytest.mark.parametrize("place", FOREIGN)
def test_a_room_does_not_touch_what_it_need_not(place: str) -> None:
    wrong = {
        f"{source} -> {target}"
        for source, target in arrows()
        if room(source) == place and target.partition(".")[0] in FOREIGN[place]
    }
    assert wrong == set()


def test_a_suite_needs_the_reference_system_for_types_only() -> None:
    """It stands on all areas: a suite that imports it could not run when one is taken away."""
    wrong = [
        f"{dotted(path)} -> {name}"
        for path in sorted((ROOT / "suites").rglob("*.py"))
        for node in parsed(path).body
        for name in imports_of(node)
        if room(name) == "reference"
    ]
    assert wrong == []


def test_what_a_module_runs_is_its_last_statement() -> None:
    """What is defined after it would not be there yet."""
    early = [
        path.relative_to(ROOT).as_posix()
        for path in files()
        for node in parsed(path).body[:-1]
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test)
    ]
    assert early == []


def test_locust_is_imported_by_its_own_process_alone() -> None:
    """It patches the standard library of whoever imports it."""
    locustfile = "readiness.areas.performance.locustfile"
    found = {source for source, target in arrows() if target.partition(".")[0] == "locust"}
    assert found == {locustfile}
    assert not [source for source, target in arrows() if target == locustfile]
