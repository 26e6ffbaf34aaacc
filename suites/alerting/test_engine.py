"""An alert engine of the target's own: whether people are told, and the next ones if they sleep."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.alerting.probes.engine_records import Entry
from readiness.areas.alerting.probes.escalation import earliest_s, escalate, latest_s
from readiness.config.base.subject import Subject
from readiness.fixtures.alert_engine import EngineAlerts
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, NoData


@check(
    "alerting.engine-delivery",
    title="An alert of the target's own engine arrives at the channel in time",
    why="""What the application finds out by itself often goes no way but its own: no Alertmanager
    sees that its webhook has expired, its mail is dropped, or its sender hangs. A unit test of
    it sends to a mock. Only who looks into the channel knows whether anybody would be told.""",
    fix="""Raise one by hand with `trigger` of [alerting.engine], and read the engine's log.
Look at what it sends to: an expired webhook, a revoked token, a channel that was renamed.""",
    severity="blocker",
    effect="write",
    each="engine_channel",
)
def test_engine_delivery(
    engine_channel: Subject, engine_alerts: EngineAlerts, guardian: Guardian, evidence: Evidence
) -> None:
    """Looked for at the receiver's, by an id of its own; the command's time counts."""
    told = engine_alerts.first(guardian)
    after_s = told.heard.get(engine_channel.name)
    if isinstance(after_s, CouldNotMeasure):
        raise after_s
    source = f"alert {told.probe} at {engine_channel.name}"
    arrived = evidence.judge(
        "arrived",
        Measurement("arrived", int(after_s is not None), "count", source),
        equal_to(1),
        f"the engine took it, and told nobody within {2 * engine_alerts.engine.within_s:g} s",
    )
    if arrived and after_s is not None:
        evidence.judge(
            "trigger-arrival",
            Measurement("from the trigger to arrival", after_s, "s", source),
            at_most(engine_alerts.engine.within_s),
        )


@check(
    "alerting.engine-history",
    title="The history of the target's own engine has the alert, and its end",
    why="""After an incident the history is what the review is held on: when it began, when it was
    over. An alert that is told and not written down never was; one without an end seems to last
    still, and hides the next one.""",
    fix="""Raise and end one by hand, and look at the history:
    curl -s HISTORY | grep ID
The entry must be written when the alert is raised, and once more when it ends. If it says its
end otherwise, set `end_field` or `resolved_text` in [alerting.engine.history].""",
    severity="major",
    effect="write",
    each="engine_history",
)
def test_engine_history(
    engine_history: Subject, engine_alerts: EngineAlerts, guardian: Guardian, evidence: Evidence
) -> None:
    """An entry that says its end before there is one would say nothing, and is an error."""
    told = engine_alerts.first(guardian)
    source = f"history of the {engine_history.name}, alert {told.probe}"
    raised = _read(told.raised)
    if not evidence.judge(
        "entries-while-lasts",
        Measurement("entries while it lasts", int(raised.found), "count", source),
        equal_to(1),
    ):
        return
    if raised.ended:
        raise NoData(
            "its entry says that it has ended while it lasts, so that its end cannot be told",
            where="[alerting.engine.history]",
            remedy="set `end_field`, or a `resolved_text` that only ended alerts have",
        )
    if told.ended is not None:
        ended = _read(told.ended)
        evidence.judge(
            "entries-an-end",
            Measurement("entries with an end", int(ended.ended), "count", source),
            equal_to(1),
            "it lasts for ever there" if ended.found else "its entry is gone",
        )


def _read(found: Entry | CouldNotMeasure | None) -> Entry:
    if found is None:
        raise NoData("[alerting.engine.history] is not configured", where="readiness.toml")
    if isinstance(found, CouldNotMeasure):
        raise found
    return found


@check(
    "alerting.engine-statistics",
    title="The statistics of the target's own engine count the alert",
    why="""Whether a system has become better or worse is read off such numbers, and whether
    people are woken too often. A counter that stands still says that all is well.""",
    fix="""Look at the number, raise an alert by hand, and look again:
    curl -s STATISTICS
It must be the number of all alerts so far, as `field` in [alerting.engine.statistics] names it:
one of a cache, or of the open alerts, does not move or falls again.""",
    severity="major",
    effect="write",
    each="engine_statistics",
)
def test_engine_statistics(
    engine_statistics: Subject, engine_alerts: EngineAlerts, guardian: Guardian, evidence: Evidence
) -> None:
    """By at least one: others may raise alerts, too."""
    told = engine_alerts.first(guardian)
    if isinstance(told.counted, CouldNotMeasure):
        raise told.counted
    if told.counted is None:
        raise NoData("[alerting.engine.statistics] is not configured", where="readiness.toml")
    source = f"statistics of the {engine_statistics.name}, alert {told.probe}"
    evidence.judge(
        "alerts-counted-one",
        Measurement("alerts counted for one", told.counted, "count", source),
        at_least(1),
    )


@check(
    "alerting.escalation",
    title="An alert that nobody acknowledges reaches the second tier on time, and no other does",
    why="""The first person sleeps, has no network, or has left the company: the second tier is
    what is left, and it is found to be empty on the night it is needed. If it is woken although
    somebody is at work already, people stop to acknowledge, and soon to look.""",
    fix="""Raise one by hand with `trigger` of [alerting.engine], and do nothing; raise another
one, and run `acknowledge`. See who is told, and when: the timer begins when the alert is
raised, survives a restart of the engine, and is stopped by an acknowledgement.""",
    severity="major",
    effect="write",
    each="engine_escalation",
)
def test_escalation(
    engine_escalation: Subject, engine_alerts: EngineAlerts, guardian: Guardian, evidence: Evidence
) -> None:
    """The engine's clock began while the trigger ran: both ends of that are granted."""
    engine = engine_alerts.engine
    if engine.escalation is None:
        raise NoData("[alerting.engine.escalation] is not configured", where="readiness.toml")
    (second,) = engine_alerts.channels([engine_escalation.name])
    first = engine_alerts.channels(engine.channels)
    seen = escalate(engine, engine.escalation, second, first, guardian)
    source = f"alert {seen.ignored} at {second.name}"
    arrived = evidence.judge(
        "told-ignored-alert",
        Measurement("told of the ignored alert", int(seen.after_s is not None), "count", source),
        equal_to(1),
        f"nobody further was told within {latest_s(engine.escalation):g} s",
    )
    if not arrived or seen.after_s is None:
        return
    evidence.judge(
        "trigger-second-tier",
        Measurement("from the trigger to the second tier", seen.after_s, "s", source),
        at_least(round(earliest_s(engine.escalation), 3)),
    )
    evidence.judge(
        "end-trigger-second-tier", Measurement(
            "from the end of the trigger to the second tier",
            seen.after_s - seen.trigger_s, "s", source,
        ),
        at_most(round(latest_s(engine.escalation), 3)),
    )  # fmt: skip
    evidence.judge(
        "told-acknowledged-alert", Measurement(
            "told of the acknowledged alert", int(seen.told), "count",
            f"alert {seen.acknowledged} at {second.name}",
        ),
        equal_to(0),
        "somebody was at work on it already",
    )  # fmt: skip
