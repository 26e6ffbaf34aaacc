"""Whether the rules that Prometheus has loaded can do their work at all."""

from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.alerting.probes import rule_groups, rules
from readiness.areas.alerting.probes.rules import Loaded
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.model.errors import NoData

_SHOWN: Final = 5
_STALE_INTERVALS: Final = 2
_FEWEST_SAMPLES: Final = 2
_ADVISED_SAMPLES: Final = 4
_MISSED_MAX: Final = 0.05
_BUSY_MAX: Final = 0.5
_RULES: Final = "GET /api/v1/rules"


@check(
    "alerting.rules-healthy",
    title="Every rule is evaluated on time, and without an error",
    why="""A rule that cannot be evaluated never fires: two series match where one may, a function
    is not known, a group hangs. Prometheus notes it beside the rule, where nobody looks.""",
    fix="""The message names the rule and Prometheus's own error. Try its expression:
    promtool query instant PROMETHEUS 'EXPRESSION'
"many-to-many matching": say with `on (...)` and `group_left` which labels tell the series apart.
Not evaluated for long: the machine is overloaded, see alerting.rules-keep-up.""",
    severity="blocker",
    effect="observe",
    each="prometheus",
)
def test_rules_healthy(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    evidence: Evidence,
) -> None:
    """Waits for a first evaluation, and for a second look where the last one is late."""
    found = until(lambda: rules.loaded(watcher), lambda seen: not _late(seen), within_s=5.0)
    sick = [f"{r.name}: {r.error or r.health}" for _, r in found.all_rules if r.health != "ok"]
    for name, wrong in (("rules with an error", sick), ("rules evaluated late", _late(found))):
        evidence.judge(
            "name",
            Measurement(name, len(wrong), "count", _RULES, len(found.all_rules)),
            equal_to(0),
            _named(wrong),
        )


def _late(found: Loaded) -> list[str]:
    return [
        f"{rule.name}: last evaluated {found.at - rule.evaluated.timestamp():.0f} s ago"
        for group, rule in found.all_rules
        if found.at - rule.evaluated.timestamp() > _STALE_INTERVALS * group.interval_s + 1
    ]


def _named(wrong: list[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return "; ".join(wrong[:_SHOWN]) + more


@check(
    "alerting.rule-selectors",
    title="Everything that alert rules select exists",
    why="""A rule on a metric that is called something else is loaded, healthy and inactive, exactly
    as one that has nothing to complain of. It happens with a typing error, and with every
    upgrade of an exporter that renames a metric.""",
    fix="""The message names the rule, and what does not exist. Look for the right name:
    curl -s 'PROMETHEUS/api/v1/label/__name__/values' | jq -r '.data[]' | grep WORD
A metric that has its first series with the first error: let the service begin it at 0, or name it
in `no_series_yet` of [alerting]. One that may rightly be missing: write `absent(...)` for it, or
`or vector(0)` behind it.""",
    severity="blocker",
    effect="observe",
    each="prometheus",
)
def test_rule_selectors(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    target: Config,
    evidence: Evidence,
) -> None:
    """Now or within six hours; waits until a fresh Prometheus has scraped its targets."""
    found = rules.loaded(watcher)
    alerting = target.alerting
    early = list(alerting.no_series_yet) if alerting else []
    canary = alerting.canary.alert if alerting and alerting.canary else ""
    judged = [rule for _, rule in found.alerting if rule.name != canary]
    looked = until(
        lambda: rules.look_for(watcher, judged, early),
        lambda seen: not seen.blind,
        within_s=rules.patience_s(found.groups),
    )
    evidence.judge(
        "selectors-find-nothing",
        Measurement(
            "selectors that find nothing", len(looked.blind), "count", _RULES, looked.selectors
        ),
        equal_to(0),
        _named([str(blind) for blind in looked.blind]),
    )


@check(
    "alerting.rule-ranges",
    title="Every range in a rule spans two scrapes at least",
    why="""rate() needs two samples within its range. Where the range is as long as the scrape
    interval, it gives nothing, and the rule never fires; where it spans just two, one lost
    scrape does the same.""",
    fix="""Make the range in the rule longer, four intervals are the usual advice:
    rate(errors_total[5m])     for a job that is scraped every minute
or scrape the job more often: `scrape_interval` in its entry of prometheus.yml.""",
    severity="major",
    effect="observe",
    each="prometheus",
)
def test_rule_ranges(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    evidence: Evidence,
) -> None:
    """Against the interval of the very job that the series come from."""
    found = rules.loaded(watcher)
    told, unknown = until(
        lambda: rules.spans(watcher, found),
        lambda seen: not seen[1],
        within_s=rules.patience_s(found.groups),
    )
    short = [str(span) for span in told if span.samples < _FEWEST_SAMPLES]
    tight = [str(s) for s in told if _FEWEST_SAMPLES <= s.samples < _ADVISED_SAMPLES]
    evidence.judge(
        "ranges-shorter-two-scrapes",
        Measurement("ranges shorter than two scrapes", len(short), "count", _RULES, len(told)),
        equal_to(0),
        _named(short),
    )
    evidence.judge(
        "ranges-shorter-four-scrapes",
        Measurement("ranges shorter than four scrapes", len(tight), "count", _RULES, len(told)),
        equal_to(0),
        f"one lost scrape silences the rule: {_named(tight)}",
        warn_only=True,
    )
    if unknown:
        evidence.record(
            Measurement("ranges over series of no known job", len(unknown), "count", _RULES)
        )


@check(
    "alerting.rules-keep-up",
    title="Prometheus evaluates its rules as often as it should",
    why="""A group that takes longer than its interval skips evaluations: `for: 1m` becomes five
    minutes, and the alert comes late on the day when the machine is busy anyway.""",
    fix="""Find the expensive rule of the group that the message names:
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[] | {name, interval, evaluationTime}'
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | {name, evaluationTime}'
Record what it computes in a group of its own, shorten its range, or evaluate it less often
(`interval` of the group).""",
    severity="major",
    effect="observe",
    each="prometheus",
)
def test_rules_keep_up(prometheus: Settings, watcher: Prometheus, evidence: Evidence) -> None:
    """In the last ten minutes, or since the start."""
    found = rules.loaded(watcher)
    for group in rule_groups.missed(watcher):
        evidence.judge(
            "measurement", group.measurement, at_most(_MISSED_MAX), "its rules fire late"
        )
    calm = until(
        lambda: rule_groups.busiest(watcher.rules()),
        lambda seen: all(float(measured.value) <= _BUSY_MAX for measured in seen),
        within_s=rules.patience_s(found.groups),
    )
    for measured in calm:
        evidence.judge("measured", measured, at_most(_BUSY_MAX), "soon it will miss evaluations")
    if not calm:
        raise NoData("no group of rules has an interval", where=prometheus.url)


@check(
    "alerting.quiet-baseline",
    title="Nothing critical is wrong before the gate begins",
    why="""A gate that is run in the middle of an incident measures the incident. And who releases
    while an alert is firing that wakes somebody finds the release's own fault later, beneath
    the one that was there before.""",
    fix="""See what it is, and end it before the gate is run again:
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[] | {state, labels}'
An alert that always fires and is meant to: give it another severity, as `none`.""",
    severity="major",
    effect="observe",
    each="prometheus",
)
def test_quiet_baseline(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    target: Config,
    evidence: Evidence,
) -> None:
    """By what the rules' expressions give at this moment; a blink of one evaluation is let pass."""
    alerting = target.alerting
    if alerting is None or not alerting.severities:
        raise NoData(
            "which severities are critical is not declared",
            remedy="declare [alerting.severities.NAME]; those with `may_be_muted = false` are",
        )
    critical = {name for name, policy in alerting.severities.items() if not policy.may_be_muted}
    apart = {alerting.dead_man.alert} if alerting.dead_man else set[str]()
    apart |= {alerting.canary.alert} if alerting.canary else set()
    found = rules.loaded(watcher)
    judged = [r for _, r in found.alerting if r.severity in critical and r.name not in apart]
    evidence.judge(
        "critical-rules",
        Measurement("critical rules", len(judged), "count", _RULES),
        at_least(1),
        f"no loaded rule has the severity {', '.join(sorted(critical))}",
    )
    holding = until(
        lambda: _holding(watcher, judged),
        lambda seen: not seen,
        within_s=rules.patience_s(found.groups),
    )
    evidence.judge(
        "critical-alerts",
        Measurement("critical alerts", len(holding), "count", _RULES, len(judged)),
        equal_to(0),
        _named(holding),
    )


def _holding(watcher: Prometheus, judged: list[Rule]) -> list[str]:
    """What is pending or firing, or would be at the next evaluation."""
    names = {rule.name for rule in judged}
    active = {f"{a.name} is {a.state}" for a in watcher.alerts() if a.name in names}
    return sorted(active) or [f"{r.name} holds" for r in judged if watcher.query(r.query)]
