"""Whether the alert on a slow statement arrives."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.config import Database
from readiness.areas.alerting.probes import slow_alert
from readiness.config.models import Config
from readiness.lib.text import clean
from readiness.model.errors import NoData


@check(
    "alerting.slow-query-alert",
    title="Somebody is told when a statement is slow",
    why="""A statement that holds its locks for minutes stops the application, and no error counter
    moves: nobody fails, everybody waits. Rules on it are written once and never seen to fire; they
    watch the wrong database, a metric that is 0, or a threshold in another unit.""",
    fix="""Follow it by hand: run the statement, and look at each step on the way.
    psql -c 'select pg_sleep(60)' DATABASE
    curl -s EXPORTER/metrics | grep max_tx_duration
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[].labels'
    amtool alert query --alertmanager.url=URL
The alert, its severity and its channel stand in [databases.NAME.slow_alert].""",
    severity="major",
    effect="disrupt",
    each="alerted_database",
)
def test_slow_query_alert(alerted_database: Database, target: Config, evidence: Evidence) -> None:
    """A real alert, which reaches real people: so it needs their consent, as what disrupts does."""
    alert = alerted_database.slow_alert
    if alert is None or target.alerting is None:
        raise NoData("needs [databases.NAME.slow_alert] and [alerting.channels.NAME]")
    found = slow_alert.raised(alert, target.alerting.channels[alert.channel], target.prometheus)
    source = f"pg_sleep as {alert.dsn.address}, {alert.alert} at {alert.channel}"
    arrived = evidence.judge(
        "arrived",
        Measurement("arrived", int(found.after_s is not None), "count", source),
        equal_to(1),
        f"a statement ran for {found.ran_s:.0f} s, and nobody was told",
    )
    if not arrived or found.after_s is None:
        return
    evidence.judge(
        "start-message",
        Measurement("from its start to the message", found.after_s, "s", source),
        at_most(alert.message_within_s),
    )
    evidence.judge(
        "says",
        Measurement(
            f"says {alert.severity}", int(alert.severity.lower() in found.text.lower()), "count",
            source,
        ),
        equal_to(1),
        f"it arrived with another severity: {clean(found.text)}",
    )  # fmt: skip
