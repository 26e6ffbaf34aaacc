"""Whether slow statements are known, few, and told of."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.config.database import Database
from readiness.probes import postgres
from readiness.probes.statements import tracking

_VIEW = "pg_stat_statements"


@check(
    "database.slow-query-tracking",
    title="The server counts every statement, and logs the slow ones",
    why="""In an incident the first question is which statement it is. Without pg_stat_statements
    and a log of slow statements there is no answer, and both must be there before: the library is
    only loaded at a restart, which nobody wants in the middle of an incident.""",
    fix="""In postgresql.conf, the first line with a restart, the others with pg_reload_conf():
    shared_preload_libraries = 'pg_stat_statements'
    pg_stat_statements.track = top
    log_min_duration_statement = 500
In the database: create extension pg_stat_statements;
For the monitoring role: grant pg_monitor to ROLE;""",
    severity="major",
    effect="observe",
    each="database",
)
def test_slow_query_tracking(database: Database, evidence: Evidence) -> None:
    """By the settings as they are in force, and by what this role can really read."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = tracking.read(connection)
    for name, there, because in (
        ("pg_stat_statements is loaded", found.loaded, "it is not in shared_preload_libraries"),
        ("its view is in this database", found.created, "create extension pg_stat_statements;"),
    ):
        evidence.judge(Measurement(name, int(there), "count", "pg_settings"), equal_to(1), because)
    if found.loaded and found.created:
        _judge_counting(found, evidence)
    limit_ms = database.statements.logged_from_ms
    if found.logged_from_ms is None:
        evidence.judge(
            Measurement("slow statements are logged", 0, "count", "pg_settings"),
            equal_to(1),
            f"{found.logged_by} does: alter system set log_min_duration_statement = {limit_ms:g};"
            " select pg_reload_conf();",
        )
        return
    evidence.judge(
        Measurement("statements are logged from", found.logged_from_ms, "ms", found.logged_by),
        at_most(limit_ms),
        f"what takes less leaves no trace: alter system set {found.logged_by} = {limit_ms:g};"
        " select pg_reload_conf();",
    )


def _judge_counting(found: tracking.Tracking, evidence: Evidence) -> None:
    evidence.judge(
        Measurement("statements are counted", int(found.track != "none"), "count", "pg_settings"),
        equal_to(1),
        "alter system set pg_stat_statements.track = 'top'; select pg_reload_conf();",
    )
    evidence.judge(
        Measurement("statements that are hidden from this role", found.hidden, "count", _VIEW),
        equal_to(0),
        "grant pg_monitor to the monitoring role",
    )
    evidence.judge(
        Measurement("statements of other roles that can be read", found.readable, "count", _VIEW),
        at_least(1),
        "nothing of the application has been counted yet",
    )
