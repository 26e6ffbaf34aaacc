"""Scaling: whether the target scales with its load, and has room for the most replicas."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from readiness.areas.scaling.config import Config, Live, Scaling
from readiness.config.base.area import Area
from readiness.config.base.mistakes import Mistake, Path, known

__all__ = ["AREA"]


_TOGETHER: Final = (("database", "database_role", "connections_per_replica"),)


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
        least, most = scaling.min_replicas, scaling.max_replicas
        if least is not None and most is not None and most <= least:
            yield Mistake(
                (*path, "max_replicas"),
                f"{most} is not above min_replicas, {least}: nothing would scale",
                "raise it",
            )
        if scaling.live:
            yield from _loaded(scaling, scaling.live, path)
        if scaling.database:
            yield from known((*path, "database"), scaling.database, "databases", config.databases)
        for together in _TOGETHER:
            given = [name for name in together if getattr(scaling, name) is not None]
            if given and len(given) < len(together):
                missing = ", ".join(name for name in together if name not in given)
                problem = f"has no effect without {missing}"
                yield Mistake((*path, given[0]), problem, f"add {missing}")


def _loaded(scaling: Scaling, live: Live, path: Path) -> Iterator[Mistake]:
    """A load that the minimum replica count can serve shows nothing."""
    least, most, needed = scaling.min_replicas, scaling.max_replicas, live.loaded_replicas
    remedy = "choose a load that needs more than min_replicas and at most max_replicas"
    place = (*path, "live", "loaded_replicas")
    if least is not None and needed <= least:
        yield Mistake(place, f"{needed} is not above min_replicas, {least}", remedy)
    if most is not None and needed > most:
        yield Mistake(place, f"{needed} is above max_replicas, {most}", remedy)


AREA: Final = Area(
    "scaling",
    timed=True,
    config=Config,
    kinds={"scaling": ("[scaling.NAME]", lambda config: list(config.scaling.values()))},
    mistakes=_mistakes,
)
