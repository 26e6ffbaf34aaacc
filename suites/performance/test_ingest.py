"""Does the system take rows in as fast as it must?"""

from readiness import Evidence, at_least, check, equal_to
from readiness.areas.performance.config import Ingest, WritePath
from readiness.areas.performance.probes.ingest import copy_rate
from readiness.areas.performance.probes.write_path import write_rate
from readiness.config.models import Config
from readiness.lib.interference import undisturbed
from readiness.model.errors import CouldNotMeasure


@check(
    "performance.ingest-rate",
    title="The table takes rows in at the required rate",
    each="ingest",
    severity="blocker",
    effect="load",
    why="""If rows arrive faster than they are stored, a queue grows until something drops them.
    A trigger, an index too many or a commit for each row costs a factor of ten to a thousand,
    and is not seen while traffic is low.""",
    fix="""Slow by COPY already: look at what the table does for each row,
      psql -c '\\d+ SCHEMA.TABLE'   (triggers, indexes, foreign keys)
    and at what the server waits for while the check runs:
      select wait_event_type, wait_event, count(*) from pg_stat_activity
      where state = 'active' group by 1, 2;
    Fast by COPY and slow by the application: it commits each row. Store many rows in one
    statement and one commit; see the network round trip in the measurements.
    Writes failed: the application's log has the reason, the message the first answer.""",
)
def test_ingest_rate(ingest: Ingest, target: Config, evidence: Evidence) -> None:
    """Rows are counted in the table, by COPY and (where declared) by the application's path."""
    limit = at_least(ingest.min_rows_per_s)
    measured = undisturbed(
        lambda: copy_rate(ingest),
        lambda found: limit.holds(found.rate.value),
        evidence.record,
    )
    evidence.record(measured.round_trip)
    evidence.record(measured.driver)
    evidence.judge(
        "rate",
        measured.rate,
        limit,
        f"{ingest.table} itself is too slow: look at its triggers, indexes and foreign keys",
    )
    if ingest.write_path:
        _judge_application(ingest, ingest.write_path, target, evidence)


def _judge_application(ingest: Ingest, path: WritePath, target: Config, evidence: Evidence) -> None:
    service = target.services.get(path.service)
    if service is None:
        raise CouldNotMeasure(
            f"there is no service {path.service!r}",
            where=f"[performance.ingest.write_path] of {ingest.name}",
            remedy=f"declare [services.{path.service}], or name one that is declared",
        )
    limit = at_least(ingest.min_rows_per_s)
    measured = undisturbed(
        lambda: write_rate(path, service, rows=ingest.rows),
        lambda found: found.lost_something or limit.holds(found.rate.value),
        evidence.record,
    )
    evidence.judge(
        "failed", measured.failed, equal_to(0), f"first of them: {measured.first_failure}"
    )
    evidence.judge(
        "missing",
        measured.missing,
        equal_to(0),
        "the application said yes, and the rows are not there",
    )
    evidence.judge(
        "rate",
        measured.rate,
        limit,
        "the application is too slow; compare with the rate by COPY",
    )
