"""The catalogue: every check there is, and the faults that prove it."""

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from readiness import bundle
from readiness.check import CheckSpec, spec_of
from readiness.errors import UsageError
from readiness.faults import Fault, faults_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A check, and the faults that turn it red."""

    spec: CheckSpec
    faults: tuple[Fault, ...]


def entries(own: Iterable[Path] = ()) -> list[Entry]:
    """All checks, sorted by id.

    Args:
        own: folders with the user's own checks.

    Raises:
        UsageError: a module cannot be imported.
    """
    proofs = faults()
    specs = sorted(_specs([bundle.suites(), *own]), key=lambda spec: spec.id)
    return [
        Entry(spec, tuple(fault for fault in proofs if spec.id in fault.checks)) for spec in specs
    ]


def faults() -> list[Fault]:
    """All faults of the shipped suites, sorted by suite; a suite may have several modules."""
    found: list[Fault] = []
    for path in sorted(bundle.suites().glob("*/faults*.py")):
        found += faults_of(_module(path, f"_readiness_faults_{path.parent.name}_{path.stem}"))
    return found


def files() -> dict[str, Path]:
    """In which file each of the shipped checks lies, by id."""
    return {
        spec.id: path
        for path in sorted(bundle.suites().glob("**/test_*.py"))
        for spec in filter(None, map(spec_of, vars(_suite(path)).values()))
    }


def _specs(folders: Iterable[Path]) -> Iterator[CheckSpec]:
    for folder in folders:
        for path in sorted(folder.glob("**/test_*.py")):
            yield from filter(None, map(spec_of, vars(_suite(path)).values()))


def _suite(path: Path) -> ModuleType:
    return _module(path, f"_readiness_suite_{path.parent.name}_{path.stem}")


def _module(path: Path, name: str) -> ModuleType:
    root = str(bundle.root())
    if root not in sys.path:
        sys.path.insert(0, root)  # as pytest does for the conftest that lies there
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError("is not a Python module", where=str(path))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's own module may fail in any way
        raise UsageError(
            f"cannot be imported: {type(error).__name__}: {error}",
            where=str(path),
            remedy="see the whole error with `python -m pytest --collect-only` on that file",
        ) from error
    return module
