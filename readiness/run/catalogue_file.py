"""Reads and writes `suites/catalogue.json`: the declarations of the suites, without importing them.

`make docs` writes it. Each module is listed with the hash of its bytes: the entry of one that was
edited since is ignored, and the module is imported.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from readiness.lib import bundle
from readiness.model.check import CheckSpec

NAME: Final = "catalogue.json"
_FORMAT: Final = 3


@dataclass(frozen=True, slots=True)
class Declared:
    """A check, and where it is declared.

    Attributes:
        module: the file, relative to `suites/`.
        function: the name of the test function.
        spec: what it declares.
    """

    module: str
    function: str
    spec: CheckSpec


@dataclass(frozen=True, slots=True)
class FaultNote:
    """A fault without its code.

    Attributes:
        module: the file, relative to `suites/`.
        name: the name of its function.
        story: what is broken, as one sentence.
        needs: the part of the reference system that a machine may lack; else empty.
        misses: for the id of each check that fails, the judgements that miss; none if the
            check ends as `error`.
    """

    module: str
    name: str
    story: str
    needs: str
    misses: Mapping[str, tuple[str, ...]]

    @property
    def checks(self) -> Collection[str]:
        """The ids of the checks that do not pass."""
        return self.misses.keys()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The content of the file.

    Attributes:
        declared: the checks, by file, then in their order there.
        faults: the faults, sorted by suite.
        hashes: for each module of the suites, relative to `suites/`, the SHA-256 of its bytes.
    """

    declared: tuple[Declared, ...]
    faults: tuple[FaultNote, ...]
    hashes: Mapping[str, str]


def check_files() -> list[Path]:
    """The modules of the shipped suites that declare checks."""
    return sorted(bundle.suites().glob("*/test_*.py"))


def fault_files() -> list[Path]:
    """The modules of the shipped suites that declare faults; a suite may have several."""
    return sorted(bundle.suites().glob("*/faults*.py"))


@cache
def unchanged() -> tuple[Declared, ...]:
    """The checks of unedited modules. Edits made while the process runs are not seen."""
    found = stored()
    same = _unchanged(check_files())
    return tuple(d for d in found.declared if d.module in same) if found else ()


def unchanged_faults() -> tuple[FaultNote, ...]:
    """The faults of unedited modules."""
    found = stored()
    same = _unchanged(fault_files())
    return tuple(note for note in found.faults if note.module in same) if found else ()


def edited(paths: Iterable[Path]) -> list[Path]:
    """The modules whose hash differs from the file."""
    known = list(paths)
    same = _unchanged(known)
    return [path for path in known if path.relative_to(bundle.suites()).as_posix() not in same]


def _unchanged(paths: Iterable[Path]) -> frozenset[str]:
    found = stored()
    now = hashes(paths)
    return frozenset(name for name in now if found and found.hashes.get(name) == now[name])


def stored() -> Catalogue | None:
    """The stored catalogue; None if there is none, or another version wrote it."""
    try:
        raw = json.loads((bundle.suites() / NAME).read_text(encoding="utf-8"))
        return _catalogue(raw) if raw["format"] == _FORMAT else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def render(declared: Iterable[Declared], faults: Iterable[FaultNote]) -> str:
    """The text of the file for these checks and faults, with the hashes of the modules now."""
    checks = [{"module": d.module, "function": d.function} | d.spec.to_dict() for d in declared]
    content = {
        "format": _FORMAT,
        "hashes": hashes([*check_files(), *fault_files()]),
        "checks": checks,
        "faults": [asdict(note) for note in faults],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    """The SHA-256 of each file, by its path relative to `suites/`."""
    root = bundle.suites()
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def _catalogue(raw: Mapping[str, Any]) -> Catalogue:
    return Catalogue(
        declared=tuple(map(_declared, raw["checks"])),
        faults=tuple(
            FaultNote(**note | {"misses": {k: tuple(v) for k, v in note["misses"].items()}})
            for note in raw["faults"]
        ),
        hashes=raw["hashes"],
    )


def _declared(raw: Mapping[str, object]) -> Declared:
    return Declared(str(raw["module"]), str(raw["function"]), CheckSpec.from_dict(raw))
