"""The snapshots of a database, and how it grows."""

from pathlib import Path

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.database.config import Database
from readiness.areas.database.config_history import History
from readiness.areas.database.grading import size
from readiness.areas.database.history import trends
from readiness.areas.database.history.snapshot import BloatSnapshot, Snapshot
from readiness.areas.database.history.store import Store
from readiness.areas.database.probes import snapshot
from readiness.lib import postgres
from readiness.lib.text import worst
from readiness.model.errors import NoData
from readiness.model.measurement import Limit

_HOUR_S = 3600.0
# Clocks may differ by so much.
_AHEAD_H = -0.1


@check(
    "database.snapshots-run",
    title="Counter snapshots run hourly, bloat snapshots daily",
    failure_title="Snapshots of the database are old, missing or incomplete",
    each="database",
    needs="history",
    severity="major",
    why="""PostgreSQL's counters have no past, and a crash empties them silently. Without snapshots
    nobody can tell which index was unused for a month, which statement became slower, or how fast
    the disk fills.""",
    fix="""Run it by hand and see what it says:
    readiness snapshot --config readiness.toml
Then let cron run it each hour, as the account that runs the gate (the guide shows a systemd timer
and a CronJob):
    7 * * * * readiness snapshot --config /etc/readiness/readiness.toml
The same job takes the daily bloat snapshot. A snapshot dated in the future: correct the clock of
the database's server, and move the file away.""",
    judgements=("counters", "bloat", "coverage"),
)
def test_snapshots_run(database: Database, evidence: Evidence) -> None:
    """By the age of the newest snapshots, and by how many of today's objects they hold."""
    history, live = _history(database), _live(database)
    store = Store(Path(history.path))
    usage, bloated = store.newest_usage(live.server), store.newest_bloat(live.server)
    _judge_age("counters", usage, live.at, history, "index_max_age_h", evidence)
    _judge_age("bloat", bloated, live.at, history, "bloat_max_age_h", evidence)
    if usage:
        _judge_coverage(usage, live, history, evidence)


def _judge_age(
    key: str,
    newest: Snapshot | BloatSnapshot | None,
    now: float,
    history: History,
    limit: str,
    evidence: Evidence,
) -> None:
    if newest is None:
        there = Measurement(f"Snapshots of {key}", 0, "count", history.path)
        evidence.judge(
            key, there, Limit("!=", 0), "run `readiness snapshot`", says=f"No snapshot of {key}"
        )
        return
    age = Measurement(
        f"Newest snapshot of {key}, age", (now - newest.at) / _HOUR_S, "h", history.path
    )
    oldest = at_most(getattr(history, limit), history.deciding(limit))
    if evidence.judge(key, age, oldest, "the hourly job has stopped"):
        ahead = f"{(newest.at - now) / _HOUR_S:.3g} h ahead of the server's clock"
        says = f"The newest snapshot of {key} is dated {ahead}"
        evidence.judge(key, age, at_least(_AHEAD_H), says=says)


def _judge_coverage(old: Snapshot, live: Snapshot, history: History, evidence: Evidence) -> None:
    least = at_least(history.coverage_min_share, history.deciding("coverage_min_share"))
    for what, now, known in (
        ("indexes", {i.name for i in live.indexes}, {i.name for i in old.indexes}),
        ("tables", set(live.tables), set(old.tables)),
    ):
        if not now:
            raise NoData(f"the database has no {what}", where=live.server.database)
        missing = sorted(now - known)
        evidence.judge(
            "coverage",
            Measurement(
                f"Share of today's {what} in the newest snapshot",
                1 - len(missing) / len(now),
                "ratio",
                history.path,
                len(now),
            ),
            least,
            f"missing: {worst(missing)}",
        )


@check(
    "database.growth",
    title="The database grows no faster than planned",
    failure_title="The database grows faster than planned",
    each="database",
    needs="history",
    severity="major",
    why="""A full disk stops every write at once, and the server with it. A table that nobody
    prunes or an event log shows weeks ahead as a slope.""",
    fix="""See what grows; the message names the tables:
    select relname, pg_size_pretty(pg_total_relation_size(relid)) from pg_stat_user_tables
    order by pg_total_relation_size(relid) desc limit 10;
Prune it, or partition it by time and drop old partitions. If the growth is planned, raise
`growth_max_bytes` in [databases.NAME.history].""",
    judgements=("growth",),
)
def test_growth(database: Database, evidence: Evidence) -> None:
    """From the oldest snapshot of the last 30 days until now, scaled to 30 days."""
    history, live = _history(database), _live(database)
    then = Store(Path(history.path)).usage_at(live.server, live.at - trends.MONTH_S)
    grown = trends.growth([then] if then else [], live, least_days=history.growth_min_days)
    evidence.judge(
        "growth",
        Measurement("Growth in 30 days", grown.month, "bytes", history.path, 2),
        at_most(history.growth_max_bytes, history.deciding("growth_max_bytes")),
        f"{size(grown.grown)} in {grown.days:.1f} days, to {size(live.size)}; most of it:"
        f" {worst(f'{name} {size(more)}' for name, more in grown.tables)}",
    )


def _live(database: Database) -> Snapshot:
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        return snapshot.take(connection)


def _history(database: Database) -> History:
    if database.history is None:
        raise NoData("not configured", where=f"[databases.{database.name}.history]")
    return database.history
