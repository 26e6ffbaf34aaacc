"""Scaling: whether the target scales with its load, and has room for the most replicas."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from readiness.areas.scaling.config import Config, Live, Scaling
from readiness.config.base.area import Area
from readiness.config.base.mistakes import Mistake, Path, known

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    for key, scaling in config.scaling.items():
        path = ("scaling", key)
        if not (scaling.on_paper or scaling.live):
            yield Mistake(
                path,
                "nothing describes how it scales",
                f"set `manifests`, or add [scaling.{key}.cluster] or [scaling.{key}.live]",
            )
        elif scaling.on_paper is not bool(scaling.workload):
            yield Mistake(
                (*path, "workload"),
                "`workload` goes with `manifests` or `cluster`, and they with it",
                'set workload = "deployment/NAME", and `manifests` or `cluster`',
            )
        if scaling.max_replicas <= scaling.min_replicas:
            yield Mistake(
                (*path, "max_replicas"),
                f"{scaling.max_replicas} is not above min_replicas, {scaling.min_replicas}:"
                " nothing would scale",
                "raise it",
            )
        if scaling.live:
            yield from _loaded(scaling, scaling.live, path)
        if scaling.database:
            yield from known((*path, "database"), scaling.database, "databases", config.databases)
        together = ("database", "database_role", "connections_per_replica")
        given = [name for name in together if getattr(scaling, name) is not None]
        if given and len(given) < len(together):
            missing = ", ".join(name for name in together if name not in given)
            yield Mistake((*path, given[0]), f"has no effect without {missing}", f"add {missing}")


def _loaded(scaling: Scaling, live: Live, path: Path) -> Iterator[Mistake]:
    """A load that the minimum replica count can serve shows nothing."""
    if not scaling.min_replicas < live.loaded_replicas <= scaling.max_replicas:
        yield Mistake(
            (*path, "live", "loaded_replicas"),
            f"{live.loaded_replicas} is not above min_replicas, {scaling.min_replicas}, or above"
            f" max_replicas, {scaling.max_replicas}",
            "choose a load that needs more than min_replicas and at most max_replicas",
        )


AREA: Final = Area(
    "scaling",
    timed=True,
    config=Config,
    kinds={"scaling": ("[scaling.NAME]", lambda config: list(config.scaling.values()))},
    mistakes=_mistakes,
)
