"""Scaling: whether the target grows with its load, shrinks again, and has room for it."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from readiness.areas.scaling.config import Config, Live, Scaling
from readiness.areas.scaling.subjects import KINDS
from readiness.config.base.area import Area
from readiness.config.base.mistakes import Mistake, Path, known

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    """A workload needs objects to look at; what is told of its connections belongs together."""
    for key, scaling in config.scaling.items():
        path = ("scaling", key)
        if not (scaling.on_paper or scaling.live):
            yield Mistake(
                path,
                "there is nothing that tells of it",
                f"name its `manifests`, or declare [scaling.{key}.cluster] or [scaling.{key}.live]",
            )
        elif scaling.on_paper is not bool(scaling.workload):
            yield Mistake(
                (*path, "workload"),
                "`workload` says which of the objects is meant: it and they need each other",
                'write workload = "deployment/NAME", and name `manifests` or `cluster`',
            )
        if scaling.max_replicas <= scaling.min_replicas:
            yield Mistake(
                (*path, "max_replicas"),
                f"{scaling.max_replicas} is no more than min_replicas, {scaling.min_replicas}:"
                " nothing would scale",
                "give more",
            )
        if scaling.live:
            yield from _grows(scaling, scaling.live, path)
        if scaling.database:
            yield from known((*path, "database"), scaling.database, "databases", config.databases)
        together = ("database", "database_role", "connections_per_replica")
        given = [name for name in together if getattr(scaling, name) is not None]
        if given and len(given) < len(together):
            missing = ", ".join(name for name in together if name not in given)
            yield Mistake((*path, given[0]), f"tells nothing without {missing}", f"add {missing}")


def _grows(scaling: Scaling, live: Live, path: Path) -> Iterator[Mistake]:
    """A load that needs no more than there always are shows nothing."""
    if not scaling.min_replicas < live.loaded_replicas <= scaling.max_replicas:
        yield Mistake(
            (*path, "live", "loaded_replicas"),
            f"{live.loaded_replicas} is not above min_replicas, {scaling.min_replicas}, or above"
            f" max_replicas, {scaling.max_replicas}",
            "let the load need more than the fewest, and no more than the most",
        )


AREA: Final = Area("scaling", timed=True, config=Config, kinds=KINDS, mistakes=_mistakes)
