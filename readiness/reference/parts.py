"""The parts of the reference system, and which checks do not apply without them.

Few machines have every part. Tables of an absent part are not written, and its checks are listed in
[[not_applicable]] with the reason, so that a healthy system is READY on any machine.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from readiness.areas.alerting.probes import rule_trial
from readiness.areas.backup.reference import wal_archive
from readiness.areas.backup.reference.backups import Backups
from readiness.areas.database.probes.server import Release, newest_minor, supported_until
from readiness.areas.database.reference.timescale import PART as TIMESCALE
from readiness.areas.deployment.probes.host import MEMINFO
from readiness.areas.manifests.reference import LINTER, PARSER
from readiness.areas.security.reference.cache import PART as CACHE
from readiness.areas.security.reference.edge import PART as EDGE
from readiness.areas.signoff import reference as signoff
from readiness.config.base.tables import Config
from readiness.config.subjects import declared_in, subjects
from readiness.model.check import CheckSpec
from readiness.model.errors import Unreachable
from readiness.servers import programs
from readiness.servers.binaries import Binaries
from readiness.servers.fleet.starting import PART as FLEET
from readiness.servers.programs import refused
from readiness.servers.shop import Shop


@dataclass(frozen=True, slots=True)
class Part:
    """A part that a machine may not have.

    Attributes:
        name: its key in `ReferenceSystem.absent`.
        tables: prefixes of the places where its subjects are declared, as `declared_in` names
            them: a check whose subject is declared nowhere else does not apply without it.
        checks: the checks that need it although another part declares their subject.
    """

    name: str
    tables: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


_OVERHEAD: Final = "monitoring.database-overhead"
_SLOW_ALERT: Final = "[databases.NAME.slow_alert]"

PARTS: Final = (
    Part("supported PostgreSQL", checks=("database.version-supported",)),
    Part(
        "pg_stat_statements",
        checks=(
            _OVERHEAD,
            "database.slow-query-tracking",
            "database.statement-latency",
            "database.statement-eviction",
        ),
    ),
    Part(
        "pgstattuple",
        checks=("database.bloat", "database.snapshots-run"),
    ),
    Part("amcheck", checks=("database.corruption",)),
    Part("pg_amcheck"),
    Part("pg_dump", checks=("deployment.previous-on-new-schema",)),
    Part("standby", tables=("[databases.NAME] standbys",)),
    Part("pooler"),
    Part("backup", tables=("[backup.", "[deployment.layers.")),
    Part(
        wal_archive.PART,
        tables=(
            "[backup.NAME] archives_wal",
            "[backup.NAME] physical",
            "[backup.NAME] encrypted",
        ),
    ),
    Part(
        FLEET,
        tables=(
            "[deployment] adapter",
            "[deployment] bad_release",
            "[scaling.NAME] live",
        ),
    ),
    Part(EDGE, tables=("[security.sites.",)),
    Part(CACHE, tables=("[security.sites.NAME] cache_drill", "[security.sites.NAME.cache_drill")),
    Part(TIMESCALE, tables=("[databases.NAME] timescale", "[databases.NAME.timescale")),
    Part(
        "prometheus",
        tables=(
            "[prometheus",
            "[grafana",
            "[alert",
            _SLOW_ALERT,
        ),
        # Without it, only the gate itself reads the statistics.
        checks=(_OVERHEAD,),
    ),
    Part("promtool", checks=("alerting.job-loss", "alerting.required-rules")),
    Part(
        "alertmanager",
        tables=("[alert", _SLOW_ALERT),
        checks=("alerting.quiet-baseline", "alerting.rule-metadata"),
    ),
    Part("postgres_exporter", tables=(_SLOW_ALERT,)),
    Part("node_exporter"),
    Part("blackbox_exporter", tables=("[prometheus.probes.",)),
    Part("site"),
    Part("squawk"),
    Part(PARSER, checks=("manifests.dockerfile",)),
    Part(LINTER, tables=("[manifests] linters",)),
    Part("git"),
    Part(signoff.PART, tables=("[signoffs] signed",)),
    Part("meminfo", checks=("deployment.host-ready",)),
)
"""All but PostgreSQL and the order service, which every reference system has."""
WATCHING: Final = (
    "prometheus",
    "alertmanager",
    "postgres_exporter",
    "node_exporter",
    "blackbox_exporter",
    "site",
)
"""The parts that the monitoring starts."""


def not_applicable(
    config: Config, absent: Mapping[str, str], specs: Iterable[CheckSpec]
) -> dict[str, str]:
    """What the reference system's readiness.toml has in [[not_applicable]].

    It does not list a check without subjects that no absent part explains: that is a bug here, and
    the run must report the check as not run.

    Args:
        config: the readiness.toml without that table.
        absent: the absent parts, each with the reason.
        specs: all checks.
    """
    missing = [part for part in PARTS if part.name in absent]
    found: dict[str, str] = {}
    for part in missing:
        for check in part.checks:
            found.setdefault(check, absent[part.name])
    for spec in specs:
        if spec.each and spec.id not in found and not subjects(config, spec.each, spec.needs):
            owner = _owner(declared_in(spec.each, spec.needs), missing)
            if owner:
                found[spec.id] = absent[owner.name]
    return found


def _owner(place: str, missing: Iterable[Part]) -> Part | None:
    """The missing part that would declare the place: the one with the longest prefix of it."""

    def prefix(part: Part) -> int:
        return max((len(table) for table in part.tables if place.startswith(table)), default=0)

    best = max(missing, key=prefix, default=None)
    return best if best and prefix(best) else None


def coverage(absent: Mapping[str, str]) -> str:
    """How many parts the system has, and why the others are absent; one line."""
    missing = [part.name for part in PARTS if part.name in absent]
    summary = f"{len(PARTS) - len(missing)} parts of {len(PARTS)}"
    if not missing:
        return summary
    reasons: dict[str, list[str]] = {}
    for name in missing:
        reasons.setdefault(absent[name], []).append(name)
    without = ", ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    return f"{summary}; without: {without}"


def absent_here(
    shop: Shop, backups: Backups | None, binaries: Binaries, today: date
) -> dict[str, str]:
    """The parts that the server and the programs of this machine lack, each with the reason.

    Args:
        shop: the database and the features of its server.
        backups: whether restored data can be checked with pg_amcheck; None without backups.
        binaries: the PostgreSQL programs that are used with the server.
        today: decides whether the server's release is supported.
    """
    reasons = {
        "supported PostgreSQL": _is_old(shop.release, today),
        "pg_stat_statements": "" if shop.has_statistics else _without("pg_stat_statements"),
        "pgstattuple": "" if shop.measures_bloat else _without("pgstattuple"),
        "amcheck": "" if shop.has_amcheck else _without("amcheck"),
        "pg_amcheck": "" if backups is None or backups.has_amcheck else _without("amcheck"),
        "pg_dump": no_copier(shop.release, binaries.version),
        "promtool": no_promtool(),
        "squawk": _no_program(programs.SQUAWK),
        signoff.PART: signoff.absent(),
        "meminfo": no_memory(),
        "git": no_git(),
    }
    return {part: reason for part, reason in reasons.items() if reason}


def no_git() -> str:
    """Why files cannot be put into a repository on this machine; empty if they can."""
    exists = shutil.which("git") is not None and not refused("git")
    return "" if exists else "git is not on PATH: apt-get install git"


def no_memory() -> str:
    """Why this machine does not report its memory; empty if it does."""
    exists = Path(MEMINFO).is_file() and not refused("meminfo")
    return "" if exists else f"this machine has no {MEMINFO}"


def _no_program(program: programs.Program) -> str:
    try:
        programs.find(program)
    except programs.AbsentError as problem:
        return problem.sentence
    return ""


def no_promtool() -> str:
    """Why loaded rules cannot be tested on this machine; empty if they can."""
    try:
        rule_trial.find()
    except Unreachable as problem:
        return problem.sentence
    return ""


def no_copier(server: str, programs: str) -> str:
    """Why the server's schema cannot be dumped; empty if it can.

    Args:
        server: release of the server.
        programs: release of the programs on this machine.
    """
    here = re.match(r"\d+", programs)  # `Release` does not accept 19beta1
    if here and int(here[0]) >= Release.read(server).major:
        return ""
    return f"pg_dump is version {programs}, but the server is {server}"


def _without(extension: str) -> str:
    return f"this PostgreSQL has no {extension}: apt-get install postgresql"


def _is_old(text: str, today: date) -> str:
    release = Release.read(text)
    newest = newest_minor(release.major, today)
    old = today > supported_until(release.major) or release.minor < newest - 1
    return f"{text} is outdated, but installed on this machine" if old else ""
