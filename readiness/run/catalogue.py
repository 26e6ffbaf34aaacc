"""The catalogue: every check and the faults that prove it.

Importing all suites takes a second of CPU time. Their declarations are therefore kept in
`suites/catalogue.json` (see `catalogue_file`) and read from there unless a module was edited.
"""

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from readiness.lib import bundle
from readiness.model.check import CheckSpec, spec_of
from readiness.model.errors import UsageError
from readiness.model.fault import Fault, faults_of
from readiness.run import catalogue_file
from readiness.run.catalogue_file import Declared, FaultNote


@dataclass(frozen=True, slots=True)
class Entry:
    """A check and the faults that make it fail."""

    spec: CheckSpec
    faults: tuple[FaultNote, ...]


def entries(own: Iterable[Path] = ()) -> list[Entry]:
    """All checks, sorted by id.

    Args:
        own: folders with the user's own checks.

    Raises:
        UsageError: a module cannot be imported.
    """
    notes = _notes()
    specs = [one.spec for one in _shipped()] + list(_specs(own))
    return [
        Entry(spec, tuple(note for note in notes if spec.id in note.checks))
        for spec in sorted(specs, key=lambda spec: spec.id)
    ]


def modules(paths: Iterable[Path] | None = None) -> Iterator[Declared]:
    """The declarations of the shipped suites, by importing them; in the order of file and line."""
    for path in catalogue_file.check_files() if paths is None else paths:
        for name, value in vars(_suite(path)).items():
            spec = spec_of(value)
            if spec is not None:
                yield Declared(_place(path), name, spec)


def fault_notes(paths: Iterable[Path] | None = None) -> Iterator[FaultNote]:
    """What each shipped fault declares, by importing them."""
    for path in catalogue_file.fault_files() if paths is None else paths:
        for one in _faults(path):
            yield FaultNote(_place(path), one.name, one.story, one.needs, one.judgements)


def faults() -> list[Fault]:
    """All faults of the shipped suites, sorted by suite; a suite may have several modules."""
    return [fault for path in catalogue_file.fault_files() for fault in _faults(path)]


def files() -> dict[str, Path]:
    """The file of each shipped check, by id."""
    return {one.spec.id: bundle.suites() / one.module for one in _shipped()}


def _shipped() -> list[Declared]:
    """The declarations of the shipped suites; only edited modules are imported."""
    known = catalogue_file.unchanged()
    edited = catalogue_file.edited(catalogue_file.check_files())
    return [*known, *modules(edited)]


def _notes() -> list[FaultNote]:
    known = catalogue_file.unchanged_faults()
    return [*known, *fault_notes(catalogue_file.edited(catalogue_file.fault_files()))]


def _faults(path: Path) -> list[Fault]:
    return faults_of(_module(path, f"_readiness_faults_{path.parent.name}_{path.stem}"))


def _place(path: Path) -> str:
    return path.relative_to(bundle.suites()).as_posix()


def _specs(folders: Iterable[Path]) -> Iterator[CheckSpec]:
    for folder in folders:
        for path in sorted(folder.glob("**/test_*.py")):
            yield from filter(None, map(spec_of, vars(_suite(path)).values()))


def _suite(path: Path) -> ModuleType:
    return _module(path, f"_readiness_suite_{path.parent.name}_{path.stem}")


def _importable(folder: Path) -> None:
    """Add the first folder that is not a package to `sys.path`, as pytest does."""
    while (folder / "__init__.py").exists():
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _module(path: Path, name: str) -> ModuleType:
    if not path.is_relative_to(bundle.suites()):
        _importable(path.parent)
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
            remedy="see the whole error: python -m pytest --collect-only FILE",
        ) from error
    return module
