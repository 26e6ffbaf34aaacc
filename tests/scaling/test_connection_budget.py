"""The connection budget of a role, on a real server."""

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.probes.connection_budget import budget
from readiness.areas.scaling.probes.sides import Sides
from readiness.config.base.tables import Config, Target
from readiness.model.errors import NoData, NotPermitted
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from tests.support.kubernetes_samples import deployment, hpa, keda, seen
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


def database(dsn: Dsn) -> Database:
    return Database(name="db", dsn=dsn)


def name_of(dsn: Dsn) -> str:
    with psycopg.connect(dsn.reveal()) as connection:
        return connection.info.user


def test_server_limit_counts_other_roles(dsn: Dsn, role: Dsn) -> None:
    name = name_of(role)
    before = budget(database(dsn), name)
    (limit,) = before.limits
    with psycopg.connect(dsn.reveal()) as connection:
        row = connection.execute("show max_connections").fetchone()
        reserved = connection.execute("show superuser_reserved_connections").fetchone()
    assert row
    assert reserved
    assert limit.places <= int(row[0]) - int(reserved[0])
    with closing(psycopg.connect(dsn.reveal())), closing(psycopg.connect(role.reveal())):
        after = budget(database(dsn), name)
    # Those of the role itself are not counted beside it, and neither are our own.
    assert after.nearest.others == limit.others + 1
    assert after.looked_at == before.looked_at + 2
    assert name not in after.users


def test_limits_of_the_role_and_of_the_database(dsn: Dsn, role: Dsn, run: Run) -> None:
    name, place = name_of(role), dsn.address.rpartition("/")[2]
    run(f"alter role {name} connection limit 20")
    run(f"alter database {place} connection limit 30")
    found = budget(database(dsn), name)
    assert [limit.places for limit in found.limits[1:]] == [30, 20]
    assert found.nearest.name == "the connection limit of the role"
    assert found.nearest.left == 20


def test_an_unknown_role_is_an_error(dsn: Dsn) -> None:
    with pytest.raises(NoData, match="has no role 'ghost'"):
        budget(database(dsn), "ghost")


def test_a_role_that_cannot_see_other_sessions_is_an_error(role: Dsn) -> None:
    with pytest.raises(NotPermitted, match="pg_read_all_stats"):
        budget(database(role), name_of(role))


def judged(dsn: Dsn, role: str, each: int, *objects: dict[str, object]) -> Evidence:
    scaling = Scaling(
        name="shop", workload="deployment/shop", manifests=["x"], database="db",
        database_role=role, connections_per_replica=each,
    )  # fmt: skip
    target = Config(target=Target(name="shop"), databases={"db": database(dsn)})
    view, evidence = seen(*objects), Evidence()
    check = suite("scaling.test_capacity").test_connection_budget
    check(scaling, lambda _: Sides(view, None), target, evidence)
    return evidence


def test_the_budget_at_the_maximum_replica_count(dsn: Dsn, role: Dsn, run: Run) -> None:
    name = name_of(role)
    run(f"alter role {name} connection limit 26")
    # 10 replicas and a surge of 25 %, rounded up: 13 pods.
    assert misses(judged(dsn, name, 2, deployment(), hpa())) == ""
    run(f"alter role {name} connection limit 25")
    assert misses(judged(dsn, name, 2, deployment(), hpa())) == (
        "13 pods with 2 connections each and 0 of other roles need 26; limit 25:"
        " the connection limit of the role"
    )
    steady = deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
    assert misses(judged(dsn, name, 2, steady, hpa())) == ""
    # A ScaledObject that says nothing of it makes a hundred.
    assert "125 pods" in misses(judged(dsn, name, 1, deployment(), keda(minReplicaCount=3)))
