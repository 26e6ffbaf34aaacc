"""A history that pipelines share in PostgreSQL: with a real server."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from readiness.cli import doctor
from readiness.config.models import Config
from readiness.lib.postgres import connect, fetch_value
from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.model.record import RunRecord, TargetFacts
from readiness.model.secrets import Dsn
from readiness.report import history
from readiness.run import shared_history
from readiness.run.past import Whose, past, stored
from tests.plugin.gates import CONFIG, PASS, Gate
from tests.support.records import BEGAN, make_check, make_record
from tests.support.servers import Run

_CLOSED = Dsn("postgresql://gate@127.0.0.1:1/history")


def _record(number: int, outcome: str = "pass", target: str = "orders") -> RunRecord:
    facts = TargetFacts(name=target, environment="staging", release="1", fingerprint="f")
    return make_record(
        [make_check(outcome=outcome, severity="blocker")],
        began=BEGAN + timedelta(minutes=number), run_id=f"run-{target}-{number}", target=facts,
    )  # fmt: skip


def _value(dsn: Dsn, statement: str) -> object:
    with connect(dsn, timeout_s=10) as connection:
        return fetch_value(connection, statement)


def test_the_last_ready_run_of_the_same_target_is_the_baseline(dsn: Dsn) -> None:
    now = _record(9)
    for record in (_record(1), _record(2), _record(3, "fail"), _record(4, target="stock")):
        shared_history.store(dsn, record)
    found = shared_history.read(dsn, Whose.of(now))
    assert history.baseline(found, now) == _record(2)
    assert [run.id for run in history.earlier(found, now)] == [
        "run-orders-3", "run-orders-2", "run-orders-1",
    ]  # fmt: skip
    assert history.earlier(found, now)[0].verdict == "NOT READY"


def test_an_altered_record_is_passed_over(dsn: Dsn, run: Run) -> None:
    now = _record(9)
    for number in (1, 2):
        shared_history.store(dsn, _record(number))
    run("update readiness.runs set record = substr(record, 1, 99) where run_id = 'run-orders-2'")
    found = shared_history.read(dsn, Whose.of(now))
    assert [past.id for past in history.earlier(found, now)] == ["run-orders-1"]


def test_two_pipelines_make_the_tables_and_store_at_once(dsn: Dsn) -> None:
    workers = 6
    start = Barrier(workers)

    def pipeline(number: int) -> int:
        start.wait(timeout=60)
        for step in range(5):
            shared_history.store(dsn, _record(10 * number + step))
        now = _record(999)
        return len(history.earlier(shared_history.read(dsn, Whose.of(now)), now))

    with ThreadPoolExecutor(workers) as pool:
        seen = list(pool.map(pipeline, range(workers)))
    assert min(seen) >= 5
    assert _value(dsn, "select count(*) from readiness.runs") == 5 * workers
    assert _value(dsn, "select count(*) from readiness.migrations") == 1


def test_doctor_looks_and_makes_no_tables(dsn: Dsn) -> None:
    assert shared_history.look(dsn).endswith("no tables yet, the first run makes them")
    assert shared_history.look(dsn).endswith("no tables yet, the first run makes them")
    shared_history.store(dsn, _record(1))
    assert shared_history.look(dsn).endswith(": runs stored: 1")
    target = {"name": "orders", "environment": "staging", "release": "1"}
    config = Config.model_validate({"target": target, "gate": {"history": _CLOSED.reveal()}})
    (found,) = [one for one in doctor.target(config) if one.thing == "shared history"]
    assert (found.well, found.needed) == (False, False)


def test_storing_a_run_again_changes_nothing(dsn: Dsn) -> None:
    shared_history.store(dsn, _record(1))
    shared_history.store(dsn, _record(1, "fail"))
    assert _value(dsn, "select verdict from readiness.runs") == "READY"


def test_only_the_newest_are_kept_while_several_forget(
    dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_history, "KEPT", 3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: shared_history.store(dsn, _record(n)), range(12)))
    # What another one had locked was left to it: whoever is alone takes it.
    shared_history.store(dsn, _record(12))
    assert _value(dsn, "select string_agg(run_id, ' ' order by started) from readiness.runs") == (
        "run-orders-10 run-orders-11 run-orders-12"
    )


def test_tables_of_a_newer_tool_are_left_alone(dsn: Dsn, run: Run) -> None:
    shared_history.store(dsn, _record(1))
    run("insert into readiness.migrations values (99)")
    with pytest.raises(CouldNotMeasure, match="version 99; this tool knows 1") as caught:
        shared_history.store(dsn, _record(2))
    assert "newer readiness" in caught.value.remedy


def test_a_role_that_may_only_read_and_write_rows_is_enough(dsn: Dsn, role: Dsn, run: Run) -> None:
    with pytest.raises(NotPermitted):
        shared_history.store(role, _record(1))
    shared_history.store(dsn, _record(1))
    name = role.words["user"]
    run(
        f"grant usage on schema readiness to {name};"
        f"grant select on readiness.migrations to {name};"
        f"grant select, insert, update, delete on readiness.runs to {name}"
    )
    shared_history.store(role, _record(2))
    assert _value(dsn, "select count(*) from readiness.runs") == 2


def _of_files(tmp_path: Path) -> Callable[[], str]:
    history.store(_record(1), tmp_path)
    now = _record(9)
    found = past(_CLOSED, Whose.of(now), tmp_path)
    assert history.baseline(found.kept, now) == _record(1)
    assert stored(_CLOSED, now, found) == ""
    return lambda: found.note


def test_out_of_reach_the_files_serve_and_the_run_says_so(tmp_path: Path) -> None:
    note = _of_files(tmp_path)()
    assert note.startswith("No shared history: 127.0.0.1:1/history: ")
    assert note.endswith(f"Not stored there; compared with {tmp_path}/history.")
    assert "connection refused" in note.lower()


def test_the_verdict_is_the_same_without_it_and_every_output_says_so(gate: Gate) -> None:
    run = gate(PASS, config=f'{CONFIG}\n[gate]\nhistory = "{_CLOSED.reveal()}"\n')
    assert (run.code, run.verdict) == (0, "READY")
    (note,) = run.record["run"]["notes"]
    assert note.startswith("No shared history: ")
    for name in ("readiness.html", "readiness.md", "readiness.pr.md"):
        text = (run.folder / "reports" / name).read_text()
        assert "No shared history" in text, name
    literal = gate(PASS, config=f'{CONFIG}\n[gate]\nhistory = "postgresql://u:pw@db/h"\n')
    assert literal.code == 2


def test_a_record_that_cannot_be_stored_is_said_and_nothing_else(dsn: Dsn, run: Run) -> None:
    now = _record(9)
    found = past(dsn, Whose.of(now), Path("unused"))
    assert found.note == ""
    run("drop table readiness.runs")
    assert stored(dsn, now, found).startswith("The run is not in the shared history: ")
