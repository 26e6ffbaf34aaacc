"""Asks the checks of a database's health what they say of a server."""

import psycopg

from readiness.areas.database.config import Database
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from tests.support.monitored_service import suite


def database(dsn: Dsn, **changes: object) -> Database:
    """A target's database, with these limits (`limits={...}`) and standbys."""
    return Database.model_validate({"name": "d", "dsn": dsn, **changes})


def judged(check: str, subject: Database) -> Evidence:
    """What a check says, as `server.privileges`; its errors are raised."""
    module, _, name = check.partition(".")
    evidence = Evidence()
    getattr(suite(f"database.test_{module}"), f"test_{name.replace('-', '_')}")(subject, evidence)
    assert any(m.limit for m in evidence.measurements), "nothing was judged"
    return evidence


def failures(check: str, subject: Database) -> str:
    """The failures that a check finds; it must not warn of anything besides."""
    evidence = judged(check, subject)
    return "; ".join(evidence.failures)


def warnings(check: str, subject: Database) -> str:
    """The warnings of a check that finds no failure."""
    evidence = judged(check, subject)
    assert evidence.failures == []
    return "; ".join(evidence.warnings)


def execute(dsn: Dsn | str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    text = dsn if isinstance(dsn, str) else dsn.reveal()
    with psycopg.connect(text, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def name_of(dsn: Dsn) -> str:
    """The role of a connection string."""
    return dsn.reveal().partition("//")[2].partition(":")[0]
