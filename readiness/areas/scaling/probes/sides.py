"""Reads the manifests and the live objects of one workload, side by side."""

import glob
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.inventory import Inventory, documents, read
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData

_LARGEST: Final = 16 * 1024 * 1024
_MOST: Final = 1000
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Written:
    """The objects in files.

    Attributes:
        declared: what will be applied.
        live: what a cluster reported: such objects have a `uid`.
    """

    declared: Inventory
    live: Inventory


def written(patterns: list[str], live_max_age_h: float) -> Written:
    """Read all objects of all files that the patterns match.

    Args:
        patterns: of files; `**` goes into folders.
        live_max_age_h: hours; the oldest that a file of live objects may be.

    Raises:
        NoData: a pattern matches no file, or a file is not understood.
        CouldNotMeasure: a file cannot be read, is too large, or too old.
    """
    found = []
    for path in _files(patterns):
        inside = documents(_text(path), str(path))
        if any(_is_live(document.body) for document in inside):
            _refuse_old(path, live_max_age_h)
        found += inside
    objects = read(found).objects
    return Written(
        Inventory(tuple(one for one in objects if not one.metadata.uid)),
        Inventory(tuple(one for one in objects if one.metadata.uid)),
    )


def _files(patterns: list[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in patterns:
        # Path.glob takes no absolute pattern.
        names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        paths = [path for path in map(Path, names) if path.is_file()]
        if not paths:
            raise NoData("the pattern matches no file", where=pattern, remedy="correct `manifests`")
        found |= dict.fromkeys(paths)
    if len(found) > _MOST:
        raise CouldNotMeasure(
            f"{len(found)} files match, and at most {_MOST} are read",
            where=", ".join(patterns),
            remedy="narrow `manifests` to the files of the workload",
        )
    return list(found)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CouldNotMeasure("the file is larger than 16 MiB", where=str(path))
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CouldNotMeasure("the file is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        reason = clean(error.strerror or type(error).__name__)
        raise CouldNotMeasure(f"the file cannot be read: {reason}", where=str(path)) from None


def _is_live(body: object) -> bool:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("uid"))


def _refuse_old(path: Path, most_h: float) -> None:
    hours = (time.time() - path.stat().st_mtime) / _HOUR_S
    if hours > most_h:
        raise CouldNotMeasure(
            f"live objects are {hours:.0f} h old; limit {most_h:g} h (`live_max_age_h`)",
            where=str(path),
            remedy="write it again: kubectl get ... -o json > FILE; or add [scaling.NAME.cluster]",
        )


MANIFESTS: Final = "manifests"
LIVE: Final = "live"


@dataclass(frozen=True, slots=True)
class Sides:
    """A workload as declared, and as it runs.

    Attributes:
        declared: what will be applied; None where no file has it.
        live: what runs; None where it is not known.
    """

    declared: View | None
    live: View | None

    @property
    def known(self) -> list[View]:
        """Those that are known; at least one."""
        return [view for view in (self.declared, self.live) if view is not None]


def sides(scaling: Scaling, live: Inventory | None) -> Sides:
    """Both sides of a workload.

    Args:
        scaling: the workload, and its files.
        live: the objects of the cluster; None where none is declared.

    Raises:
        NoData: neither side has the workload, or one is not understood.
        CouldNotMeasure: a file cannot be read, or is too old.
    """
    namespace = scaling.cluster.namespace if scaling.cluster else ""
    files = written(scaling.manifests, scaling.live_max_age_h) if scaling.manifests else _NONE
    there = files.live if live is None else live
    found = _joined(
        view(files.declared, MANIFESTS, scaling.workload, namespace),
        view(there, LIVE, scaling.workload, namespace),
    )
    missing = found.live is None and live is not None
    if missing or not found.known:
        raise NoData(
            f"{scaling.workload} was not found in {_places(scaling)}",
            where=f"[scaling.{scaling.name}] workload",
            remedy="correct the name; kubectl get deployments,statefulsets -A lists them",
        )
    return found


def _joined(declared: View | None, live: View | None) -> Sides:
    """Manifests get the LimitRange of the live namespace that they go to."""
    if declared and live and not declared.ranges:
        declared = replace(declared, ranges=live.ranges)
    return Sides(declared, live)


def _places(scaling: Scaling) -> str:
    if scaling.cluster:
        return f"namespace {scaling.cluster.namespace} of {scaling.cluster.context}"
    return ", ".join(scaling.manifests)


_NONE: Final = Written(Inventory(()), Inventory(()))
