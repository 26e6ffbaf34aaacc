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
    """What stands in files.

    Attributes:
        declared: what will be applied.
        live: what a cluster said that it has: such objects have a `uid`.
    """

    declared: Inventory
    live: Inventory


def written(patterns: list[str], live_max_age_h: float) -> Written:
    """All objects of all files that the patterns find.

    Args:
        patterns: of files, `**` among them.
        live_max_age_h: hours; a file with live objects may not be older.

    Raises:
        NoData: a pattern finds nothing, or a file is not understood.
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
            raise NoData("finds no file", where=pattern, remedy="correct `manifests`")
        found |= dict.fromkeys(paths)
    if len(found) > _MOST:
        raise CouldNotMeasure(
            f"{len(found)} files are more than the {_MOST} that are read",
            where=", ".join(patterns),
            remedy="name those of the workload alone",
        )
    return list(found)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CouldNotMeasure("is larger than 16 MiB", where=str(path))
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CouldNotMeasure("is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        reason = clean(error.strerror or type(error).__name__)
        raise CouldNotMeasure(f"cannot be read: {reason}", where=str(path)) from None


def _is_live(body: object) -> bool:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("uid"))


def _refuse_old(path: Path, most_h: float) -> None:
    """What a cluster said a month ago tells nothing of it."""
    hours = (time.time() - path.stat().st_mtime) / _HOUR_S
    if hours > most_h:
        raise CouldNotMeasure(
            f"holds live objects, and is {hours:.0f} h old (live_max_age_h = {most_h:g})",
            where=str(path),
            remedy="write it anew: kubectl get ... -o json > FILE; or name the cluster",
        )


MANIFESTS: Final = "manifests"
LIVE: Final = "live"


@dataclass(frozen=True, slots=True)
class Sides:
    """A workload as it is written, and as it is.

    Attributes:
        declared: what will be applied; None where no file has it.
        live: what there is; None where nobody said.
    """

    declared: View | None
    live: View | None

    @property
    def known(self) -> list[View]:
        """Both, as far as they are known; at least one."""
        return [view for view in (self.declared, self.live) if view is not None]


def sides(scaling: Scaling, live: Inventory | None) -> Sides:
    """Both sides of a workload.

    Args:
        scaling: the workload, and its files.
        live: what the cluster has; None where none is named.

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
            f"there is no {scaling.workload} in {_places(scaling)}",
            where=f"[scaling.{scaling.name}] workload",
            remedy="is that its name? kubectl get deployments,statefulsets -A",
        )
    return found


def _joined(declared: View | None, live: View | None) -> Sides:
    """What is applied gets the defaults of the namespace that it goes to."""
    if declared and live and not declared.ranges:
        declared = replace(declared, ranges=live.ranges)
    return Sides(declared, live)


def _places(scaling: Scaling) -> str:
    if scaling.cluster:
        return f"namespace {scaling.cluster.namespace} of {scaling.cluster.context}"
    return ", ".join(scaling.manifests)


_NONE: Final = Written(Inventory(()), Inventory(()))
