"""The checks of a target's own alert engine, against the one of the reference system."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from readiness.areas.alerting.config import (
    AlertEngine,
    Alerting,
    Channel,
    EngineEscalation,
    EngineHistory,
    EngineStatistics,
    HttpInbox,
)
from readiness.areas.alerting.probes.alert_engine import Raised, count, entry
from readiness.areas.alerting.reference import pager, pager_command
from readiness.config.base.tables import Target
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import Evidence, Outcome
from readiness.servers.processes import Daemon
from tests.support.monitored_service import misses, suite
from tests.support.processes import Undo, eventually
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

FIRST, SECOND = pager.TIERS
ESCALATION = {"escalates", "waits", "in_time", "honors_acknowledgements"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of the engine, and of the inbox that it sends to."""
    folder = tmp_path_factory.mktemp("engine")
    with Guardian() as guardian:
        inbox = started("inbox", [], folder, guardian)
        engine = started("pager", [inbox.url], folder, guardian)
        try:
            yield engine.url, inbox.url
        finally:
            engine.stop()
            inbox.stop()


def started(module: str, arguments: list[str], folder: Path, guardian: Guardian) -> Daemon:
    argv = [sys.executable, "-m", f"readiness.areas.alerting.reference.{module}"]
    return Daemon(
        module, lambda port: [*argv, str(port), *arguments], folder, guardian, "/_ctl",
        {"PYTHONPATH": str(Path(__file__).parents[2])},
    ).start()  # fmt: skip


def order(url: str, action: str) -> list[str]:
    return [sys.executable, "-I", "-S", pager_command.__file__, url, action, "{probe}"]


def engine_at(url: str) -> AlertEngine:
    return AlertEngine(
        trigger=order(url, "trigger"),
        resolve=order(url, "resolve"),
        channels=[FIRST],
        within_s=20,
        history=EngineHistory(url=f"{url}/history", end_field="resolved_at"),
        statistics=EngineStatistics(url=f"{url}/statistics", field="alerts.total"),
        escalation=EngineEscalation(
            second=SECOND, after_s=pager.ESCALATES_S, acknowledge=order(url, "acknowledge")
        ),
    )


def target_of(engine: AlertEngine, inbox: str) -> Config:
    channels = {
        name: Channel(
            name=name,
            integration="webhook",
            inbox=HttpInbox(url=f"{inbox}/messages", query=f"channel={name}&contains={{probe}}"),
        )
        for name in pager.TIERS
    }
    return Config(target=Target(name="shop"), alerting=Alerting(channels=channels, engine=engine))


@contextmanager
def faulty(url: str, fault: str) -> Iterator[None]:
    httpx.post(f"{url}/_ctl", json={fault: False}, trust_env=False)
    try:
        yield
    finally:
        httpx.post(f"{url}/_ctl", json={}, trust_env=False)


def judged(config: Config, undo: Undo | None = None) -> Evidence:
    evidence = Evidence()
    assert config.alerting
    suite("alerting.test_engine").test_engine(
        config.alerting.engine, config.alerting, undo or Undo(), evidence
    )
    return evidence


def test_a_healthy_engine_passes(servers: tuple[str, str]) -> None:
    url, inbox = servers
    undo = Undo()
    evidence = judged(target_of(engine_at(url), inbox), undo)
    assert evidence.conclude() is Outcome.PASS
    assert len({m.key for m in evidence.measurements if m.limit}) == 9
    assert undo.commands == {}
    assert undo.ever == 3
    alerts = httpx.get(f"{url}/history", trust_env=False).json()["alerts"]
    assert all(alert["resolved_at"] for alert in alerts)


def test_only_declared_parts_are_judged(servers: tuple[str, str]) -> None:
    url, inbox = servers
    bare = engine_at(url).model_copy(
        update={"history": None, "statistics": None, "escalation": None}
    )
    evidence = judged(target_of(bare, inbox))
    assert evidence.conclude() is Outcome.PASS
    assert {m.key for m in evidence.measurements if m.limit} == {"arrived", "in-time"}


@pytest.mark.parametrize(
    ("fault", "miss"),
    [
        ("notifies_first", "chat was not notified: the engine accepted the alert"),
        ("records", "The alert is not in the history while it fires"),
        ("records_ends", "The end of the alert is not in the history: it seems to fire forever"),
        ("counts", "One alert was raised, and the statistics moved by 0"),
        ("escalates", "An alert without an acknowledgement did not reach second-tier"),
        ("waits", "at least 3.5 s required (`.after_s`)"),
        ("in_time", "limit 6.5 s (`.after_s`)"),
        ("honors_acknowledgements", "second-tier was notified of an acknowledged alert"),
    ],
)
def test_fault_of_the_engine_is_a_miss(fault: str, miss: str, servers: tuple[str, str]) -> None:
    url, inbox = servers
    engine = engine_at(url).model_copy(update={"within_s": 4.0})
    if fault not in ESCALATION:
        engine = engine.model_copy(update={"escalation": None, "within_s": 2.0})
    with faulty(url, fault):
        assert miss in misses(judged(target_of(engine, inbox)))


def test_history_that_marks_firing_alerts_as_ended_is_an_error(servers: tuple[str, str]) -> None:
    """A text that every entry contains does not prove an end."""
    url, inbox = servers
    engine = engine_at(url)
    vague = EngineHistory(url=f"{url}/history", resolved_text="rd")
    config = target_of(engine.model_copy(update={"history": vague, "escalation": None}), inbox)
    with pytest.raises(NoData, match="marked as ended while the alert fires"):
        judged(config).conclude()


def test_an_acknowledged_alert_that_was_seen_nowhere_is_an_error(servers: tuple[str, str]) -> None:
    url, inbox = servers
    blind = engine_at(url).model_copy(update={"history": None, "within_s": 1.0})
    with faulty(url, "notifies_first"):
        found = [error.message for error in judged(target_of(blind, inbox)).lost]
    assert any("seen neither at the first tier nor in the history" in text for text in found)


def test_an_inbox_that_cannot_be_read_is_an_error(servers: tuple[str, str]) -> None:
    url, _ = servers
    engine = engine_at(url).model_copy(update={"within_s": 0.5})
    with SmallServer({}) as server:
        lost = judged(target_of(engine, server.url)).lost
    assert [error.message for error in lost if "answered 404" in error.message] != []
    assert len(lost) == 2


def test_unreadable_history_does_not_affect_other_judgements(servers: tuple[str, str]) -> None:
    url, inbox = servers
    lost = EngineHistory(url=f"{url}/nowhere")
    engine = engine_at(url).model_copy(update={"history": lost, "within_s": 2.0})
    evidence = judged(target_of(engine, inbox))
    assert "counted" in {m.key for m in evidence.measurements if m.limit and not m.is_missed}
    assert evidence.failures == []
    with pytest.raises(NoData, match="answered 404"):
        evidence.conclude()


def test_guardian_ends_the_alert_of_a_killed_check(servers: tuple[str, str]) -> None:
    url, _ = servers
    guardian = Guardian()
    raised = Raised(engine_at(url), guardian)
    raised.__enter__()
    guardian.undo()
    history = EngineHistory(url=f"{url}/history", end_field="resolved_at")
    assert eventually(lambda: entry(history, raised.probe).ended)


def test_failed_trigger_is_an_error_and_is_ended(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    engine = AlertEngine(
        trigger=[sys.executable, "-c", "raise SystemExit(3)"],
        resolve=[sys.executable, "-c", f"open({str(ended)!r}, 'w')"],
        channels=[FIRST],
    )
    undo = Undo()
    with (
        pytest.raises(CouldNotMeasure, match="command to raise an alert ended with 3"),
        Raised(engine, undo),
    ):
        pass
    assert ended.exists()
    assert undo.commands == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"alerts": {}}, "total is missing"),
        ({"alerts": {"total": "7"}}, 'is "7", not a number'),
        ({"alerts": {"total": None}}, "is null, not a number"),
        ({"alerts": {"total": True}}, "is true, not a number"),
        ([], "alerts is missing"),
    ],
)
def test_statistics_without_a_number_are_an_error(body: object, said: str) -> None:
    with SmallServer({"/statistics": Reply(json.dumps(body))}) as server:
        statistics = EngineStatistics(url=f"{server.url}/statistics", field="alerts.total")
        with pytest.raises(NoData, match=said):
            count(statistics)


@pytest.mark.parametrize(("status", "error"), [(401, NotPermitted), (500, NoData), (302, NoData)])
def test_http_error_of_the_records_is_an_error(status: int, error: type[Exception]) -> None:
    with SmallServer({"/x": Reply('{"alerts": {"total": 1}}', status)}) as server:
        with pytest.raises(error, match=f"answered {status}"):
            count(EngineStatistics(url=f"{server.url}/x", field="alerts.total"))
        with pytest.raises(error, match=f"answered {status}"):
            entry(EngineHistory(url=f"{server.url}/x"), "rd0")
