"""The checks of loaded rules and of the way to Alertmanager, on a real Prometheus."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from readiness.areas.alerting.config import RequiredRule
from readiness.areas.alerting.probes import cluster as handover_probe
from readiness.areas.alerting.probes import rule_trial
from readiness.areas.alerting.probes import rules as rules_probe
from readiness.config.base.watching import Alertmanager, Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable
from readiness.model.evidence import Evidence
from readiness.model.secrets import Secret
from readiness.servers.processes import free_port
from tests.support.monitored_service import TEXT_FORMAT, missed, misses, suite
from tests.support.processes import eventually
from tests.support.real_prometheus import LABELS, Ruled, rule, ruled
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

EXPOSED = """\
usage_ratio{part="a"} 0.4
slow_seconds 1
# TYPE errors_total counter
errors_total 0
# TYPE temperature gauge
temperature 20
connections{datname="shop"} 95
connection_limit{server="db:5432"} 100
node_load{node="n1:9100"} 1
app_load{node="n1"} 1
pod_load{pod="web-1"} 1
pod_info{pod="metrics-0",exported_pod="web-1"} 1
failed_info{part="b",team="x"} 1
backup_time{job="backup"} 1
recorded_rt 1
"""
SEVERITIES = {
    "critical": {"channels": [["chat"]]},
    "warning": {"channels": [["chat"]], "may_be_muted": True},
}
WATCHDOG = rule("Watchdog", "vector(1)", labels={"severity": "none"})


class FakeAlertmanager(SmallServer):
    """Accepts alerts, and shows those in `held`."""

    def __init__(self) -> None:
        super().__init__({"/-/ready": Reply("OK", content_type="text/plain")})
        self.held: list[dict[str, str]] = []
        self.refuses = False
        self.routes["/api/v2/alerts"] = self._alerts
        status = {
            "cluster": {"status": "disabled"},
            "config": {"original": ""},
            "uptime": datetime.now(UTC).isoformat(),
        }
        self.routes["/api/v2/status"] = Reply(json.dumps(status))

    def _alerts(self) -> Reply:
        if self.requests[-1][0] == "POST":
            return Reply("no", 400) if self.refuses else Reply("")
        now = datetime.now(UTC)
        known = {
            "startsAt": now.isoformat(),
            "updatedAt": now.isoformat(),
            "endsAt": (now + timedelta(minutes=1)).isoformat(),
            "status": {"state": "active"},
        }
        found = [{"labels": labels, **known} for labels in self.held]
        return Reply(json.dumps(found))

    @property
    def place(self) -> str:
        return self.url.removeprefix("http://")


@pytest.fixture(scope="module")
def service() -> Iterator[SmallServer]:
    """What is scraped, and has a runbook."""
    with SmallServer({
        "/metrics": Reply(EXPOSED, content_type=TEXT_FORMAT),
        "/runbook": Reply("What to do", content_type="text/plain"),
        "/login": Reply("", 401),
    }) as server:  # fmt: skip
        yield server


@pytest.fixture(scope="module")
def alertmanager() -> Iterator[FakeAlertmanager]:
    with FakeAlertmanager() as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, service: SmallServer, alertmanager: FakeAlertmanager
) -> Iterator[Ruled]:
    place = service.url.removeprefix("http://")
    with ruled(tmp_path_factory.mktemp("ruled"), place, [alertmanager.place]) as started:
        with Prometheus(started.settings) as client:  # its discovery looks around every 5 s
            assert eventually(lambda: len(client.alertmanagers()) == 1)
            assert eventually(lambda: len(client.query("up == 1")) == 2)
        yield started


@pytest.fixture(autouse=True)
def _rules_are_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing series stays missing: `load` has waited for the others."""
    monkeypatch.setattr(rules_probe, "_SLACK_S", 2.0)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Shortens the waiting for events that never come."""

    def hurry() -> None:
        monkeypatch.setattr(handover_probe, "_DISCOVERY_S", 1.0)
        monkeypatch.setattr(handover_probe, "_SLACK_S", 1.0)
        monkeypatch.setattr(rule_trial, "_DISCOVERY_S", 1.0)

    return hurry


def target(**changes: Any) -> Config:
    alerting = {
        "severities": SEVERITIES,
        "channels": {"chat": {"integration": "slack"}},
        **changes.pop("alerting", {}),
    }
    described = {"target": {"name": "t"}, "alerting": alerting}
    return Config.model_validate(described | changes)


def judged(module: str, name: str, settings: Settings, **more: Any) -> Evidence:
    """What a check finds."""
    evidence = Evidence()
    with Prometheus(settings) as watcher:
        check = getattr(suite(f"alerting.{module}"), f"test_{name}")
        check(watcher=watcher, evidence=evidence, **more)
    return evidence


def quality(name: str, settings: Settings, config: Config | None = None) -> Evidence:
    return judged("test_rules", name, settings, prometheus=settings, target=config or target())


healthy = partial(quality, "rules_healthy")
metadata = partial(quality, "rule_metadata")


def required(settings: Settings, name: str = "Slow", **changes: Any) -> Evidence:
    wanted = {"name": name, "severity": "warning", "above": 3000, "unit": "ms", "metric_unit": "s"}
    found = RequiredRule.model_validate(wanted | changes)
    return judged("test_required_rules", "required_rules", settings, alert_rule=found)


def handover(name: str, settings: Settings, *peers: str) -> Evidence:
    """One part of the check of the cluster."""
    evidence = Evidence()
    more = [Alertmanager(urls=list(peers))] if peers else []
    with Prometheus(settings) as watcher:
        getattr(suite("alerting.test_alertmanager"), f"_judge_{name}")(watcher, *more, evidence)
    return evidence


QUALITY = ("rules_healthy", "quiet_baseline")
GOOD = (
    rule("Slow", "max(slow_seconds) > 3", **{"for": "5s"}),
    rule("Full", 'usage_ratio{part="a"} > 0.9', labels={"severity": "critical"}),
    rule("Errors", "sum(increase(errors_total[10s])) > 10"),
    rule("Gone", 'absent(up{job="app"})'),
)


@pytest.mark.parametrize("name", QUALITY)
@pytest.mark.fast
def test_good_rules_pass(prometheus: Ruled, name: str) -> None:
    prometheus.load(*GOOD, WATCHDOG)

    assert misses(quality(name, prometheus.settings)) == ""


@pytest.mark.parametrize(
    ("name", "bad", "expected"),
    [
        ("rules_healthy", rule("Broken", "up / on (nope) up > 1"), "Broken: "),
        ("rules_healthy", rule("Typo", "usage_ratoi > 1"), "Typo: usage_ratoi has no series now"),
        (
            "rules_healthy",
            rule("Typo", 'usage_ratio{part="b"} > 1'),
            'none of the metric has part="b"',
        ),
        ("rules_healthy", rule("Typo", "sum(nope or neither) > 1"), "Typo: neither has no series"),
        ("rules_healthy", rule("Short", "rate(errors_total[1s]) > 1"), "spans 1 intervals of 1 s"),
        ("quiet_baseline", rule("Bad", "vector(1)", labels={"severity": "critical"}), "Bad"),
    ],
)
def test_a_bad_rule_is_found_and_named(
    prometheus: Ruled, name: str, bad: dict[str, Any], expected: str
) -> None:
    prometheus.load(*GOOD, bad)

    assert expected in misses(quality(name, prometheus.settings))


UNSOUND = {
    "sum by (datname) (connections) > connection_limit * 0.8": "only the left side has the label",
    "max(slow_seconds) > 3 and on (instance) up == 1": "only the right side has the label instance",
    "node_load > on (node) app_load * 2": 'node="n1:9100" and node="n1" differ in the port',
    "pod_load * on (pod) group_left () pod_info > 3": "what is pod on one side is exported_pod",
    "usage_ratio > 3 and on (job) up{job='prometheus'} == 1": 'job="app" on the left, and job=',
    "histogram_quantile(0.9, recorded_rt) > 3": "its series have no `le`",
    "count(up == 1) == 0": "count(up == 1) is never below 1",
    "slow_seconds > bool 3": "it has no condition",
    "errors_total - errors_total": "it has no condition",
    "errors_total > 10": "compares the counter errors_total itself",
    "vector(0)": "it has a value whatever happens",
    "delta(errors_total[10s]) > 1": "delta() of errors_total, which is a counter",
    'time() - backup_time{job="backup"} > 86400': 'and some has exported_job="backup"',
}


def test_rules_that_cannot_work_are_found_and_named(prometheus: Ruled) -> None:
    keys: set[str] = set()
    failures: list[str] = []
    # A message names five of them.
    numbered = [rule(f"R{n}", text) for n, text in enumerate(UNSOUND)]
    for some in (numbered[:5], numbered[5:10], numbered[10:]):
        prometheus.load(*some)
        evidence = healthy(prometheus.settings)
        keys |= missed(evidence)
        failures += evidence.failures

    assert keys == {"selectors", "joins", "can-fire", "ends", "types"}
    unnamed = [
        text
        for number, (text, why) in enumerate(UNSOUND.items())
        if not any(f"R{number}: " in said and why in said for said in failures)
    ]
    assert unnamed == [], failures


SOUND = (
    "sum by (instance) (connections) > on (instance) connection_limit * 0.99",
    "usage_ratio > 3 and on (job) up == 1",
    "usage_ratio > 3 unless on (part) failed_info",
    "usage_ratio * on (part) group_left (team) failed_info > 3",  # nothing has failed now
    "usage_ratio > 3 and on (part) failed_info",
    "absent(slow_seconds) and on () up == 1",
    "count(up == 0) / count(up) > 0.5",
    "count(up == 1) == 0 or absent(up)",
    "(sum(rate(errors_total[10s])) or vector(0)) > 5",
    "failed_info",  # its series are there while something is wrong
    "time() - backup_time > 1e12",
    "errors_total > 0",
    "delta(temperature[10s]) > 5",
)


def test_rules_that_can_work_are_no_finding(prometheus: Ruled) -> None:
    prometheus.load(*(rule(f"R{n}", text) for n, text in enumerate(SOUND)))

    evidence = healthy(prometheus.settings)

    assert misses(evidence) == ""
    assert evidence.warnings == []


def test_a_rate_of_a_steady_gauge_is_a_warning(prometheus: Ruled) -> None:
    prometheus.load(rule("Warm", "rate(temperature[10s]) > 1"))

    evidence = healthy(prometheus.settings)

    assert misses(evidence) == ""
    assert "Warm: rate() of temperature, which is a gauge" in evidence.warnings[0]


def test_a_judgement_of_nothing_is_no_pass(prometheus: Ruled) -> None:
    prometheus.load(rule("Gone", 'absent(up{job="app"})'), WATCHDOG)

    evidence = healthy(prometheus.settings)

    assert "no alert rule selects a series that must exist" in str(evidence.lost[0])
    judged = {m.key for m in evidence.measurements if m.limit}
    assert judged == {"errors", "on-time", "can-fire", "ends"}


def test_a_range_of_three_scrapes_is_a_warning(prometheus: Ruled) -> None:
    prometheus.load(rule("Tight", "rate(errors_total[3s]) > 1"))

    evidence = healthy(prometheus.settings)

    assert misses(evidence) == ""
    assert "Tight: errors_total[3s] spans 3 intervals" in evidence.warnings[0]


def test_a_metric_that_is_declared_to_come_later_may_be_missing(prometheus: Ruled) -> None:
    prometheus.load(rule("Later", "later_total > 1"), rule("Down", "up == 0"))
    declared = target(alerting={"no_series_yet": ["later_total"]})

    assert misses(healthy(prometheus.settings, declared)) == ""
    assert "later_total" in misses(healthy(prometheus.settings))


def test_labels_of_a_metric_without_series_must_exist(prometheus: Ruled) -> None:
    prometheus.load(rule("Later", 'usage_ratio{prat="x",part="z"} > 1'))
    declared = target(alerting={"no_series_yet": ["usage_ratio"]})

    found = misses(healthy(prometheus.settings, declared))

    assert "names the label prat" in found
    assert "the label part" not in found


def test_a_group_that_cannot_keep_up_is_found(prometheus: Ruled) -> None:
    heavy = {"record": "heavy", "expr": "sum_over_time(vector(1)[3000s:10ms])"}
    prometheus.load(heavy, WATCHDOG, name="heavy", interval="50ms")

    assert "group heavy" in misses(healthy(prometheus.settings))


def test_nothing_critical_among_the_rules_is_a_finding(prometheus: Ruled) -> None:
    prometheus.load(WATCHDOG)

    found = misses(quality("quiet_baseline", prometheus.settings))

    assert "No loaded rule has a critical severity" in found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"annotations": {"summary": "x"}}, "Rules without a runbook (1): A"),
        ({"annotations": {"runbook_url": "@/runbook"}}, "Rules without a summary (1): A"),
        ({"labels": {"severity": "critcal"}}, "A: critcal"),
        ({"labels": {}}, "A: no severity"),
        ({"annotations": {"summary": "x", "runbook_url": "@/gone"}}, "/gone answered 404"),
        ({"annotations": {"summary": "x", "runbook_url": "@/login"}}, ""),
        (
            {
                "expr": "sum(up) < 1",
                "annotations": {"summary": "{{ $labels.instance }}", "runbook_url": "@/runbook"},
            },
            "{{ $labels.instance }} becomes empty",
        ),
        (
            {"expr": "slow_seconds > 3", "labels": {**LABELS, "seconds": "{{ $value }}"}},
            "A: seconds={{ $value }}",
        ),
    ],
)
def test_required_metadata(
    prometheus: Ruled, service: SmallServer, changes: dict[str, Any], expected: str
) -> None:
    usual = {"annotations": {"summary": "x", "runbook_url": "@/runbook"}}
    made = rule("A", "up == 0", **(usual | changes))
    made["annotations"] = {k: v.replace("@", service.url) for k, v in made["annotations"].items()}
    prometheus.load(made)

    found = misses(metadata(prometheus.settings))

    assert found == "" if not expected else expected in found


def test_rules_without_any_agreed_severity_are_no_pass(prometheus: Ruled) -> None:
    prometheus.load(WATCHDOG)

    with pytest.raises(NoData, match="no alert rule has an agreed severity"):
        metadata(prometheus.settings)


def test_a_runbook_that_does_not_answer_is_an_error(prometheus: Ruled) -> None:
    away = f"http://127.0.0.1:{free_port()}/runbook"
    prometheus.load(rule("A", "up == 0", annotations={"summary": "x", "runbook_url": away}))

    with pytest.raises(Unreachable, match="1 of 1 runbooks did not answer"):
        metadata(prometheus.settings)


@pytest.mark.parametrize(
    ("changes", "wanted", "expected"),
    [
        ({}, {}, ""),
        ({"expr": "max(slow_seconds) > 3000"}, {}, "> 3000 is the figure in ms, and the rule"),
        ({"expr": "max(slow_seconds) < 3"}, {}, "Slow compares < 3, and above 3 s is agreed"),
        ({"expr": "max(slow_seconds) > 4"}, {}, "agreed is 3000 ms, which is 3 s"),
        ({"labels": {"severity": "info"}}, {}, "Slow has severity info, and warning is agreed"),
        ({"for": "10m"}, {}, "`for` of Slow: 600 s (10 min); limit 300 s"),
        ({}, {"name": "Slwo"}, "the nearest are Slow"),
        (
            {"expr": 'usage_ratio{part="a"} > 75'},
            {"above": 75, "unit": "percent", "metric_unit": "ratio"},
            "> 75 is the figure in percent",
        ),
    ],
)  # fmt: skip
def test_a_rule_is_compared_with_what_was_agreed(
    prometheus: Ruled, changes: dict[str, Any], wanted: dict[str, Any], expected: str
) -> None:
    prometheus.load(rule("Slow", "max(slow_seconds) > 3", **changes))

    found = misses(required(prometheus.settings, **wanted))

    assert found == "" if not expected else expected in found


def test_a_rule_without_a_bound_is_an_error(prometheus: Ruled) -> None:
    prometheus.load(rule("Slow", "absent(slow_seconds)"))

    evidence = required(prometheus.settings)

    with pytest.raises(NoData, match="compares nothing with a number") as caught:
        evidence.conclude()
    assert len(evidence.lost) == 2
    # One waiver accepts both, and nothing else of this rule.
    named = caught.value.remedy.partition('error = "')[2].partition('"')[0]
    assert all(named in lost.message for lost in evidence.lost)
    assert 'subject = "Slow"' in caught.value.remedy


def test_the_loaded_rule_is_tried(prometheus: Ruled) -> None:
    plan = {"name": "Slow", "severity": "warning", "above": 3}
    tried = partial(
        judged, "test_required_rules", "required_rules", prometheus.settings,
        alert_rule=RequiredRule.model_validate(plan),
    )  # fmt: skip

    prometheus.load(rule("Slow", "max(slow_seconds) >= 3"))
    evidence = tried()
    assert misses(evidence) == ""
    assert "Slow fires at exactly 3 count: agreed is above 3 count" in evidence.warnings[0]

    prometheus.load(rule("Slow", "max(slow_seconds) > bool 3"))
    assert "Slow fires at 2.94 count" in misses(tried())

    prometheus.load(WATCHDOG)
    assert misses(tried()).startswith("Slow is not loaded")


def test_the_loss_of_a_job_is_tried_on_all_loaded_rules(
    prometheus: Ruled, hurried: Callable[[], None]
) -> None:
    job = Job.model_validate({"name": "app", "interval_s": 1})
    lost = partial(judged, "test_required_rules", "job_loss", prometheus.settings, job=job)

    broken = rule("Broken", "up / on (nope) up > 1")
    prometheus.load(rule("Down", "up == 0"), rule("Gone", 'absent(up{job="app"})'), broken)
    assert misses(lost()) == ""

    prometheus.load(rule("Down", "up == 0"), WATCHDOG)
    evidence = lost()
    assert misses(evidence) == ""
    assert "fires when app has no targets any more" in evidence.warnings[0]

    recorded = {"record": "job:up:sum", "expr": "sum by (job) (up)"}
    prometheus.load(recorded, rule("Down", "job:up:sum < 1"), rule("Gone", 'absent(up{job="app"})'))
    assert misses(lost()) == ""

    prometheus.load(WATCHDOG)
    assert "None of 1 loaded rules fires when all targets of app are down" in misses(lost())

    hurried()
    gone = Job.model_validate({"name": "nope", "interval_s": 1})
    with pytest.raises(NoData, match="the job nope has no target"):
        lost(job=gone)


def test_firing_alert_must_be_at_every_peer(
    prometheus: Ruled, alertmanager: FakeAlertmanager, hurried: Callable[[], None]
) -> None:
    prometheus.load(WATCHDOG)
    prometheus.evaluates("Watchdog")
    same = {"alertname": "Watchdog", "severity": "none", "cluster": "added on the way"}

    alertmanager.held = [same]
    assert misses(handover("handed_over", prometheus.settings, alertmanager.url)) == ""

    hurried()
    alertmanager.held = [{**same, "severity": "critical"}]
    found = misses(handover("handed_over", prometheus.settings, alertmanager.url))
    assert f"Watchdog (severity=none) at {alertmanager.url}" in found


def test_an_alert_that_is_sent_again_later_is_not_missing_yet(
    prometheus: Ruled, alertmanager: FakeAlertmanager, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus.load(WATCHDOG)
    prometheus.evaluates("Watchdog")
    alertmanager.held = []
    monkeypatch.setattr(handover_probe, "_resent_s", lambda _: 3600.0)
    settings = prometheus.settings.model_copy(update={"wait_max_s": 0.2})

    with pytest.raises(NoData, match=r"sends it again 3600 s after .* ago") as refused:
        handover("handed_over", settings, alertmanager.url)
    assert "`wait_max_s = 3600` in [prometheus]" in (refused.value.remedy or "")


def test_no_firing_alert_is_an_error(
    prometheus: Ruled, alertmanager: FakeAlertmanager, hurried: Callable[[], None]
) -> None:
    prometheus.load(rule("Never", "vector(1) > 2"))
    hurried()

    with pytest.raises(NoData, match="no alert fires"):
        handover("handed_over", prometheus.settings, alertmanager.url)


def test_an_alertmanager_is_asked_itself(
    prometheus: Ruled, alertmanager: FakeAlertmanager, hurried: Callable[[], None]
) -> None:
    ask = partial(handover, "listed", prometheus.settings)
    assert misses(ask(alertmanager.url)) == ""
    hurried()
    assert "2 are declared (`.urls`)" in misses(ask(alertmanager.url, "http://127.0.0.1:9"))

    ready = alertmanager.routes.pop("/-/ready")
    try:
        assert "answered 404" in misses(ask(alertmanager.url))
    finally:
        alertmanager.routes["/-/ready"] = ready


def test_the_token_goes_to_declared_alertmanagers_alone(
    prometheus: Ruled, alertmanager: FakeAlertmanager
) -> None:
    def sent(*urls: str) -> str | None:
        settings = Alertmanager(urls=list(urls), bearer=Secret("for-our-own"))
        with Prometheus(prometheus.settings) as watcher:
            handover_probe.receivers(watcher, settings)
        asked = [headers for _, path, headers in alertmanager.requests if path == "/-/ready"]
        return asked[-1].get("authorization")

    assert sent(alertmanager.url) == "Bearer for-our-own"
    assert sent("http://127.0.0.1:9") is None


def test_losses_are_counted_while_watched(
    prometheus: Ruled, alertmanager: FakeAlertmanager
) -> None:
    prometheus.load(WATCHDOG)
    prometheus.evaluates("Watchdog")
    assert misses(handover("losses", prometheus.settings)) == ""

    alertmanager.refuses = True
    try:
        found = misses(handover("losses", prometheus.settings))
    finally:
        alertmanager.refuses = False
    assert "Prometheus could not hand over" in found


@pytest.mark.usefixtures("alertmanager")
def test_losses_are_not_waited_for_longer_than_agreed(
    prometheus: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus.load(WATCHDOG)
    prometheus.evaluates("Watchdog")
    settings = prometheus.settings.model_copy(update={"wait_max_s": 0.2})

    def grown() -> bool:
        with Prometheus(settings) as client:
            past = handover_probe._past(client, 2.0)
            return past is not None and past.lost == handover_probe._counters(client).lost

    monkeypatch.setattr(handover_probe, "_resent_s", lambda _: 2.0)
    assert eventually(grown)
    assert misses(handover("losses", settings)) == ""

    monkeypatch.setattr(handover_probe, "_turn_s", lambda _: 3600.0)
    with pytest.raises(NoData, match="shows after 3600 s only"):
        handover("losses", settings)


def test_no_rule_at_all_is_an_error(prometheus: Ruled) -> None:
    prometheus.load()

    for name in QUALITY:
        with pytest.raises(NoData, match="no alerting rule is loaded"):
            quality(name, prometheus.settings)


ALL: list[Callable[[Settings], Evidence]] = [
    *(partial(quality, name) for name in QUALITY),
    metadata,
    required,
    lambda settings: handover("listed", settings, "http://127.0.0.1:9"),
    lambda settings: handover("handed_over", settings, "http://127.0.0.1:9"),
    partial(handover, "losses"),
]  # fmt: skip


@pytest.mark.parametrize("look", ALL)
@pytest.mark.parametrize(
    "reply",
    [
        Reply("<html>Login</html>", 200, "text/html"),
        Reply("", 302, headers={"Location": "/login"}),
        Reply("no", 401),
        Reply('{"status": "error", "errorType": "internal", "error": "busy"}', 503),
        Reply('{"status": "success", "data": null}'),
    ],
)
def test_another_server_is_an_error(look: Callable[[Settings], Evidence], reply: Reply) -> None:
    with SmallServer({}) as server:
        server.otherwise = reply
        with pytest.raises(CouldNotMeasure):
            look(Settings(url=server.url, timeout_s=5))


@pytest.mark.parametrize("look", ALL)
def test_prometheus_that_is_down_is_an_error(look: Callable[[Settings], Evidence]) -> None:
    with pytest.raises(Unreachable):
        look(Settings(url=f"http://127.0.0.1:{free_port()}", timeout_s=5))


def test_a_rule_that_was_never_evaluated_is_an_error() -> None:
    new = {
        "name": "A", "type": "alerting", "query": "up", "health": "unknown",
        "lastEvaluation": "0001-01-01T00:00:00Z", "labels": LABELS,
    }  # fmt: skip
    group = {"name": "g", "file": "f", "interval": 60, "rules": [new]}
    with SmallServer({}) as server:
        server.otherwise = Reply(json.dumps({"status": "success", "data": {"groups": [group]}}))
        with pytest.raises(NoData, match="has not been evaluated for the first time"):
            quality("rules_healthy", Settings(url=server.url, timeout_s=5, wait_max_s=0.2))
