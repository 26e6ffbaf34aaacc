"""Rules that can never fire, always fire or change their labels, each beside healthy ones."""

from datetime import UTC, datetime

import pytest

from readiness.areas.alerting.possible import Kinds
from readiness.areas.alerting.soundness import (
    always_fires,
    changing_labels,
    compares_to_truth,
    fires_while_there,
    functions,
    is_on_purpose,
    never_ends,
    never_fires,
)
from readiness.lib.prometheus.replies import Rule

KINDS: Kinds = {
    "errors_total": "counter",
    "requests": "counter",  # OpenMetrics: its series is requests_total
    "temperature": "gauge",
    "topic_offset": "gauge",
    "latency_seconds": "histogram",
    "age_seconds": "summary",
}


def rule(expression: str, for_s: float = 0, name: str = "A", **labels: str) -> Rule:
    return Rule.model_validate({
        "name": name, "type": "alerting", "query": expression, "duration": for_s, "labels": labels,
        "health": "ok", "lastEvaluation": datetime.now(UTC),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("count(up == 1) == 0", "count(up == 1) is never below 1"),
        ("count by (job) (up) < 1", "is never below 1"),
        ("sum(up == 0) > 0", "sum(up == 0) is always 0"),
        ("absent(up) == 0", "absent(up) is always 1"),
        ("up > 1", "up is between 0 and 1"),
        ("1 < up", "up is between 0 and 1"),
        ("avg by (job) (up) > 1", "is between 0 and 1"),
        ("probe_success == 2", "probe_success is between 0 and 1"),
        ("count_over_time(x[5m]) == 0", "is never below 1"),
        ("hour() > 24", "hour() is between 0 and 23"),
        ("x > 5 and on () day_of_week() == 7", "day_of_week() is between 0 and 6"),
        ("clamp_max(x, 100) > 100", "is never above 100"),
        ("rate(errors_total[5m]) < 0", "is never below 0"),
        ("errors_total < 0", "errors_total is never below 0"),
        ("x > 10 < 5", "x > 10 is never below 10"),
        ("x > 10 and x < 5", "contradicts itself"),
        ("x != 0 and x == 0", "contradicts itself"),
        ("x > 10 unless x", "gives nothing: what is on the left is on the right, too"),
        ("x > 10 unless x > 10", "gives nothing: what is on the left is on the right, too"),
        ("x > 10 unless x > 5", "gives nothing: what is on the left is on the right, too"),
        ("sum by (job) (up) / count by (job) (up) > 1", "never holds"),
        ("sum_over_time(up[5m]) / count_over_time(up[5m]) > 1", "never holds"),
        ("time() - timestamp(x) > 600", "no sample that is older than 5m"),
        ("(time() - timestamp(x)) / 60 > 10", "no sample that is older than 5m"),
        ("time() - max by (job) (timestamp(x)) >= 300", "no sample that is older than 5m"),
        ("vector(0) > 0", "is always 0"),
        (
            'sum(rate(errors_total{s=~"5.."}[5m])) / sum(rate(errors_total[5m])) > 5',
            "is between 0 and 1",
        ),
        (
            '100 * rate(errors_total{s="5"}[5m]) / rate(errors_total[5m]) > 100',
            "",  # the multiplication comes first: it divides by no whole
        ),
        ("count(up == 0) / count(up) * 100 > 100", "is between 0 and 100"),
        ("1 - node_filesystem_avail_bytes / node_filesystem_size_bytes > 90", "between 0 and 1"),
        (
            "histogram_quantile(0.99, sum by (job) (rate(rt_seconds_bucket[5m]))) > 3",
            "sum by (job) (...) drops `le`",
        ),
        ("histogram_quantile(0.9, sum without (le) (rate(rt_bucket[5m]))) > 3", "drops `le`"),
        ("histogram_quantile(0.9, sum(rate(rt_bucket[5m]))) > 3", "sum(...) drops `le`"),
    ],
)
def test_a_rule_that_can_never_fire(expression: str, why: str) -> None:
    found = never_fires(rule(expression), KINDS)

    assert why in found
    assert bool(why) is bool(found)


@pytest.mark.parametrize(
    "expression",
    [
        "count(up == 1) == 0 or absent(up)",
        "(count(up == 1) or vector(0)) == 0",
        "up == 0",
        "sum(up) < 1",
        "sum(x == 1) > 5",
        "absent(up) == 1",
        "x < 0",
        "delta(temperature[5m]) < 0",
        "rate(temperature[5m]) < 0",  # judged by its type
        "errors_total == 0",
        "avg(up) < 0.5",
        "x > 5 < 10",
        "x > 10 and on (job) x < 5",
        "x > 10 or x < 5",
        "x != 0",
        "x < +Inf",
        "pool_used_bytes / pool_total_bytes > 1",  # a quota can be exceeded
        'sum(rate(errors_total{s="5"}[5m])) / sum(rate(errors_total[5m])) > 0.05',
        "sum(rate(errors_total[5m])) / sum(rate(requests_total[5m])) > 2",
        "node_filesystem_avail_bytes / node_filesystem_size_bytes * 100 < 10",
        "histogram_quantile(0.9, sum by (le, job) (rate(rt_bucket[5m]))) > 3",
        "histogram_quantile(0.9, sum by (job) (rate(rt_seconds[5m]))) > 3",  # a native one
        "histogram_quantile(0.9, rate(rt_bucket[5m])) > 3",
        "hour() >= 8 < 17 and on () x > 3",
        "time() - x > 3600",
        "time() - timestamp(x) > 240",
        "(time() - timestamp(x)) / 60 > 4",
        "time() - timestamp(x offset 1h) > 600",
        "time() - max(timestamp(x) or vector(0)) > 600",
        "x unless x > 10",
        "x > 5 unless x > 10",
        "x > 5 and x != 7",
        "sum(up) / count by (job) (up) > 1",
        "sum(up) / count(up) < 0.5",
        "x > 10 unless on (job) y",
        "vector(scalar(x)) > 2 * 3",
        "-temperature > 5",
        "+".join(["x"] * 60) + " > 3",
    ],
)
def test_a_rule_that_can_fire(expression: str) -> None:
    assert never_fires(rule(expression), KINDS) == ""


@pytest.mark.parametrize(
    ("expression", "for_s", "never"),
    [
        ("mysql_global_status_uptime < 60", 300, True),
        ("mysql_global_status_uptime < 60", 0, False),
        ("mysql_global_status_uptime < 60", 30, False),
        ("60 > redis_uptime_in_seconds", 60, True),
        ("time() - process_start_time_seconds < 300", 600, True),
        ("time() - process_start_time_seconds < 3600", 600, False),
        ("(node_time_seconds - node_boot_time_seconds) / 60 < 5", 300, True),
        ("sysUpTime / 100 < 60", 300, True),
        ("sysUpTime < 6000", 30, False),
        ("max by (job) (app_uptime_seconds) < 60 and on (job) up == 1", 120, True),
        ("time() - last_heartbeat_timestamp_seconds < 60", 300, False),  # it may be renewed
        ("service_uptime < 0.99", 300, False),  # an availability
        ("service_uptime < 99.5", 300, False),
        ("app_uptime_seconds > 86400", 300, False),
        ("resets(errors_total[5m]) > 0", 300, True),
        ("sum by (job) (changes(process_start_time_seconds[5m])) >= 1", 600, True),
        ("changes(process_start_time_seconds[15m]) > 2", 1800, False),  # it keeps restarting
        ("changes(process_start_time_seconds[15m]) > 0", 60, False),
        ("changes(leader_id[1m]) > 0", 300, False),
        ("increase(restarts_total[5m]) > 0", 900, False),
        ("rate(errors_total[1m]) > 1", 300, False),
        ("x < 60", 300, False),
    ],
)
def test_a_condition_that_ends_before_for(expression: str, for_s: float, never: bool) -> None:
    found = never_fires(rule(expression, for_s), KINDS)

    assert ("`for` asks for" in found) is never


@pytest.mark.parametrize(
    ("expression", "always"),
    [
        ("vector(0)", True),
        ("1 - clamp_max((sum(rate(errors_total[10s])) * 300) or vector(0), 1)", True),
        ("(sum(x) or vector(0)) > bool 3", True),
        ("vector(time()) >= 0", True),
        ("(sum(rate(errors_total[5m])) or vector(0)) >= 0", True),
        ("(sum(x) or vector(0)) > 3", False),
        ("absent(x)", False),
        ("x", False),
        ("x > bool 3", False),
        ("sum(x) > 1 or vector(1) > 2", False),
        ("vector(1) unless on () x", False),
        ("vector(1) and on () x > 1", False),
        ("time() - x > 60", False),
    ],
)
def test_a_rule_that_fires_whatever_happens(expression: str, always: bool) -> None:
    assert bool(always_fires(rule(expression), KINDS)) is always


@pytest.mark.parametrize(
    ("expression", "bare"),
    [
        ("x", True),
        ("x > bool 3", True),
        ("sum by (job) (rate(errors_total[5m]))", True),
        ("rate(errors_total[5m]) >= 0", True),
        ("x > 3 or y", True),
        ("x > 3", False),
        ("count(x > 3)", False),
        ("x and on () y", False),
        ("x unless y", False),
        ('ALERTS{severity="info"}', False),
        ("absent(x) or absent(y)", False),
        ("(x > 3) * on (job) group_left (team) owner", False),
    ],
)
def test_a_rule_without_a_condition(expression: str, bare: bool) -> None:
    found = rule(expression)

    assert fires_while_there(found, KINDS) is bare
    assert compares_to_truth(found) is (expression == "x > bool 3")


@pytest.mark.parametrize(
    ("name", "severity", "expression", "meant"),
    [
        ("Watchdog", "none", "vector(1)", True),
        ("Watchdog", "critical", "vector(1)", True),
        ("PrometheusAlertmanagerE2eDeadManSwitch", "critical", "vector(1)", True),
        ("Heartbeat", "warning", "1 == bool 1", False),
        ("NoTraffic", "warning", "vector(1)", False),
        ("Watchdog", "none", "vector(0)", False),
    ],
)
def test_a_rule_that_always_fires_on_purpose(
    name: str, severity: str, expression: str, meant: bool
) -> None:
    assert is_on_purpose(rule(expression, name=name, severity=severity)) is meant


@pytest.mark.parametrize(
    ("expression", "latched"),
    [
        ("errors_total > 10", True),
        ("sum by (job) (errors_total) >= 5", True),
        ("10 < requests_total", True),
        ("errors_total > 0", False),  # from the first one to a restart
        ("errors_total >= 1", False),
        ("errors_total < 10", False),
        ("increase(errors_total[1h]) > 10", False),
        ("errors_total - errors_total offset 1h > 10", False),
        ("errors_total > 10 and rate(errors_total[5m]) > 0", False),
        ("unknown_total > 10", False),
        ("temperature > 10", False),
    ],
)
def test_a_counter_that_is_compared_itself(expression: str, latched: bool) -> None:
    assert bool(never_ends(rule(expression), KINDS)) is latched


@pytest.mark.parametrize(
    ("text", "expression", "changes"),
    [
        ("disk {{ humanize $value }}% full", "x > 80", True),
        ("{{ $value }}", "x > 80", True),
        ("{{ .Value }}", "x > 80", True),
        ('{{ $value | printf "%.0f" }}', "x > 80", True),
        ("{{ $v := $value }}{{ $v }}", "x > 80", True),
        ("{{ with $value }}{{ . }}{{ end }}", "x > 80", True),
        ('{{ with query "y" }}{{ . | first | value }}{{ end }}', "x > 80", True),
        ('{{ range query "y" }}{{ .Value }}{{ end }}', "x > 80", True),
        ("{{ if gt $value 90.0 }}page{{ else }}warn{{ end }}", "x > 80", False),
        ("{{- if gt $value 90.0 -}}page{{- else if lt $value 5.0 -}}a{{- end -}}", "x > 80", False),
        ("{{ $value }}", "up == 0", False),  # it is always 0
        ("{{ $value }}", "absent(up)", False),
        ("{{ $labels.value }}", "x > 80", False),
        ("{{ $labels.query }}", "x > 80", False),
        ('{{ printf "query $value of %s" $labels.team }}', "x > 80", False),
        ("{{ $labels.team }}-{{ $externalLabels.cluster }}", "x > 80", False),
        ("the $value of it", "x > 80", False),
        ("{{ with $labels.team }}{{ . }}{{ end }}", "x > 80", False),
    ],
)
def test_a_label_that_holds_a_value(text: str, expression: str, changes: bool) -> None:
    found = changing_labels(rule(expression, severity="page", title=text), KINDS)

    assert found == (["title"] if changes else [])


@pytest.mark.parametrize(
    ("expression", "misfit"),
    [
        ("rate(temperature[5m]) > 1", "A: rate() of temperature, which is a gauge"),
        ("sum(increase(temperature{a='b'}[5m])) > 1", 'increase() of temperature{a="b"}'),
        ('rate(age_seconds{quantile="0.9"}[5m]) > 1', "which is a gauge"),
        ("delta(errors_total[5m]) > 1", "delta() of errors_total, which is a counter"),
        ("deriv(errors_total[5m]) > 1", "deriv() of errors_total, which is a counter"),
        ("predict_linear(errors_total[1h], 60) > 1", "predict_linear() of errors_total"),
        ("rate(errors_total[5m]) > 1", ""),
        ("rate(requests_total[5m]) > 1", ""),
        ("rate(requests_created[5m]) > 1", ""),
        ("rate(latency_seconds_bucket[5m]) > 1", ""),
        ("rate(latency_seconds[5m]) > 1", ""),  # a native histogram
        ("rate(age_seconds_sum[5m]) / rate(age_seconds_count[5m]) > 1", ""),
        ("rate(topic_offset[5m]) > 1", ""),  # a gauge that only grows
        ("deriv(temperature[5m]) > 1", ""),
        ("delta(temperature[5m]) > 1", ""),
        ("avg_over_time(temperature[5m]) > 1", ""),
        ("rate(nobody_knows[5m]) > 1", ""),
        ("rate(job:errors:rate5m[5m]) > 1", ""),
        ("max_over_time(rate(errors_total[1m])[5m:]) > 1", ""),
    ],
)
def test_a_function_that_does_not_fit_the_type(expression: str, misfit: str) -> None:
    found = functions(rule(expression), KINDS)

    assert misfit in "; ".join(map(str, found.misfits))
    assert bool(misfit) is bool(found.misfits)
