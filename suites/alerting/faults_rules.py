"""Faults of the alert rules that Prometheus has loaded."""

from typing import TYPE_CHECKING, Final

from readiness.model.errors import ReferenceSystemError
from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.files import Document
    from readiness.servers.levers import Lever


_JOBS: Final = ("blackbox", "node", "orders", "postgres", "prometheus")
_HEALTHY: Final = "alerting.rules-healthy[prometheus]"
_METADATA: Final = "alerting.rule-metadata[prometheus]"
_SLOW: Final = "alerting.slow-query-alert[shop]"
_QUIET: Final = "alerting.quiet-baseline[prometheus]"
# Takes longer than the group's interval of 100 ms, on a machine that does nothing else, too.
_HEAVY: Final = "sum_over_time(vector(1)[6000s:10ms])"


def _required(alert: str, *keys: str) -> dict[str, set[str]]:
    return {f"alerting.required-rules[{alert}]": set(keys)}


def _rule(document: "Document", alert: str) -> "Document":
    """The rule of that name, in the document of a rule file."""
    for group in document["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == alert:
                found: Document = rule
                return found
    raise ReferenceSystemError(f"there is no rule {alert}", where="alerts.yml")


def _edited(system: "ReferenceSystem", alert: str, **changes: object) -> "Lever":
    """Set something on a loaded rule; labels and annotations are merged."""

    def edit(document: "Document") -> None:
        rule = _rule(document, alert)
        for key, value in changes.items():
            rule[key] = {**rule[key], **value} if isinstance(value, dict) else value

    return system.levers.edit_rules(edit)


def _rewritten(system: "ReferenceSystem", alert: str, old: str, new: str) -> "Lever":
    """Replace a text in the expression of a loaded rule."""

    def edit(document: "Document") -> None:
        rule = _rule(document, alert)
        if old not in rule["expr"]:
            raise ReferenceSystemError(f"there is no {old!r} in {alert}", where="alerts.yml")
        rule["expr"] = rule["expr"].replace(old, new)

    return system.levers.edit_rules(edit)


def _deleted(system: "ReferenceSystem", alert: str) -> "Lever":
    def edit(document: "Document") -> None:
        wanted = _rule(document, alert)
        for group in document["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule is not wanted]

    return system.levers.edit_rules(edit)


def _added(system: "ReferenceSystem", *rules: "Document", **group: str) -> "Lever":
    """Load more rules, well described, in a group of their own."""

    def edit(document: "Document") -> None:
        described = {**_rule(document, "MemoryHigh")["annotations"], "summary": "Made up"}
        more = [{"annotations": described} if "alert" in rule else {} for rule in rules]
        name = rules[0].get("alert") or rules[0]["record"]
        # Each group has a name of its own: missed evaluations are counted by it.
        added = [{**rule, **texts} for rule, texts in zip(rules, more, strict=True)]
        document["groups"].append({"name": f"fault-{name}", **group, "rules": added})

    return system.levers.edit_rules(edit)


@fault(misses=_required("MemoryCritical", "loaded"), story="a required rule was never merged")
def rule_is_not_loaded(system: "ReferenceSystem") -> "Lever":
    """It is in a repository."""
    return _deleted(system, "MemoryCritical")


@fault(
    misses=_required("MemoryCritical", "severity"),
    story="a critical rule was made a warning to keep it quiet",
)
def rule_has_another_severity(system: "ReferenceSystem") -> "Lever":
    """What somebody does at night, and forgets."""
    return _edited(system, "MemoryCritical", labels={"severity": "warning"})


@fault(
    misses=_required("ErrorsInAnHour", "for"),
    story="a rule that must fire at once waits for half an hour",
)
def rule_waits_too_long(system: "ReferenceSystem") -> "Lever":
    """What is done against an alert that flaps."""
    return _edited(system, "ErrorsInAnHour", **{"for": "30m"})


@fault(
    misses={**_required("SlowQueries", "bound", "fires"), _SLOW: {"arrived"}},
    story="3000 was copied from a specification in ms; the metric is in seconds",
)
def bound_is_in_milliseconds(system: "ReferenceSystem") -> "Lever":
    """The classic: loaded, healthy, and silent forever."""
    return _rewritten(system, "SlowQueries", "> 3", "> 3000")


@fault(
    misses={**_required("MemoryHigh", "bound", "fires"), _HEALTHY: {"can-fire"}},
    story="a ratio is compared with 75",
)
def bound_is_in_percent(system: "ReferenceSystem") -> "Lever":
    """No ratio reaches that."""
    return _rewritten(system, "MemoryHigh", "0.75", "75")


@fault(
    misses={**_required("SlowQueries", "fires"), _SLOW: {"arrived"}, _HEALTHY: {"joins"}},
    story="a rule has a second condition on a label that its maximum has lost",
)
def condition_never_matches(system: "ReferenceSystem") -> "Lever":
    """It looks right, bound and all, and can never fire."""
    condition = ' > 3 and on (instance) pg_up{job="postgres"} == 1'
    return _rewritten(system, "SlowQueries", " > 3", condition)


@fault(
    misses={
        **_required("MemoryHigh", "quiet", "resolves", "quiet-at-bound"),
        _HEALTHY: {"ends"},
    },
    story="a rule compares with `bool`, and fires at every value",
)
def rule_always_fires(system: "ReferenceSystem") -> "Lever":
    """A comparison with `bool` gives 0 or 1, and both fire."""
    return _rewritten(system, "MemoryHigh", "> 0.75", "> bool 0.75")


@fault(misses=_required("MemoryHigh", "quiet-at-bound"), story="a rule fires at its bound already")
def rule_fires_at_its_bound(system: "ReferenceSystem") -> "Lever":
    """`>=` where `>` was agreed."""
    return _rewritten(system, "MemoryHigh", "> 0.75", ">= 0.75")


@fault(misses={_HEALTHY: {"errors"}}, story="a rule cannot be evaluated")
def rule_has_an_error(system: "ReferenceSystem") -> "Lever":
    """A label that does not tell the series apart: many-to-many matching."""
    return _added(
        system,
        {
            "alert": "Broken",
            "expr": "up / on (environment) up > 1",
            "labels": {"severity": "warning"},
        },
    )


@fault(misses={_HEALTHY: {"selectors"}}, story="a rule misspells its metric")
def metric_is_misspelled(system: "ReferenceSystem") -> "Lever":
    """It is loaded, healthy, and inactive."""
    return _rewritten(system, "MemoryHigh", "MemAvailable", "MemAvailble")


@fault(
    misses={_HEALTHY: {"selectors"}, _SLOW: {"arrived"}}, story="a rule selects another database"
)
def label_is_misspelled(system: "ReferenceSystem") -> "Lever":
    """What is left of a rule when a database is renamed."""
    return _rewritten(system, "SlowQueries", 'datname="shop"', 'datname="orders"')


def _warning(alert: str, expression: str) -> dict[str, object]:
    """A rule that waits for an hour: nobody is notified during a proof."""
    labels = {"severity": "warning"}
    return {"alert": alert, "expr": expression, "for": "1h", "labels": labels}


@fault(misses={_HEALTHY: {"can-fire"}}, story="a rule waits until no instance is counted as 0")
def count_is_compared_with_zero(system: "ReferenceSystem") -> "Lever":
    """No series is counted as no series."""
    return _added(system, _warning("NoInstance", 'count(up{job="orders"} == 1) == 0'))


@fault(
    misses={_HEALTHY: {"joins"}},
    story="a rule compares the requests of each handler with a figure of the whole instance",
)
def sides_never_match(system: "ReferenceSystem") -> "Lever":
    """One side has the label `handler` alone, the other one never has it."""
    requests = 'sum by (handler) (rate(prometheus_http_requests_total{job="prometheus"}[1m]))'
    limit = 'go_goroutines{job="prometheus"}'
    return _added(system, _warning("TooManyRequests", f"{requests} > {limit} * 1e6"))


@fault(misses={_HEALTHY: {"ends"}}, story="a rule is meant to compare, and only calculates")
def rule_has_no_comparison(system: "ReferenceSystem") -> "Lever":
    """Every value fires, 0 too."""
    traffic = 'sum(rate(http_requests_total{job="orders"}[1m])) or vector(0)'
    return _added(system, _warning("NoTraffic", f"1 - clamp_max({traffic}, 1)"))


@fault(misses={_HEALTHY: {"types"}}, story="a rule takes the rate of a gauge")
def rate_of_a_gauge(system: "ReferenceSystem") -> "Lever":
    """Each fall counts as a restart of a counter."""
    routines = 'rate(go_goroutines{job="prometheus"}[1m])'
    return _added(system, _warning("RoutinesGrow", f"{routines} > 1e12"))


@fault(
    misses={_HEALTHY: {"ranges"}}, story="a rate spans 1 s of a job that is scraped every second"
)
def range_is_too_short(system: "ReferenceSystem") -> "Lever":
    """It never has two samples."""
    return _rewritten(system, "HighErrorRate", "[1m]", "[1s]")


@fault(
    misses={_HEALTHY: {"ranges-tight"}},
    story="a rate spans 3 s of a job that is scraped every second",
)
def range_is_tight(system: "ReferenceSystem") -> "Lever":
    """Two lost scrapes, and it gives nothing."""
    return _rewritten(system, "HighErrorRate", "[1m]", "[3s]")


@fault(misses={_HEALTHY: {"on-time"}}, story="a rule takes longer than its group's interval")
def rules_take_too_long(system: "ReferenceSystem") -> "Lever":
    """What a range over weeks does."""
    return _added(system, {"record": "fault:heavy", "expr": _HEAVY}, interval="100ms")


@fault(misses={_METADATA: {"severity"}}, story="the severity of a rule is misspelled")
def severity_is_misspelled(system: "ReferenceSystem") -> "Lever":
    """No route asks for it: it ends at the default receiver."""
    return _edited(system, "HealthCheckFails", labels={"severity": "warnign"})


@fault(misses={_METADATA: {"identity"}}, story="a label of an alert holds its value")
def value_is_a_label(system: "ReferenceSystem") -> "Lever":
    """Each evaluation makes another alert, and `for` starts again."""
    return _edited(system, "MemoryHigh", labels={"used": "{{ $value | humanizePercentage }}"})


@fault(misses={_METADATA: {"summary"}}, story="a rule has no summary")
def rule_has_no_summary(system: "ReferenceSystem") -> "Lever":
    """The page then says how many alerts fire."""
    return _edited(system, "HealthCheckFails", annotations={"summary": ""})


@fault(misses={_METADATA: {"runbook"}}, story="a rule has no runbook")
def rule_has_no_runbook(system: "ReferenceSystem") -> "Lever":
    """Whoever is paged searches for one."""
    return _edited(system, "HealthCheckFails", annotations={"runbook_url": ""})


@fault(misses={_METADATA: {"runbook-exists"}}, story="a runbook was moved")
def runbook_is_gone(system: "ReferenceSystem") -> "Lever":
    """Found out at night."""
    return system.levers.edit_rules(
        lambda document: _rule(document, "MemoryHigh")["annotations"].update(
            runbook_url=_rule(document, "MemoryHigh")["annotations"]["runbook_url"] + "-old"
        )
    )


@fault(misses={_METADATA: {"labels"}}, story="a summary names a label that the sum has lost")
def summary_names_a_lost_label(system: "ReferenceSystem") -> "Lever":
    """The place of the host is empty then."""
    return _edited(
        system, "ErrorsInAnHour", annotations={"summary": "Errors on {{ $labels.instance }}"}
    )


@fault(
    misses={
        **{f"alerting.job-loss[{job}]": {"down"} for job in _JOBS},
        "alerting.false-all-clear[ReadinessCanary]": {"target-down"},
    },
    story="no rule looks at whether targets are up",
)
def no_rule_watches_targets(system: "ReferenceSystem") -> "Lever":
    """What turns a crash into a false "resolved"."""
    return _deleted(system, "TargetDown")


@fault(misses={"alerting.job-loss[node]": {"gone"}}, story="no rule notices a job without targets")
def no_rule_misses_a_job(system: "ReferenceSystem") -> "Lever":
    """What a label renamed in service discovery does."""
    return _rewritten(system, "JobGone", 'or absent(up{job="node"})', "")


@fault(misses={_QUIET: {"quiet"}}, story="a critical alert is pending before the gate begins")
def incident_is_under_way(system: "ReferenceSystem") -> "Lever":
    """A gate must not run in the middle of one."""
    incident = {"alert": "Incident", "expr": 'up{job="prometheus"} == 1', "for": "1h"}
    return _added(system, {**incident, "labels": {"severity": "critical"}})


@fault(
    misses={
        _QUIET: {"critical-rules"},
        _METADATA: {"severity"},
        "alerting.routing[critical]": set(),
        "alerting.notification-timing[critical]": set(),
        **_required("HighErrorRate", "severity"),
        **_required("ErrorsInAnHour", "severity"),
        **_required("DatabaseConnectionFailure", "severity"),
        **_required("MemoryCritical", "severity"),
    },
    story="the rules say `page`, and readiness.toml says `critical`",
)
def severities_were_renamed(system: "ReferenceSystem") -> "Lever":
    """What a clean-up of the rules does that nobody agreed."""

    def edit(document: "Document") -> None:
        for group in document["groups"]:
            for rule in group["rules"]:
                if rule["labels"]["severity"] == "critical" and "readiness_probe" not in str(rule):
                    rule["labels"]["severity"] = "page"

    return system.levers.edit_rules(edit)


_SEVERITY: Final = 'alert = "SlowQueries"\nseverity = "warning"'


@fault(
    misses={_SLOW: {"arrived"}},
    story="The rule on slow statements watches another database of the server",
)
def rule_watches_another_database(system: "ReferenceSystem") -> "Lever":
    """It has the right threshold, and a series: only that nothing ever runs there."""
    return _rewritten(system, "SlowQueries", 'datname="shop"', 'datname="postgres"')


@fault(
    misses={_SLOW: {"severity"}},
    story="The alert on slow statements is agreed to page, and is sent as a warning.",
)
def slow_query_alert_is_only_a_warning(system: "ReferenceSystem") -> "Lever":
    """Nothing but the agreement differs."""
    agreed = _SEVERITY.replace("warning", "critical")
    return system.levers.replace_in_config(_SEVERITY, agreed)


@fault(
    misses={_SLOW: {"in-time"}},
    story="The alert on slow statements is agreed within a second, and needs an evaluation.",
)
def slow_query_alert_is_late(system: "ReferenceSystem") -> "Lever":
    """The message arrives, later than agreed."""
    return system.levers.replace_in_config(_SEVERITY, f"{_SEVERITY}\nmessage_within_s = 0.1")
