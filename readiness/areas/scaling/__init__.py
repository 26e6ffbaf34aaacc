"""Scaling: whether the target scales with its load, and has room for the most replicas."""

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Final

from readiness.areas.scaling.config import Config, Live, Scaling
from readiness.config.base.area import Area, Look
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake, Path, known
from readiness.lib.kubernetes.kubectl import Cluster, private
from readiness.model.figures import counted

__all__ = ["AREA"]


_TOGETHER: Final = (("database", "database_role", "connections_per_replica"),)


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    for name, scaling in config.scaling.items():
        path = ("scaling", name)
        yield from _described(name, scaling, path)
        yield from _bounds(scaling, path)
        if scaling.live:
            yield from _loaded(scaling, scaling.live, path)
        if scaling.database:
            yield from known((*path, "database"), scaling.database, "databases", config.databases)
        for together in _TOGETHER:
            given = [key for key in together if getattr(scaling, key) is not None]
            if given and len(given) < len(together):
                missing = ", ".join(key for key in together if key not in given)
                problem = f"has no effect without {missing}"
                yield Mistake((*path, given[0]), problem, f"add {missing}")


def _described(name: str, scaling: Scaling, path: Path) -> Iterator[Mistake]:
    if not (scaling.on_paper or scaling.live):
        yield Mistake(
            path,
            "nothing describes how it scales",
            f"set `manifests`, or add [scaling.{name}.cluster] or [scaling.{name}.live]",
        )
    elif scaling.on_paper is not bool(scaling.workload):
        yield Mistake(
            (*path, "workload"),
            "`workload` goes with `manifests` or `cluster`, and they with it",
            'set workload = "deployment/NAME", and `manifests` or `cluster`',
        )
    if scaling.cluster and scaling.namespace not in {None, scaling.cluster.namespace}:
        problem = f"is not the namespace of [scaling.{name}.cluster]"
        yield Mistake((*path, "namespace"), problem, "leave it out")


def _bounds(scaling: Scaling, path: Path) -> Iterator[Mistake]:
    least, most = scaling.min_replicas, scaling.max_replicas
    if least is not None and most is not None and most <= least:
        problem = f"{most} is not above min_replicas, {least}: nothing would scale"
        yield Mistake((*path, "max_replicas"), problem, "raise it")
    for key, pods in (("up_pods", scaling.up_pods), ("down_pods", scaling.down_pods)):
        if isinstance(pods, list) and pods[0] > pods[1]:
            yield Mistake((*path, key), f"{pods} is not a range", "write the smaller one first")


def _loaded(scaling: Scaling, live: Live, path: Path) -> Iterator[Mistake]:
    """A load that the minimum replica count can serve shows nothing."""
    least, most, needed = scaling.min_replicas, scaling.max_replicas, live.loaded_replicas
    remedy = "choose a load that needs more than min_replicas and at most max_replicas"
    place = (*path, "live", "loaded_replicas")
    if least == 0:
        problem = "0 replicas answer no request, so that the drill cannot begin"
        yield Mistake((*path, "min_replicas"), problem, "leave it out")
    if least is not None and needed <= least:
        yield Mistake(place, f"{needed} is not above min_replicas, {least}", remedy)
    if most is not None and needed > most:
        yield Mistake(place, f"{needed} is above max_replicas, {most}", remedy)


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    clusters = {(c.context, c.namespace): c for s in config.scaling.values() if (c := s.cluster)}
    for cluster in clusters.values():
        yield f"scaling in {cluster.context}", partial(_cluster, cluster)


def _cluster(cluster: Cluster) -> str:
    from readiness.areas.scaling.probes.sides import cluster_objects

    with private() as folder:
        found = cluster_objects(cluster, folder)
    if found.unseen:
        raise next(iter(found.unseen.values()))
    return f"namespace {cluster.namespace}, {counted(len(found.objects), 'object')}"


def _discovers() -> Iterator[Discover]:
    from readiness.areas.scaling import discovery

    yield discovery.declared
    yield discovery.live


AREA: Final = Area(
    "scaling",
    timed=True,
    config=Config,
    kinds={"scaling": ("[scaling.NAME]", lambda config: list(config.scaling.values()))},
    mistakes=_mistakes,
    looks=_looks,
    discovers=_discovers,
)
