"""An alert engine of the target's own: notifications, records and escalation."""

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.alerting.config import AlertEngine, Alerting, EngineEscalation
from readiness.areas.alerting.judging import judge_true, judge_within
from readiness.areas.alerting.probes.alert_engine import (
    Entry,
    Escalated,
    Followed,
    earliest_s,
    escalate,
    follow,
    latest_s,
)
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, NoData


@check(
    "alerting.engine",
    title="The target's own alert engine notifies in time, keeps records and escalates",
    failure_title="The target's own alert engine does not notify, record or escalate as agreed",
    why="""What the application detects itself often bypasses Alertmanager. An expired webhook, a
    counter that stands still or an empty second tier then stay unnoticed until the night they are
    needed: a unit test sends to a mock, and only the channel shows what arrives.""",
    fix="""Raise an alert by hand with `trigger` of [alerting.engine], and read the engine's log.
arrived, in-time: an expired webhook, a revoked token, a channel that was renamed.
recorded, end-recorded: look at the history:
    curl -s HISTORY | grep ID
The entry must be written when the alert is raised, and once more when it ends. If it marks the
end otherwise, set `end_field` or `resolved_text` in [alerting.engine.history].
counted: look at the statistics:
    curl -s STATISTICS
`field` in [alerting.engine.statistics] must be the number of all alerts so far, not of the open
ones, and not cached.
escalated, escalated-early, escalated-late, acknowledged: the timer begins when the alert is
    raised, survives a restart of the engine, and is stopped by an acknowledgement; the time is
    `after_s` in [alerting.engine.escalation].""",
    severity="blocker",
    effect="write",
    each="alert_engine",
    judgements=(
        "arrived",
        "in-time",
        "recorded",
        "end-recorded",
        "counted",
        "escalated",
        "escalated-early",
        "escalated-late",
        "acknowledged",
    ),
)
def test_engine(
    alert_engine: AlertEngine, policy: Alerting, guardian: Guardian, evidence: Evidence
) -> None:
    """The alert has an id of its own; only what is declared is judged."""
    first = [policy.channels[name] for name in alert_engine.channels]
    seen = follow(alert_engine, first, guardian)
    for channel in alert_engine.channels:
        with evidence.attempt():
            _judge_arrival(seen, channel, alert_engine, evidence)
    if alert_engine.history:
        with evidence.attempt():
            _judge_history(seen, evidence)
    if alert_engine.statistics:
        with evidence.attempt():
            _judge_statistics(seen, evidence)
    if escalation := alert_engine.escalation:
        second = policy.channels[escalation.second]
        with evidence.attempt():
            escalated = escalate(alert_engine, escalation, second, first, guardian)
            _judge_escalation(escalated, escalation, evidence)


def _judge_arrival(seen: Followed, channel: str, engine: AlertEngine, evidence: Evidence) -> None:
    """The time of the command counts."""
    after_s = seen.notified.get(channel)
    if isinstance(after_s, CouldNotMeasure):
        raise after_s
    judge_within(
        evidence,
        "arrived",
        f"{channel} was notified",
        after_s,
        at_most(engine.within_s, engine.deciding("within_s")),
        f"alert {seen.probe} at {channel}",
        never=f"{channel} was not notified",
        because=f"the engine accepted the alert, and nothing came within {2 * engine.within_s:g} s",
        late_key="in-time",
    )


def _judge_history(seen: Followed, evidence: Evidence) -> None:
    """An entry that is marked as ended too early proves nothing, and is an error."""
    source = f"history of the engine, alert {seen.probe}"
    raised = _read(seen.raised)
    found = judge_true(
        evidence,
        "recorded",
        "alert in the history",
        source,
        true=raised.found,
        miss="The alert is not in the history while it fires",
    )
    if not found:
        return
    if raised.ended:
        raise NoData(
            "the entry is marked as ended while the alert fires, so that its end cannot be seen",
            where="[alerting.engine.history]",
            remedy="set `end_field`, or a `resolved_text` that only ended alerts have",
        )
    if seen.ended is not None:
        ended = _read(seen.ended)
        judge_true(
            evidence,
            "end-recorded",
            "end of the alert in the history",
            source,
            true=ended.ended,
            miss="The end of the alert is not in the history",
            because="it seems to fire forever" if ended.found else "its entry is gone",
        )


def _read(found: Entry | CouldNotMeasure | None) -> Entry:
    if found is None:
        raise NoData("[alerting.engine.history] is not configured", where="readiness.toml")
    if isinstance(found, CouldNotMeasure):
        raise found
    return found


def _judge_statistics(seen: Followed, evidence: Evidence) -> None:
    """By at least one: other alerts may be raised meanwhile."""
    if isinstance(seen.counted, CouldNotMeasure):
        raise seen.counted
    counted = seen.counted or 0
    evidence.judge(
        "counted",
        Measurement("alerts counted for one", counted, "count", f"statistics, alert {seen.probe}"),
        at_least(1),
        says=f"One alert was raised, and the statistics moved by {counted:g}",
    )


def _judge_escalation(seen: Escalated, escalation: EngineEscalation, evidence: Evidence) -> None:
    """The engine's clock began while the trigger ran: each limit has its tolerant end of that."""
    second = escalation.second
    source = f"alert {seen.ignored} at {second}"
    setting = escalation.deciding("after_s")
    escalated = judge_true(
        evidence,
        "escalated",
        "unacknowledged alert at the second tier",
        source,
        true=seen.after_s is not None,
        miss=f"An alert without an acknowledgement did not reach {second}",
        because=f"not within {latest_s(escalation):g} s",
    )
    if escalated and seen.after_s is not None:
        evidence.judge(
            "escalated-early",
            Measurement("seconds from the trigger to the second tier", seen.after_s, "s", source),
            at_least(round(earliest_s(escalation), 3), setting),
        )
        evidence.judge(
            "escalated-late",
            Measurement(
                "seconds from the end of the trigger to the second tier",
                seen.after_s - seen.trigger_s, "s", source,
            ),
            at_most(round(latest_s(escalation), 3), setting),
        )  # fmt: skip
        judge_true(
            evidence,
            "acknowledged",
            "acknowledged alert stays at the first tier",
            f"alert {seen.acknowledged} at {second}",
            true=not seen.escalated_anyway,
            miss=f"{second} was notified of an acknowledged alert",
            because="a person is already working on it",
        )
