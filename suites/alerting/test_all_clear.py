"""Whether an all-clear can be believed: what fell silent is not what is well."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.probes.all_clear import lose_source, stop_prometheus
from readiness.areas.alerting.probes.canary import CanaryPlan
from readiness.areas.alerting.subjects import probed_channels
from readiness.config.base.subject import Subject
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.model.errors import NoData


@check(
    "alerting.false-all-clear",
    title="When a firing system dies, an alert of its death follows the all-clear",
    why="""A system that dies while its alert fires takes its metrics along, and Prometheus calls
    that alert resolved seconds later, on every channel. Whoever was called goes back to sleep.
    Only a rule about the loss of the target itself tells that nothing is well.""",
    fix="""Add a rule for every job, with a `for` that is shorter than somebody's way back to bed:
    - alert: TargetDown
      expr: up == 0
      for: 30s
      labels: {severity: critical}
and `absent(up{job="JOB"})` for what may vanish from the configuration. See that nothing in
alert_relabel_configs, inhibit_rules or the routes takes it away.""",
    severity="blocker",
    effect="disrupt",
    each="mortal_canary",
)
def test_false_all_clear(
    mortal_canary: Subject, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """The canary fires, its exporter stops, and Alertmanager is watched."""
    plan = CanaryPlan.of(
        target.prometheus, target.alertmanager, target.alerting, probed_channels(target)
    )
    seen = lose_source(plan, guardian)
    source = f"{mortal_canary.name} {seen.probe}, {seen.job} stopped"
    if seen.all_clear_s is not None:
        evidence.record(Measurement("until the false all-clear", seen.all_clear_s, "s", source))
    noticed = evidence.judge(
        "alerts-loss",
        Measurement("alerts of the loss", int(seen.noticed_s is not None), "count", source),
        equal_to(1),
        f"told as resolved after {seen.all_clear_s:.3g} s, and nothing says that it is gone"
        if seen.all_clear_s is not None
        else "nothing says that it is gone",
    )
    if noticed and seen.noticed_s is not None:
        evidence.judge(
            "all-clear",
            Measurement(
                f"from the all-clear to {seen.noticed_by}",
                max(0.0, seen.noticed_s - (seen.all_clear_s or 0.0)),
                "s",
                source,
            ),
            at_most(plan.canary.loss_max_s),
        )
    evidence.judge(
        "steady-again",
        Measurement("steady again", int(seen.steady), "count", source),
        equal_to(1),
        "the target is still missed",
    )


@check(
    "alerting.dead-man-calls",
    title="When Prometheus dies, the dead man's switch calls right after the false all-clear",
    why="""Four minutes after Prometheus has died, Alertmanager tells all its alerts as resolved:
    an all-clear for everything, from a monitoring that is gone. Until then it goes on beating by
    itself, so that only then the dead man's switch begins to miss something. Whether it calls
    nobody knows who has not stopped Prometheus once.""",
    fix="""See the settings of the switch: how long it waits, who is called and by which way, and
whether its check is paused. Beats have to come more often than it waits:
    group_interval: 1m, repeat_interval: 50s on the route of the Watchdog.
Let the route tell the end of the Watchdog, too (send_resolved: true), if the switch takes that as
an alarm. `--rules.alert.resend-delay` of Prometheus sets how late the all-clear comes.""",
    severity="blocker",
    effect="disrupt",
    each="calling_dead_man",
)
def test_dead_man_calls(
    calling_dead_man: Subject, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """Prometheus is stopped until the call comes, or would have had to come."""
    dead_man = target.alerting.dead_man if target.alerting else None
    if target.prometheus is None or target.alerting is None or dead_man is None:
        raise NoData("this check needs [prometheus]", where="readiness.toml")
    seen = stop_prometheus(target.prometheus, target.alerting, guardian)
    source = f"{calling_dead_man.name} at {dead_man.calls}"
    limit_s = seen.all_clear_s + dead_man.max_silence_s
    called = evidence.judge(
        "calls",
        Measurement("calls", int(seen.called_s is not None), "count", source),
        equal_to(1),
        f"none within {limit_s:g} s; every alert was called resolved after {seen.all_clear_s:g} s",
    )
    if called and seen.called_s is not None:
        evidence.judge(
            "until-called",
            Measurement("until it called", seen.called_s, "s", source),
            at_most(limit_s),
        )
    evidence.judge(
        "steady-again",
        Measurement("steady again", int(seen.steady), "count", target.prometheus.url),
        equal_to(1),
        "Prometheus does not evaluate its rules again",
    )
