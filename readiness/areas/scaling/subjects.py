"""The kinds of subject that [scaling.NAME] declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from readiness.areas.scaling.config import Config, Scaling
from readiness.config.base.subject import Find
from readiness.config.base.tables import Database


@dataclass(frozen=True, slots=True)
class Pooled:
    """A workload that connects to a database; named as the workload's table.

    Attributes:
        name: of the table.
        scaling: the workload.
        database: where its replicas connect to.
        role: as whom.
        each: connections that one replica opens at most.
    """

    name: str
    scaling: Scaling
    database: Database
    role: str
    each: int


def _pooled(config: Config) -> list[Pooled]:
    return [
        Pooled(s.name, s, config.databases[s.database], s.database_role, s.connections_per_replica)
        for s in config.scaling.values()
        if s.on_paper and s.database and s.database_role and s.connections_per_replica
    ]


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "scaling": (
        "[scaling.NAME] manifests or cluster",
        lambda c: [s for s in c.scaling.values() if s.on_paper],
    ),
    "live_scaling": ("[scaling.NAME.live]", lambda c: [s for s in c.scaling.values() if s.live]),
    "pooled_scaling": ("[scaling.NAME] database", _pooled),
}
