"""Whether the system stores rows as fast as required."""

from readiness import Evidence, at_least, check, equal_to
from readiness.areas.performance.config import Ingest, WritePath
from readiness.areas.performance.probes.ingest import copy_rate
from readiness.areas.performance.probes.write_path import write_rate
from readiness.config.models import Config
from readiness.lib.retry import undisturbed
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Limit


@check(
    "performance.ingest-rate",
    title="The table stores rows at the required rate, and loses none",
    failure_title="The table stores rows too slowly, or loses some",
    each="ingest",
    severity="blocker",
    effect="load",
    why="""If rows arrive faster than they are stored, a queue grows until something drops them.
    A trigger, an index too many or a commit for each row costs a factor of ten to a thousand,
    and nobody notices while traffic is low.""",
    fix="""Slow by COPY: look at what the table does for each row (triggers, indexes, foreign keys)
      psql -c '\\d+ SCHEMA.TABLE'
    and at what the server waits for while the check runs:
      select wait_event_type, wait_event, count(*) from pg_stat_activity
      where state = 'active' group by 1, 2;
    Fast by COPY and slow by the application: it commits each row. Store many rows in one
    statement and one commit; the measurements show the network round trip.
    Writes failed: the application's log has the reason, the message has the first answer.
    Rows are missing: the application answers before it commits; let it commit first.""",
    judgements=("copy-rate", "write-rate", "failed-writes", "missing-rows"),
)
def test_ingest_rate(ingest: Ingest, target: Config, evidence: Evidence) -> None:
    """Rows are counted in the table, by COPY and (where declared) by the application's path."""
    limit = at_least(ingest.min_rows_per_s, ingest.deciding("min_rows_per_s"))
    with evidence.attempt():
        _judge_table(ingest, limit, evidence)
    if ingest.write_path:
        _judge_application(ingest, ingest.write_path, limit, target, evidence)


def _judge_table(ingest: Ingest, limit: Limit, evidence: Evidence) -> None:
    measured = undisturbed(
        lambda: copy_rate(ingest),
        lambda found: limit.holds(found.rate.value),
        evidence.record,
    )
    evidence.record(measured.round_trip)
    evidence.record(measured.driver)
    evidence.judge(
        "copy-rate", measured.rate, limit, f"{ingest.table} itself is slow, without the application"
    )


def _judge_application(
    ingest: Ingest, path: WritePath, limit: Limit, target: Config, evidence: Evidence
) -> None:
    service = target.services.get(path.service)
    if service is None:
        raise CouldNotMeasure(
            f"the service {path.service} is not declared",
            where=f"[performance.ingest.write_path] of {ingest.name}",
            remedy=f"declare [services.{path.service}], or use one that is declared",
        )
    measured = undisturbed(
        lambda: write_rate(path, service, rows=ingest.rows),
        lambda found: found.lost_something or limit.holds(found.rate.value),
        evidence.record,
    )
    evidence.judge(
        "failed-writes",
        measured.failed,
        equal_to(0),
        measured.first_failure,
        says=f"{measured.failed.value} of {measured.failed.samples} writes failed",
    )
    evidence.judge(
        "missing-rows",
        measured.missing,
        equal_to(0),
        says=f"The application acknowledged {measured.missing.value} rows that are not stored",
    )
    evidence.judge("write-rate", measured.rate, limit, f"{path.method} {path.path}")
