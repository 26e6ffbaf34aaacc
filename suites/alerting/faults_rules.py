"""What must turn the checks on rules, and on the way to Alertmanager, red."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from readiness.config.loading import load
from readiness.lib.patience import until
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import ReferenceSystemError
from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.levers import Lever

_JOBS: Final = ("blackbox", "node", "orders", "postgres", "prometheus")
_TARGET: Final = "[prometheus]"
_WAIT_S: Final = 30.0
_WARNING: Final = {"severity": "warning"}
# Takes longer than the group's interval of 100 ms, on a machine that does nothing else, too.
_HEAVY: Final = "sum_over_time(vector(1)[6000s:10ms])"


def _rule(document: dict[str, Any], alert: str) -> dict[str, Any]:
    """The rule of that name, in the document of a rule file."""
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == alert:
                found: dict[str, Any] = rule
                return found
    raise ReferenceSystemError(f"there is no rule {alert}", where="alerts.yml")


def _replace(document: dict[str, Any], alert: str, old: str, new: str) -> None:
    """Replace a text in the expression of one rule."""
    rule = _rule(document, alert)
    if old not in rule["expr"]:
        raise ReferenceSystemError(f"there is no {old!r} in {alert}", where="alerts.yml")
    rule["expr"] = rule["expr"].replace(old, new)


def _rewritten(system: "ReferenceSystem", alert: str, old: str, new: str) -> "Lever":
    """Replace a text in the expression of a loaded rule."""
    return system.levers.edit_rules(lambda document: _replace(document, alert, old, new))


def _delete(document: dict[str, Any], alert: str) -> None:
    wanted = _rule(document, alert)
    for group in document["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule is not wanted]


def _add(document: dict[str, Any], rule: dict[str, Any], **group: str) -> None:
    """Load one more rule, well described, in a group of its own."""
    name = rule.get("alert") or rule["record"]
    described = {**_rule(document, "MemoryHigh")["annotations"], "summary": "Made up"}
    more = {"annotations": described} if "alert" in rule else {}
    # Each group has a name of its own: of evaluations that were missed there is a memory.
    document["groups"].append({"name": f"fault-{name}", **group, "rules": [{**rule, **more}]})


def _wait_until_firing(system: "ReferenceSystem", alert: str) -> None:
    settings = load(system.config_path, os.environ | system.environ).config.prometheus
    if settings is None:
        raise ReferenceSystemError("this system has no Prometheus")
    with Prometheus(settings) as prometheus:
        names = until(
            lambda: {a.name for a in prometheus.alerts() if a.state == "firing"},
            lambda firing: alert in firing,
            within_s=_WAIT_S,
        )
    if alert not in names:
        raise ReferenceSystemError(f"{alert} does not fire", where=settings.url)


@fault(
    turns_red={
        "alerting.required-rules[MemoryCritical]",
        "alerting.rule-thresholds[MemoryCritical]",
    },
    story="a required rule was never merged",
)
@contextmanager
def rule_is_not_loaded(system: "ReferenceSystem") -> Iterator[None]:
    """What a rule is that lies in a repository."""
    with system.levers.edit_rules(lambda document: _delete(document, "MemoryCritical")):
        yield


@fault(
    turns_red={"alerting.required-rules[MemoryCritical]"},
    story="a critical rule was made a warning to keep it quiet",
)
@contextmanager
def rule_has_another_severity(system: "ReferenceSystem") -> Iterator[None]:
    """What somebody does at night, and forgets."""
    with system.levers.edit_rules(
        lambda document: _rule(document, "MemoryCritical")["labels"].update(severity="warning")
    ):
        yield


@fault(
    turns_red={"alerting.required-rules[ErrorsInAnHour]"},
    story="a rule that must fire at once waits for half an hour",
)
@contextmanager
def rule_waits_too_long(system: "ReferenceSystem") -> Iterator[None]:
    """What is done against an alert that flaps."""
    with system.levers.edit_rules(
        lambda document: _rule(document, "ErrorsInAnHour").update({"for": "30m"})
    ):
        yield


@fault(
    turns_red={
        "alerting.required-rules[SlowQueries]",
        "alerting.rule-thresholds[SlowQueries]",
    },
    story="3000 was copied from a specification in ms; the metric is in seconds",
)
@contextmanager
def bound_is_in_milliseconds(system: "ReferenceSystem") -> Iterator[None]:
    """The classic: loaded, healthy, and silent for ever."""
    with _rewritten(system, "SlowQueries", "> 3", "> 3000"):
        yield


@fault(
    turns_red={
        "alerting.required-rules[MemoryHigh]",
        "alerting.rule-thresholds[MemoryHigh]",
    },
    story="a ratio is compared with 75",
)
@contextmanager
def bound_is_in_percent(system: "ReferenceSystem") -> Iterator[None]:
    """What no ratio reaches."""
    with _rewritten(system, "MemoryHigh", "0.75", "75"):
        yield


@fault(
    turns_red={"alerting.rule-thresholds[SlowQueries]"},
    story="a rule has a second condition on a label that its maximum has lost",
)
@contextmanager
def condition_never_matches(system: "ReferenceSystem") -> Iterator[None]:
    """What looks right, bound and all, and can never fire."""
    condition = ' > 3 and on (instance) pg_up{job="postgres"} == 1'
    with _rewritten(system, "SlowQueries", " > 3", condition):
        yield


@fault(turns_red={f"alerting.rules-healthy{_TARGET}"}, story="a rule cannot be evaluated")
@contextmanager
def rule_has_an_error(system: "ReferenceSystem") -> Iterator[None]:
    """What a label does that tells nothing apart: many-to-many matching."""
    broken = {"alert": "Broken", "expr": "up / on (environment) up > 1", "labels": _WARNING}
    with system.levers.edit_rules(lambda document: _add(document, broken)):
        yield


@fault(turns_red={f"alerting.rule-selectors{_TARGET}"}, story="a rule misspells its metric")
@contextmanager
def metric_is_misspelt(system: "ReferenceSystem") -> Iterator[None]:
    """What is loaded, healthy, and inactive."""
    with _rewritten(system, "MemoryHigh", "MemAvailable", "MemAvailble"):
        yield


@fault(turns_red={f"alerting.rule-selectors{_TARGET}"}, story="a rule asks for another database")
@contextmanager
def label_is_misspelt(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of a rule when a database is renamed."""
    with _rewritten(system, "SlowQueries", 'datname="shop"', 'datname="orders"'):
        yield


@fault(
    turns_red={f"alerting.rule-ranges{_TARGET}"},
    story="a rate spans 1 s of a job that is scraped every second",
)
@contextmanager
def range_is_too_short(system: "ReferenceSystem") -> Iterator[None]:
    """What never has two samples."""
    with _rewritten(system, "HighErrorRate", "[1m]", "[1s]"):
        yield


@fault(
    turns_red={f"alerting.rules-keep-up{_TARGET}"},
    story="a rule takes longer than its group's interval",
)
@contextmanager
def rules_take_too_long(system: "ReferenceSystem") -> Iterator[None]:
    """What a range over weeks does."""
    heavy = {"record": "fault:heavy", "expr": _HEAVY}
    with system.levers.edit_rules(lambda document: _add(document, heavy, interval="100ms")):
        yield


@fault(turns_red={f"alerting.rule-metadata{_TARGET}"}, story="a runbook was moved")
@contextmanager
def runbook_is_gone(system: "ReferenceSystem") -> Iterator[None]:
    """What is found out at night."""
    with system.levers.edit_rules(
        lambda document: _rule(document, "MemoryHigh")["annotations"].update(
            runbook_url=_rule(document, "MemoryHigh")["annotations"]["runbook_url"] + "-old"
        )
    ):
        yield


@fault(
    turns_red={f"alerting.rule-metadata{_TARGET}"},
    story="a summary names a label that the sum has lost",
)
@contextmanager
def summary_names_no_label(system: "ReferenceSystem") -> Iterator[None]:
    """What people then read: <no value>."""
    with system.levers.edit_rules(
        lambda document: _rule(document, "ErrorsInAnHour")["annotations"].update(
            summary="Errors on {{ $labels.instance }}"
        )
    ):
        yield


@fault(
    turns_red={f"alerting.job-loss[{job}]" for job in _JOBS},
    story="no rule looks at whether targets are up",
)
@contextmanager
def nobody_watches_the_targets(system: "ReferenceSystem") -> Iterator[None]:
    """What turns a crash into an all-clear."""
    with system.levers.edit_rules(lambda document: _delete(document, "TargetDown")):
        yield


@fault(
    turns_red={"alerting.job-loss[node]"},
    story="no rule notices a job that has no target any more",
)
@contextmanager
def nobody_misses_a_job(system: "ReferenceSystem") -> Iterator[None]:
    """What a label renamed in service discovery does."""
    with _rewritten(system, "JobGone", 'or absent(up{job="node"})', ""):
        yield


@fault(
    turns_red={f"alerting.quiet-baseline{_TARGET}"},
    story="something critical is wrong before the gate begins",
)
@contextmanager
def incident_is_under_way(system: "ReferenceSystem") -> Iterator[None]:
    """What a gate must not be run in the middle of."""
    incident = {
        "alert": "Incident",
        "expr": "vector(1)",
        "for": "1h",
        "labels": {"severity": "critical"},
    }
    with system.levers.edit_rules(lambda document: _add(document, incident)):
        yield


@fault(
    turns_red={f"alerting.alertmanagers-reachable{_TARGET}"},
    story="Prometheus sends to one more Alertmanager than anybody declared",
)
@contextmanager
def one_alertmanager_too_many(system: "ReferenceSystem") -> Iterator[None]:
    """What stays behind when a cluster has moved."""

    def edit(document: dict[str, Any]) -> None:
        targets = document["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
        targets.append(targets[0].replace("127.0.0.1", "localhost"))

    with system.levers.edit_prometheus(edit):
        yield


@fault(
    turns_red={f"alerting.handed-over{_TARGET}"},
    story="a relabelling drops an alert on its way, and nothing counts it",
)
@contextmanager
def alert_is_dropped_on_the_way(system: "ReferenceSystem") -> Iterator[None]:
    """What a rule against noise does with its regular expression."""
    drop = {"source_labels": ["alertname"], "regex": "Maintenance", "action": "drop"}
    noisy = {"alert": "Maintenance", "expr": "vector(1)", "labels": _WARNING}
    with (
        system.levers.edit_prometheus(
            lambda document: document["alerting"].update(alert_relabel_configs=[drop])
        ),
        system.levers.edit_rules(lambda document: _add(document, noisy)),
    ):
        _wait_until_firing(system, "Maintenance")
        yield


@fault(
    turns_red={f"alerting.notifications-not-lost{_TARGET}"},
    story="Alertmanager refuses an alert that a relabelling leaves without any label",
)
@contextmanager
def alerts_are_refused(system: "ReferenceSystem") -> Iterator[None]:
    """What Prometheus counts, and nobody looks at."""
    # It fires at every other evaluation only, so that it is not missed as well: of what has
    # ended Alertmanager is told, too.
    flaps = {"alert": "Refused", "expr": "vector(time()) % 2 < 1", "labels": _WARNING}
    is_it = {"source_labels": ["alertname"], "regex": "Refused", "replacement": ""}
    strip = [
        {**is_it, "target_label": "severity"},
        {**is_it, "target_label": "alertname"},
    ]
    with (
        system.levers.edit_prometheus(
            lambda document: document["alerting"].update(alert_relabel_configs=strip)
        ),
        system.levers.edit_rules(lambda document: _add(document, flaps)),
    ):
        _wait_until_firing(system, "Refused")
        yield
