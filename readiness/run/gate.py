"""The pytest of `readiness run`: `python -m readiness.run.gate FOLDER`, started by `readiness.run`.

Loads the configuration once and starts pytest with only the plugins that a run needs.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from readiness.lib import bundle
from readiness.model.errors import ReadinessError, UsageError
from readiness.model.secrets import redact
from readiness.model.verdict import ExitCode
from readiness.run.journal import REFUSAL

if TYPE_CHECKING:
    from readiness.config.loading import Loaded
    from readiness.report import EvidenceShown

PLUGINS: Final = ("xdist.plugin", "pytest_benchmark.plugin", "readiness.run.plugin")
DEBUG_PLUGINS: Final = ("pytest_metadata.plugin", "pytest_html.plugin")
_FILE: Final = "request.json"
INI: Final = Path(__file__).resolve().with_name("gate.ini")
"""The settings of that pytest."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a run, passed as a file in the run's folder. Holds no secret."""

    config: str
    reports: str
    suite: list[str]
    select: list[str]
    ignore: list[str]
    allow: list[str]
    confirm: str
    workers: str
    baseline: str
    report_only: bool
    collect_only: bool
    record_only: bool
    debug: bool
    evidence: "EvidenceShown"

    def write(self, folder: Path) -> None:
        """Write it into the run's folder."""
        (folder / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it from the run's folder."""
        return cls(**json.loads((folder / _FILE).read_text(encoding="utf-8")))


HELD: Final = "readiness-held"


class Held:
    """A plugin that holds the loaded configuration."""

    __name__ = HELD  # the name that pytest registers it under

    def __init__(self, loaded: "Loaded") -> None:
        self.loaded = loaded


def main(folder: Path) -> int:
    """Run pytest; returns its exit code."""
    import pytest

    from readiness.config.loading import configured

    request = Request.read(folder)
    try:
        loaded = configured(Path(request.config))
        arguments = _arguments(request, folder, loaded)
    except ReadinessError as error:
        (folder / REFUSAL).write_text(redact(str(error)), encoding="utf-8")
        return ExitCode.NOTHING_JUDGED
    return pytest.main(arguments, plugins=[Held(loaded)])


def _arguments(request: Request, folder: Path, loaded: "Loaded") -> list[str]:
    root = str(bundle.root())
    plugins = PLUGINS + (DEBUG_PLUGINS if request.debug else ())
    arguments = [
        *("-c", str(INI)),
        *("--rootdir", root, "--confcutdir", root),
        *(word for plugin in plugins for word in ("-p", plugin)),
        *("-n", request.workers, "--dist", "loadfile"),
        *("--readiness", "--readiness-folder", str(folder)),
        *("--basetemp", str(folder / "tmp")),  # removed with the run
        *("--readiness-config", str(loaded.path)),
        *("--readiness-reports", request.reports),
    ]
    for name, values in (
        ("suite", request.suite),
        ("select", request.select),
        ("ignore", request.ignore),
        ("allow", request.allow),
        ("confirm", filter(None, [request.confirm])),
        ("baseline", filter(None, [request.baseline])),
    ):
        arguments += [f"--readiness-{name}={value}" for value in values]
    arguments += ["--readiness-report-only"] if request.report_only else []
    arguments += ["--readiness-record-only"] if request.record_only else []
    arguments += ["--readiness-debug"] if request.debug else []
    arguments += [f"--readiness-evidence={request.evidence}"]
    arguments += ["--collect-only", "-q"] if request.collect_only else []
    return [*arguments, str(bundle.suites()), *own_suites(loaded)]


def own_suites(loaded: "Loaded") -> Iterator[str]:
    """The folders with the user's own checks.

    Raises:
        UsageError: one does not exist.
    """
    for name in loaded.config.gate.suites:
        folder = (loaded.path.parent / name).resolve()
        if not folder.exists():
            raise UsageError(
                f"no folder {name!r} beside the file",
                where=f"{loaded.path.name} [gate] suites",
                remedy="write the path relative to the file, or remove it from the list",
            )
        yield str(folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
