"""Whether the alert on a slow statement notifies its channel."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.config import Database
from readiness.areas.alerting.probes import slow_alert
from readiness.config.models import Config
from readiness.lib.text import clean
from readiness.model.errors import NoData


@check(
    "alerting.slow-query-alert",
    title="A slow statement notifies the agreed channel in time",
    failure_title="A slow statement does not notify the agreed channel as agreed",
    why="""A statement that holds its locks for minutes stops the application, and no error counter
    moves: every request waits. Rules for it are rarely seen to fire; they watch the wrong
    database, a metric that is 0, or a threshold in another unit.""",
    fix="""Follow it by hand: run the statement, and look at each step on the way.
    psql -c 'select pg_sleep(60)' DATABASE
    curl -s EXPORTER/metrics | grep max_tx_duration
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[].labels'
    amtool alert query --alertmanager.url=URL
The alert, its severity and its channel stand in [databases.NAME.slow_alert].""",
    severity="major",
    effect="disrupt",
    each="alerted_database",
    judgements=("arrived", "in-time", "severity"),
)
def test_slow_query_alert(alerted_database: Database, target: Config, evidence: Evidence) -> None:
    """A real alert notifies real people: it needs the consent that disruptive checks need."""
    alert = alerted_database.slow_alert
    if alert is None or target.alerting is None:
        raise NoData("needs [databases.NAME.slow_alert] and [alerting.channels.NAME]")
    found = slow_alert.raised(alert, target.alerting.channels[alert.channel], target.prometheus)
    source = f"pg_sleep as {alert.dsn.address}, {alert.alert} at {alert.channel}"
    arrived = evidence.judge(
        "arrived",
        Measurement("messages", int(found.after_s is not None), "count", source),
        equal_to(1),
        says=f"A statement ran for {found.ran_s:.0f} s, and no message arrived at {alert.channel}",
    )
    if not arrived or found.after_s is None:
        return
    evidence.judge(
        "in-time",
        Measurement("from the start of the statement to the message", found.after_s, "s", source),
        at_most(alert.message_within_s, alert.deciding("message_within_s")),
        says=f"The message arrived {found.after_s:.1f} s after the statement began",
    )
    named = int(alert.severity.lower() in found.text.lower())
    evidence.judge(
        "severity",
        Measurement(f"messages with severity {alert.severity}", named, "count", source),
        equal_to(1),
        clean(found.text),
        says=f"The message does not contain the agreed severity {alert.severity}",
    )
