"""The shadow replay against a real Alertmanager: what is sent, when, and what is inhibited."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from readiness.areas.alerting.probes import shadow
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.probes.shadow import Held, Replay, Replayed
from readiness.lib.guardian import Guardian
from readiness.model.errors import NoData, Unreachable
from readiness.model.evidence import Evidence
from readiness.servers import programs
from readiness.servers.alertmanager import PrivateAlertmanager
from tests.support.alerting_samples import (
    CRITICAL,
    POLICY,
    RULES,
    WARNING,
    Document,
    peer,
    running,
)
from tests.support.monitored_service import misses, suite
from tests.support.processes import eventually, gone, needed

pytestmark = pytest.mark.contract

HURRIED = POLICY.model_copy(
    update={"severities": {"critical": CRITICAL.model_copy(update={"budget_s": 1.0})}}
)


@pytest.fixture(scope="module", autouse=True)
def _alertmanager() -> None:
    needed(programs.ALERTMANAGER)


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian() as guard:
        yield guard


def play(seen: Running, guardian: Guardian) -> Replay:
    return shadow.replay(seen, POLICY, peer(), guardian)


def judged(seen: Running, replay: Replay, severity: object = CRITICAL) -> Evidence:
    evidence = Evidence()
    suite("alerting.test_routing").test_routing(severity, seen, lambda _: replay, POLICY, evidence)
    return evidence


def of(replay: Replay, name: str) -> Replayed:
    return next(alert for alert in replay.alerts if alert.name == name)


def notified(alert: Replayed) -> set[str]:
    return {f"{found.receiver}/{found.integration}" for found in alert.deliveries}


def routes(config: Document, *names: str) -> Iterator[Document]:
    return (r for r in config["route"]["routes"] if r["receiver"] in names)


@pytest.mark.fast
def test_notified_channels_are_seen(guardian: Guardian) -> None:
    seen = running()
    replay = play(seen, guardian)

    assert notified(of(replay, "Down")) == {"pager/pagerduty[0]", "sms/webhook[0]", "chat/slack[0]"}
    assert notified(of(replay, "Slow")) == {"chat/slack[0]"}
    assert [dict(found.group) for found in of(replay, "Slow").deliveries] == [{"alertname": "Slow"}]
    assert all(alert.agrees for alert in replay.alerts)
    assert len([alert for alert in replay.alerts if alert.is_test]) == 2
    assert misses(judged(seen, replay)) == misses(judged(seen, replay, WARNING)) == ""


def test_group_wait_is_waited_for(guardian: Guardian) -> None:
    seen = running(lambda c: [r.update(group_wait="1s") for r in routes(c, "pager", "sms")])
    down = of(play(seen, guardian), "Down")

    assert down.channels(POLICY.channels, within_s=0.9).keys() == {"chat"}
    assert down.channels(POLICY.channels, within_s=30).keys() == {"chat", "pager", "sms"}


def test_rule_that_notifies_too_late_is_named(guardian: Guardian) -> None:
    seen = running(lambda c: [r.update(group_wait="2m") for r in routes(c, "pager", "sms")])
    replay = shadow.replay(seen, HURRIED, peer(), guardian)

    said = "Down notifies chat, not pager or sms: group_wait of its route is 2m"
    assert said in misses(judged(seen, replay))


def test_muted_route_sends_nothing(guardian: Guardian) -> None:
    always = [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]

    def edit(config: Document) -> None:
        config["time_intervals"] = [{"name": "always", "time_intervals": always}]
        for route in routes(config, "pager", "sms"):
            route["mute_time_intervals"] = ["always"]

    replay = shadow.replay(running(edit), HURRIED, peer(), guardian)

    assert notified(of(replay, "Down")) == {"chat/slack[0]"}
    assert of(replay, "Down").agrees


def inhibiting(source: str, target: str) -> Running:
    rule = {"source_matchers": [source], "target_matchers": [target], "equal": ["zone"]}
    return running(lambda c: c.update(inhibit_rules=[rule]))


def test_a_warning_that_inhibits_a_page_is_a_miss(guardian: Guardian) -> None:
    seen = inhibiting('alertname="Slow"', 'severity="critical"')
    replay = play(seen, guardian)

    assert of(replay, "Down").held_by == (Held(of(replay, "Slow").key, about_the_same=False),)
    assert of(replay, "Down").agrees
    assert "Down is inhibited by Slow" in misses(judged(seen, replay))


def test_a_page_may_inhibit_a_warning(guardian: Guardian) -> None:
    seen = inhibiting('alertname="Down"', 'severity="warning"')
    replay = play(seen, guardian)

    assert of(replay, "Slow").held_by == (Held(of(replay, "Down").key, about_the_same=False),)
    assert misses(judged(seen, replay, WARNING)) == misses(judged(seen, replay)) == ""


def test_a_canary_that_inhibits_anything_is_a_miss(guardian: Guardian) -> None:
    seen = inhibiting('severity="critical"', 'severity="warning"')
    found = misses(judged(seen, play(seen, guardian), WARNING))

    assert "Slow is inhibited by Canary" in found


@pytest.mark.parametrize(
    ("critical", "warning", "lost"),
    [
        ("a", "b", ""),  # of different things: not inhibited at all
        ("a", "a", ""),  # of the same thing, the page says enough
        ("", "", "Slow is inhibited by Down"),  # of nothing that is known
    ],
)
def test_inhibition_looks_at_the_labels_of_live_series(
    guardian: Guardian, critical: str, warning: str, lost: str
) -> None:
    inhibit = {"source_matchers": ['alertname="Down"'], "target_matchers": ['severity="warning"']}
    rules = (
        replace(RULES[0], series=({"zone": critical},)),
        replace(RULES[1], series=({"zone": warning},)),
    )

    def edit(config: Document) -> None:
        config["inhibit_rules"] = [{**inhibit, "equal": ["zone"]}]
        # Otherwise Down goes to the chat, too, and is enough.
        next(routes(config, "chat"))["matchers"] = ['severity="warning"']

    seen = running(edit, rules)
    paged = CRITICAL.model_copy(update={"channels": [["pager"]], "budget_s": 2.0})
    told = WARNING.model_copy(update={"may_be_muted": False})
    policy = POLICY.model_copy(update={"severities": {"critical": paged, "warning": told}})
    evidence = Evidence()
    replay = shadow.replay(seen, policy, peer(), guardian)
    suite("alerting.test_routing").test_routing(told, seen, lambda _: replay, policy, evidence)

    assert all(alert.agrees for alert in replay.alerts)
    assert bool(of(replay, "Slow").held_by) is (critical == warning)
    assert lost in misses(evidence)
    assert bool(misses(evidence)) is bool(lost)


def test_an_expression_that_cannot_be_computed_is_replayed(guardian: Guardian) -> None:
    # RE2 writes all bytes of `\pL` out, and refuses what Go takes.
    large = 'severity=~"warning|' + r"\\pL{1000}" * 16 + '"'
    seen = running(lambda c: [r.update(matchers=[large]) for r in routes(c, "chat")])
    # Alertmanager itself takes seconds to compile it.
    patient = WARNING.model_copy(update={"budget_s": 120.0})
    policy = POLICY.model_copy(update={"severities": {"warning": patient}})
    replay = shadow.replay(seen, policy, peer(), guardian)

    assert of(replay, "Slow").expected is None
    assert of(replay, "Slow").receivers == {"chat"}
    evidence = judged(seen, replay, patient)
    assert not evidence.failures
    (lost,) = evidence.lost
    assert "cannot be evaluated" in lost.message


def test_routes_that_were_computed_wrongly_are_an_error(guardian: Guardian) -> None:
    seen = running()
    replay = play(seen, guardian)
    wrong = [
        Replayed(a.labels, a.is_test, a.receivers, frozenset({"x"}), a.deliveries, ())
        for a in replay.alerts
    ]

    with pytest.raises(NoData, match="Down goes to chat, pager, sms"):
        judged(seen, Replay(tuple(wrong), "0.25.0", 0.0)).conclude()


def test_time_zones_are_brought_along(tmp_path: Path, guardian: Guardian) -> None:
    zoned = [{"name": "night", "time_intervals": [{"location": "Europe/Berlin"}]}]
    config = running(lambda c: c.update(time_intervals=zoned)).config
    assert config.zones == {"Europe/Berlin"}

    plain = {"route": {"receiver": "a"}, "receivers": [{"name": "a"}], "time_intervals": zoned}
    text = json.dumps(plain)
    with PrivateAlertmanager.start(tmp_path, text, guardian, config.zones):
        assert (tmp_path / "zoneinfo/Europe/Berlin").read_bytes().startswith(b"TZif")


def test_a_configuration_that_it_rejects_is_an_error(tmp_path: Path, guardian: Guardian) -> None:
    with pytest.raises(Unreachable, match=r"does not start: .*undefined receiver"):
        PrivateAlertmanager.start(tmp_path, "route: {receiver: a}\nreceivers: []\n", guardian)


def test_missing_alertmanager_is_an_error_with_a_remedy(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: object) -> str:
        raise programs.AbsentError("alertmanager is not here", remedy="apt-get install it")

    monkeypatch.setattr(programs, "find", none)
    with pytest.raises(Unreachable, match="apt-get install it, or put the `alertmanager`"):
        play(running(), guardian)


KILLED = """
import sys, time
from pathlib import Path
from readiness.lib.guardian import Guardian
from readiness.servers.alertmanager import PrivateAlertmanager

guardian, folder = Guardian(), Path(sys.argv[1])
guardian.remove(folder)
server = PrivateAlertmanager.start(folder, Path(sys.argv[2]).read_text(), guardian)
print(server._process.pid, flush=True)
time.sleep(600)
"""


def test_nothing_is_left_after_a_kill(tmp_path: Path) -> None:
    folder, config = tmp_path / "private", tmp_path / "config.yml"
    folder.mkdir()
    config.write_text('{"route": {"receiver": "a"}, "receivers": [{"name": "a"}]}')
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(config)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    pid = int(child.stdout.readline())
    child.kill()
    child.wait(20)
    child.stdout.close()

    assert eventually(lambda: not folder.exists())
    assert eventually(lambda: gone(pid))
