"""H: how test harnesses have passed what they must not, and that this one does not.

Serially, unless a test is marked: lost workers, order, handover and the plan need workers.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from readiness.model.record import Verdict
from readiness.model.verdict import exit_code
from tests.plugin.events import ledger_of, plan_event, report_event
from tests.plugin.gates import BOTH, CONFIG, HEAD, MANY, PASS, XDIST, Gate
from tests.support.processes import eventually
from tests.support.records import small_record

CRASH = """
import os
@check("own.crash", title="t", why="w", fix="f")
def test_crash(evidence):
    os._exit(9)
"""


@BOTH
def test_h1_a_module_that_fails_to_import_is_incomplete(
    gate: Gate, pytester: pytest.Pytester
) -> None:
    (pytester.path / "checks").mkdir()
    (pytester.path / "checks/test_broken.py").write_text("import no_such_module\n")
    run = gate(PASS)
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes["own.good[demo]"] == "pass"
    assert "test_broken.py could not be collected" in " ".join(run.record["reasons"])


def test_h1_a_module_that_skips_itself_is_incomplete(gate: Gate, pytester: pytest.Pytester) -> None:
    (pytester.path / "checks").mkdir()
    (pytester.path / "checks/test_skipped.py").write_text(
        "import pytest\npytest.importorskip('no_such_module')\n"
    )
    run = gate(PASS)
    assert (run.code, run.verdict) == (3, "INCOMPLETE")


@XDIST
@pytest.mark.parametrize("restart", ["", "--max-worker-restart=0"])
def test_h2_a_dead_worker_loses_nothing(gate: Gate, restart: str) -> None:
    run = gate(CRASH + MANY, "--readiness-debug", *filter(None, [restart]))
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes["own.crash[demo]"] == "error"
    assert len(run.outcomes) == 7
    assert "own.crash[demo] could not be judged" in " ".join(run.record["reasons"])
    assert "test_crash" in run.files["reports/pytest.html"]


@XDIST
def test_h2_what_a_dead_worker_left_unrun_is_listed(gate: Gate) -> None:
    both = CRASH + CRASH.replace("crash", "crash-too").replace("test_crash-too", "test_two")
    run = gate(both + MANY, "--max-worker-restart=0", "--dist=loadfile")
    assert run.code == 3
    assert "not-run" in run.outcomes.values()
    assert len(run.outcomes) == 8


def test_h3_everything_skipped_is_incomplete(gate: Gate) -> None:
    run = gate(PASS.replace("    evidence.judge", '    pytest.skip("no")\n    evidence.judge'))
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes == {"own.good[demo]": "not-run"}


@pytest.mark.parametrize("option", ["--readiness-select=own.none", "--readiness-suite=none"])
def test_h4_a_selection_that_matches_nothing_judges_nothing(gate: Gate, option: str) -> None:
    run = gate(PASS, option)
    assert run.code == 2
    assert not run.has_record


def test_h4_an_empty_folder_judges_nothing(gate: Gate) -> None:
    run = gate("", head="")
    assert run.code == 2
    assert not run.has_record


@BOTH
@pytest.mark.parametrize(
    "option",
    ["--readiness-ignore=own.many", "-k=good", "--deselect=checks/test_checks.py::test_many"],
)
def test_h5_a_partial_selection_is_never_ready(gate: Gate, option: str) -> None:
    run = gate(PASS + MANY, *option.split("=", 1) if option.startswith("-k") else [option])
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.record["run"]["selection"]["partial"] is True


def test_h5_a_partial_selection_can_say_not_ready(gate: Gate) -> None:
    run = gate(PASS.replace("figure(1)", "figure(3)") + MANY, "--readiness-ignore=own.many")
    assert (run.code, run.verdict) == (1, "NOT READY")


@XDIST
def test_h6_evidence_that_cannot_be_encoded_changes_no_verdict(gate: Gate) -> None:
    run = gate(
        """
class Raises:
    def __str__(self):
        raise ValueError("no")
    __repr__ = __str__
ODD = {"object": object(), "raises": Raises(), "huge": 10**400, "bytes": b"\\xff"}
@check("own.odd", title="t", why="w", fix="f")
@pytest.mark.parametrize("name", ODD)
def test_odd(evidence, name):
    evidence.record(figure(ODD[name]))
    evidence.judge("value", figure(1), at_most(2))
"""
        + MANY
    )
    assert (run.code, run.verdict) == (0, "READY"), run.text
    assert list(run.outcomes.values()) == ["pass"] * (4 + 6)


@BOTH
def test_h6_a_property_that_cannot_be_sent_makes_the_run_incomplete(
    gate: Gate, workers: str
) -> None:
    run = gate(
        MANY
        + """
@check("own.foreign", title="t", why="w", fix="f")
def test_foreign(evidence, record_property):
    record_property("x", object())
    evidence.judge("value", figure(1), at_most(2))
"""
    )
    assert run.verdict == ("READY" if workers == "0" else "INCOMPLETE")
    assert run.code == (0 if workers == "0" else 3)


@BOTH
def test_h7_a_plugin_that_fails_at_the_end_does_not_prevent_the_reports(gate: Gate) -> None:
    run = gate(
        PASS,
        conftest="def pytest_sessionfinish(session):\n"
        "    if not hasattr(session.config, 'workerinput'):\n"
        "        raise RuntimeError('plugin bug')\n",
    )
    assert run.code != 0
    assert run.verdict == "INCOMPLETE"
    assert "plugin bug" in " ".join(run.record["reasons"])


def test_h8_each_verdict_has_its_exit_code() -> None:
    record = small_record()
    codes = {v: exit_code(record.model_copy(update={"verdict": v})) for v in Verdict}
    assert codes == {Verdict.READY: 0, Verdict.NOT_READY: 1, Verdict.INCOMPLETE: 3}


def test_h9_the_totals_count_every_suite(gate: Gate) -> None:
    other = PASS.replace("own.good", "other.good").replace("test_good", "test_other")
    run = gate(PASS + other + MANY)
    assert run.record["counts"]["pass"] == 8
    assert {s["name"] for s in run.record["suites"]} == {"own", "other"}


def test_h10_all_outputs_show_the_same_verdict(gate: Gate) -> None:
    run = gate(PASS.replace("figure(1)", "figure(3)"))
    for name in ("html", "json", "xml", "md"):
        assert "NOT READY" in run.files[f"reports/readiness.{name}"]
    assert "readiness: NOT READY" in run.text
    assert run.code == 1


def test_h11_the_worst_of_all_reports_of_a_check_counts() -> None:
    for order in (("passed", "failed"), ("failed", "passed")):
        ledger = ledger_of(
            plan_event("a"),
            *(report_event("a", status=status, when="call") for status in order),
            report_event("a", status="passed", when="teardown"),
        )
        assert ledger.results()[0].outcome == "fail"


@pytest.mark.parametrize("body", ["assert False", 'evidence.judge("value", figure(1), at_most(2))'])
def test_h12_an_expected_failure_is_a_failure(gate: Gate, body: str) -> None:
    run = gate(
        f"""
@check("own.expected", title="t", why="w", fix="f")
@pytest.mark.xfail(strict=False)
def test_expected(evidence):
    {body}
"""
    )
    assert (run.code, run.outcomes) == (1, {"own.expected[demo]": "fail"})


@BOTH
def test_h13_a_failed_subtest_fails_the_check(gate: Gate) -> None:
    run = gate(
        """
@check("own.parts", title="t", why="w", fix="f")
def test_parts(evidence, subtests):
    evidence.judge("value", figure(1), at_most(2))
    with subtests.test("part"):
        assert 1 == 2
"""
    )
    assert (run.code, run.outcomes) == (1, {"own.parts[demo]": "fail"})


def _user_run(
    folder: Path, source: str, *arguments: str, gate: str = ""
) -> subprocess.Popen[bytes]:
    (folder / "readiness.toml").write_text(f'{CONFIG}[gate]\nsuites = ["checks"]\n{gate}\n')
    (folder / "checks").mkdir()
    (folder / "checks/test_own.py").write_text(HEAD + source)
    return subprocess.Popen(
        [sys.executable, "-m", "readiness", "run", "-n", "1", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(path: Path) -> str:
    assert eventually(lambda: path.exists() and path.read_text().strip() != "", 60), f"no {path}"
    return path.read_text()


def _has_begun(folder: Path, test: str) -> bool:
    journals = [path.read_text() for path in folder.glob("readiness-run-*/journal.ndjson")]
    lines = [line for text in journals for line in text.splitlines()]
    return any('"event": "start"' in line and test in line for line in lines)


WAITS = """
import os, pathlib, threading
@check("own.waits", title="t", why="w", fix="f")
def test_waits(evidence):
    pathlib.Path(os.environ["MARK"]).write_text(str(os.getppid()))
    threading.Event().wait(120)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_h14_a_run_that_is_killed_ends_in_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = _user_run(tmp_path, WAITS + PASS)
    holder = int(_wait_for(tmp_path / "mark"))
    # Its worker has begun the check; the process that is killed must have recorded that.
    assert eventually(lambda: _has_begun(tmp_path, "test_waits"), 60)
    os.kill(holder, how)
    assert run.wait(60) == 3
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    assert record["verdict"] == "INCOMPLETE"
    waits = next(c for c in record["checks"] if c["id"] == "own.waits")
    assert waits["outcome"] == "error"
    assert any("before the verdict" in reason for reason in record["reasons"])
    for name in ("html", "xml", "md"):
        assert (tmp_path / f"reports/readiness.{name}").exists()


def test_h14_a_run_that_takes_too_long_ends_in_a_report_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    run = _user_run(tmp_path, WAITS, gate="run_timeout_s = 8")
    assert run.wait(100) == 3
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    assert record["verdict"] == "INCOMPLETE"
    assert record["run"]["interrupted"] is False
    assert "The run was stopped after 8 s ([gate] run_timeout_s)." in record["reasons"]
    assert {check["outcome"] for check in record["checks"]} <= {"error", "not-run"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_h15_an_interrupted_run_is_never_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    run = _user_run(tmp_path, WAITS + PASS)
    _wait_for(tmp_path / "mark")
    run.send_signal(how)
    assert run.wait(60) == 130
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    assert record["verdict"] == "INCOMPLETE"
    assert record["run"]["interrupted"] is True


@BOTH
def test_h15_a_run_that_ends_early_lists_what_it_did_not_run(gate: Gate) -> None:
    run = gate(
        PASS.replace("figure(1)", "figure(3)") + MANY.replace("range(6)", "range(40)"),
        "--maxfail=1",
    )
    assert (run.code, run.verdict) == (1, "NOT READY")
    assert len(run.outcomes) == 41
    assert "not-run" in run.outcomes.values()


@XDIST
def test_h16_workers_that_collect_differently_are_incomplete(gate: Gate) -> None:
    run = gate(
        """
import os
names = ["a", "b"] if os.environ["PYTEST_XDIST_WORKER"] == "gw0" else ["b", "c"]
@check("own.differs", title="t", why="w", fix="f")
@pytest.mark.parametrize("name", names)
def test_differs(evidence, name):
    evidence.judge("value", figure(1), at_most(2))
"""
    )
    assert run.verdict == "INCOMPLETE"
    assert run.code != 0


@BOTH
def test_h16_subjects_are_sorted(gate: Gate) -> None:
    services = "".join(
        f'[services.{name}]\nurl = "http://127.0.0.1:1"\n' for name in ("zeta", "alpha", "mid")
    )
    run = gate(
        """
@check("own.each", title="t", why="w", fix="f", each="service")
def test_each(service, evidence):
    evidence.judge("value", figure(1), at_most(2))
""",
        "-v",
        config=CONFIG + services,
    )
    assert list(run.outcomes) == ["own.each[alpha]", "own.each[mid]", "own.each[zeta]"]


def test_h17_a_dry_run_has_no_outcome(gate: Gate) -> None:
    run = gate(PASS, "--collect-only")
    assert run.code != 0
    assert run.verdict == "INCOMPLETE"
    assert set(run.outcomes.values()) == {"not-run"}


@XDIST
def test_h18_an_internal_error_in_a_worker_is_incomplete(gate: Gate) -> None:
    run = gate(
        PASS + MANY,
        conftest="import pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_runtest_protocol(item):\n"
        "    if 'good' in item.nodeid:\n"
        "        raise RuntimeError('loop exit')\n",
    )
    assert run.code != 0
    assert run.verdict == "INCOMPLETE"
