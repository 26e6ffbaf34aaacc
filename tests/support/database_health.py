"""Asks the checks of a database what they say of a server."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pkgutil import iter_modules
from typing import Any

import psycopg

from readiness.areas.database.config import Database
from readiness.config.models import Config
from readiness.model.check import spec_of
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import Evidence
from readiness.model.measurement import Limit, Measurement
from readiness.model.secrets import Dsn
from tests.support.monitored_service import suite

TARGET = Config.model_validate({"target": {"name": "t"}})


@dataclass(slots=True)
class Judged(Evidence):
    """Evidence that knows which judgement said what.

    Attributes:
        failed: what missed limits say, by key.
        warned: the same for those that never decide.
    """

    failed: dict[str, list[str]] = field(default_factory=dict)
    warned: dict[str, list[str]] = field(default_factory=dict)

    def judge(
        self, key: str, measurement: Measurement, limit: Limit, because: str = "", **more: Any
    ) -> bool:
        before = len(self.failures), len(self.warnings)
        holds = Evidence.judge(self, key, measurement, limit, because, **more)
        self.failed.setdefault(key, []).extend(self.failures[before[0] :])
        self.warned.setdefault(key, []).extend(self.warnings[before[1] :])
        return holds


def database(dsn: Dsn, **changes: object) -> Database:
    """A target's database, with these limits (`limits={...}`) and standbys."""
    return Database.model_validate({"name": "d", "dsn": dsn, **changes})


@cache
def _check(slug: str) -> Any:
    modules = [m.name for m in iter_modules(suite("database").__path__) if "test_" in m.name]
    return next(
        function
        for module in modules
        for function in vars(suite(f"database.{module}")).values()
        if (spec := spec_of(function)) and spec.id == f"database.{slug}"
    )


def judged(slug: str, subject: object, target: Config = TARGET) -> Judged:
    """What the check `database.SLUG` says; what it could not measure is in `lost`."""
    check = _check(slug)
    spec = spec_of(check)
    assert spec, slug
    evidence = Judged(spec.judgements)
    known = {spec.each: subject, "evidence": evidence, "target": target}
    try:
        check(**{name: known[name] for name in inspect.signature(check).parameters})
    except CouldNotMeasure as error:
        evidence.lost.append(error)
    return evidence


def failures(judgement: str, subject: object) -> str:
    """What fails of one judgement, `server.privileges`, or of a whole check."""
    return _said(judgement, subject, fails=True)


def warnings(judgement: str, subject: object) -> str:
    """What one judgement or a whole check warns of; nothing of it fails."""
    return _said(judgement, subject, fails=False)


def errors(slug: str, subject: object) -> str:
    """What a check could not measure; there is something."""
    lost = judged(slug, subject).lost
    assert lost, "everything was measured"
    return "; ".join(f"{type(error).__name__}: {error.sentence}" for error in lost)


def _said(judgement: str, subject: object, *, fails: bool) -> str:
    slug, _, key = judgement.partition(".")
    evidence = judged(slug, subject)
    keys = [key] if key else list(evidence.judgements)
    if evidence.lost and not (key and key in evidence.failed):
        raise evidence.lost[0]
    assert key in evidence.failed if key else evidence.failed, "nothing was judged"
    failed = [said for key in keys for said in evidence.failed.get(key, [])]
    if fails:
        return "; ".join(failed)
    assert failed == []
    return "; ".join(said for key in keys for said in evidence.warned.get(key, []))


def execute(dsn: Dsn | str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    text = dsn if isinstance(dsn, str) else dsn.reveal()
    with psycopg.connect(text, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def name_of(dsn: Dsn) -> str:
    """The role of a connection string."""
    return dsn.reveal().partition("//")[2].partition(":")[0]


def missed(found: Judged) -> str:
    """The keys that miss, `!` before those that only warn, each with what it says."""
    assert not found.lost
    said = [f"{key}: {text}" for key, texts in found.failed.items() for text in texts]
    said += [f"!{key}: {text}" for key, texts in found.warned.items() for text in texts]
    return "\n".join(said)


_STATEMENT = re.compile(
    r"(?:(?:alter|drop|create|grant|reindex) [^;]+|analyze \S+"
    r"|select (?:pg_reload_conf|setval)\([^;]+);",
    re.IGNORECASE,
)


def obey(said: str, run: Callable[[str], None]) -> None:
    """Run each statement of a message, by itself; a read-only default does not refuse it."""
    for statement in _STATEMENT.findall(said):
        alone = "concurrently" in statement or statement.startswith("alter system")
        run(statement if alone else f"begin read write; {statement} commit")
