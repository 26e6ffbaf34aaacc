"""Every way a check and a run can end: the outcome, the verdict, the exit code, the files.

In one process; what depends on workers is judged with two of them as well.
"""

import re
from collections import Counter
from typing import Any

import pytest

from readiness.model.verdict import ExitCode
from tests.plugin.gates import BOTH, CONFIG, FAIL, MANY, PASS, XDIST, Gate, not_applicable

PARTS = """
from readiness.model import errors
def lost(evidence):
    with evidence.attempt():
        raise errors.NoData("no rows", where="one")
    with evidence.attempt():
        raise errors.NoData("no answer", where="two")

@pytest.mark.parametrize(("key", "value"), [("third", 1), ("third", 3), ("other", 1)])
@check("own.parts", title="t", why="w", fix="f", judgements=("first", "second", "third"))
def test_parts(evidence, key, value):
    lost(evidence)
    evidence.judge(key, figure(value), at_most(2), says="It took 3 ms")
"""
# Every way a check can end.
ENDS = """
import threading
from readiness.model import errors

@pytest.fixture
def broken():
    assert False, "no server"

@pytest.fixture
def leaving():
    yield
    raise OSError("the scratch schema is still there")

def wanted(slug, **more):
    return check(f"own.{slug}", **({"title": "t", "why": "w", "fix": "f"} | more))

@wanted("minor", severity="minor")
def test_minor(evidence):
    evidence.judge("value", figure(3), at_most(2))

@wanted("plain")
def test_plain(evidence):
    assert 1 == 2, "one is not two"

@wanted("lost")
def test_lost(evidence):
    raise errors.Unreachable("no answer", where="http://x", remedy="start it")

@wanted("surprise")
def test_surprise(evidence):
    raise ValueError("surprise")

@wanted("both")
def test_both(evidence):
    evidence.judge("value", figure(3), at_most(2))
    raise ValueError("and then")

@wanted("empty")
def test_empty(evidence):
    evidence.record(figure(1))

@wanted("nan")
def test_nan(evidence):
    evidence.judge("value", figure(float("nan")), at_most(2))

@wanted("text")
def test_text(evidence):
    evidence.judge("value", figure("text"), at_most(2))

@wanted("setup")
def test_setup(evidence, broken):
    evidence.judge("value", figure(1), at_most(2))

@wanted("cleanup")
def test_cleanup(evidence, leaving):
    evidence.judge("value", figure(1), at_most(2))

@wanted("warn")
def test_warn(evidence):
    evidence.judge("value", figure(3), at_most(2), warn_only=True)

@wanted("hangs")
def test_hangs(evidence):
    threading.Event().wait(60)

@wanted("skipped")
def test_skipped(evidence):
    pytest.skip("no")

@wanted("undeclared", each="backup")
def test_undeclared(backup, evidence):
    evidence.judge("value", figure(1), at_most(2))

@wanted("absent", each="backup")
def test_absent(backup, evidence):
    evidence.judge("value", figure(1), at_most(2))

@wanted("load", effect="load")
def test_load(evidence):
    evidence.judge("value", figure(1), at_most(2))
"""
LIMITS = "[gate]\nprofile = 'full'\ncheck_timeout_s = 3\n" + not_applicable(
    {"own.absent": "nothing is stored"}
)
# check -> its outcome, and a part of its message
EXPECTED = {
    "own.good": ("pass", ""),
    "own.many": ("pass", ""),
    "own.bad": ("fail", "figure: 3 ms; limit 2 ms: too slow"),
    "own.minor": ("fail", "figure: 3 ms; limit 2 ms"),
    "own.plain": ("fail", "one is not two"),
    "own.both": ("fail", "and then"),
    "own.lost": ("error", "http://x: no answer"),
    "own.surprise": ("error", "unexpected ValueError: surprise"),
    "own.empty": ("error", ""),
    "own.nan": ("error", ""),
    "own.text": ("error", ""),
    "own.setup": ("error", "no server"),
    "own.cleanup": ("error", "scratch schema"),
    "own.hangs": ("error", "took longer than 3 s"),
    "own.warn": ("warn", ""),
    "own.skipped": ("not-run", "no"),
    "own.undeclared": ("not-run", "Not configured: add [backup.NAME], or"),
    "own.load": ("not-run", "load"),
    "own.absent": ("not-applicable", "nothing is stored"),
}


@BOTH
def test_all_passed_is_ready_and_every_report_is_written(gate: Gate) -> None:
    run = gate(PASS)
    assert (run.code, run.verdict) == (0, "READY")
    assert run.outcomes == {"own.good[demo]": "pass"}
    assert set(run.files) >= {f"reports/readiness.{kind}" for kind in ("html", "json", "xml", "md")}
    assert "reports/pytest.html" not in run.files


def test_the_log_of_pytest_is_written_on_request(gate: Gate) -> None:
    run = gate(PASS, "--readiness-debug")
    assert run.code == 0
    assert "test_good" in run.files["reports/pytest.html"]


@XDIST
def test_only_reports_are_left_beside_the_checks(gate: Gate, pytester: pytest.Pytester) -> None:
    """Except pytest's own cache, which `readiness run` switches off."""
    run = gate(PASS, "-p", "no:cacheprovider")
    assert run.code == 0
    left = {path.name for path in pytester.path.iterdir() if not path.name.startswith("runpytest-")}
    # pytester keeps what a process printed in two files.
    assert left - {"stdout", "stderr"} == {"readiness.toml", "checks", "reports"}


def test_record_only_writes_the_record_alone_and_judges_the_same(gate: Gate) -> None:
    run = gate(PASS + FAIL, "--readiness-record-only")
    assert (run.code, run.verdict) == (1, "NOT READY")
    assert list(run.files) == ["reports/readiness.json"]


def test_a_failure_is_not_ready_and_keeps_its_figures(gate: Gate) -> None:
    run = gate(PASS + FAIL)
    assert (run.code, run.verdict) == (1, "NOT READY")
    bad = next(c for c in run.record["checks"] if c["id"] == "own.bad")
    assert bad["message"] == "figure: 3 ms; limit 2 ms: too slow"
    assert bad["measurements"][0]["value"] == 3
    assert bad["measurements"][0]["limit"] == {"op": "<=", "value": 2}


def test_a_failed_minor_check_does_not_decide(gate: Gate) -> None:
    run = gate(PASS + FAIL.replace('severity="blocker"', 'severity="minor"'))
    assert (run.code, run.verdict) == (0, "READY")
    assert run.outcomes["own.bad[demo]"] == "fail"


def test_an_error_makes_the_run_incomplete_and_gives_its_remedy_as_a_reason(gate: Gate) -> None:
    source = "from readiness.model import errors\n" + FAIL.replace(
        "evidence.judge", "raise errors.NoData('no rows', remedy='start it')\n    evidence.judge"
    )
    run = gate(PASS + source)
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes["own.bad[demo]"] == "error"
    assert "start it" in " ".join(run.record["reasons"])


def test_what_could_not_be_measured_does_not_hide_the_other_judgements(gate: Gate) -> None:
    run = gate(PARTS)
    told = {
        check["subject"]: (check["outcome"], check["message"]) for check in run.record["checks"]
    }
    missed = "It took 3 ms; limit 2 ms; not measured: one: no rows; not measured: two: no answer"
    for subject, outcome, message in (
        ("third-1", "error", "one: no rows; two: no answer"),
        ("third-3", "fail", missed),
        ("other-1", "error", "the check judges 'other', which is not declared"),
    ):
        assert told[subject][0] == outcome
        assert message in told[subject][1]


def test_report_only_exits_0_and_every_report_says_so(gate: Gate) -> None:
    run = gate(FAIL, "--readiness-report-only")
    assert (run.code, run.verdict) == (0, "NOT READY")
    assert run.record["run"]["report_only"] is True
    for name in ("reports/readiness.html", "reports/readiness.md"):
        assert "report-only" in run.files[name].lower() or "report only" in run.files[name].lower()


def _judged(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the record says of each check."""
    return [
        (check["id"], check["subject"], check["outcome"], check["message"], _figures(check))
        for check in record["checks"]
    ]


def _figures(check: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(m["name"], m["value"], m["limit"], m["unit"]) for m in check["measurements"]]


def test_every_end_of_a_check_has_its_outcome_with_and_without_workers(gate: Gate) -> None:
    source, config = PASS + FAIL + MANY + ENDS, CONFIG + LIMITS
    serial = gate(source, config=config)
    record = serial.record  # the second run writes to the same place
    xdist = gate(source, config=config, workers="2")
    assert serial.code == xdist.code == 1
    assert _judged(record) == _judged(xdist.record)
    assert sorted(record["reasons"]) == sorted(xdist.record["reasons"])
    assert record["counts"] == xdist.record["counts"]
    assert len(record["checks"]) == len(EXPECTED) + 5
    for check in record["checks"]:
        outcome, message = EXPECTED[check["id"]]
        assert check["outcome"] == outcome, check["id"]
        assert message in check["message"]
    counts = Counter(check["outcome"] for check in record["checks"])
    assert {outcome: n for outcome, n in record["counts"].items() if n} == counts


CONCLUDED = """
from pathlib import Path

def pytest_readiness_concluded(config, record):
    assert (config.rootpath / "reports/readiness.html").exists()
    (config.rootpath / "told").write_text(record.verdict)
    raise RuntimeError("the database of outputs is away")
"""


@BOTH
def test_a_hook_gets_the_record_and_cannot_change_the_end(gate: Gate) -> None:
    run = gate(PASS, conftest=CONCLUDED)
    assert run.code == ExitCode.READY
    assert (run.folder / "told").read_text() == run.verdict == "READY"
    assert "pytest_readiness_concluded failed: RuntimeError('the database" in run.text


def test_every_option_has_the_prefix_and_is_explained(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest_inprocess("--help", "-p", "no:locust").stdout.str()
    group = shown.partition("production readiness gate")[2].partition("\n\n")[0]
    options = re.findall(r"^  (-\S+)(.*\n(?:   .*\n)?)", group, re.MULTILINE)
    assert len(options) > 10
    for name, text in options:
        assert name.startswith("--readiness")
        assert len(text.split()) > 1, name


FOLLOWS = """
@check("own.first", title="t", why="w", fix="f", each="service", explains=("own.second",))
def test_first(service, evidence):
    evidence.judge("value", figure(3 if service.name == "api" else 1), at_most(2))

@check("own.second", title="t", why="w", fix="curl -si HEALTH_URL, or [services.NAME] or TABLE",
       each="service")
def test_second(service, evidence):
    evidence.judge("value", figure(3), at_most(2))
"""
SERVICES = """
[services.api]
url = "http://api.example.com"
health = "/ping"
[services.web]
url = "http://web.example.com"
"""


@BOTH
def test_a_failure_explains_nothing_about_another_subject_of_its_kind(gate: Gate) -> None:
    run = gate(FOLLOWS, config=CONFIG + SERVICES)
    found = {
        check["subject"]: check for check in run.record["checks"] if check["id"] == "own.second"
    }
    assert {name: check["explained_by"] for name, check in found.items()} == {
        "api": ["own.first[api]"],
        "web": [],
    }


@BOTH
def test_a_fix_has_the_addresses_and_names_of_its_subject(gate: Gate) -> None:
    run = gate(FOLLOWS, config=CONFIG + SERVICES)
    assert [check["fix"] for check in run.record["checks"] if check["id"] == "own.second"] == [
        "curl -si http://api.example.com/ping, or [services.api] or TABLE",
        "curl -si http://web.example.com/health, or [services.web] or TABLE",
    ]


COMMANDS = """
@check("own.two", title="t", why="w", fix="Other:\\n    set default = off;")
def test_two(evidence):
    evidence.judge("one", figure(3), at_most(2), commands=["alter table a;", "alter table b;"])
    evidence.judge("two", figure(1), at_most(2), commands=["alter table c;"])
    evidence.judge("three", figure(3), at_most(2), commands=["alter table d;"], warn_only=True)
"""


@BOTH
def test_the_commands_of_what_missed_come_before_the_fix_of_the_whole_check(gate: Gate) -> None:
    run = gate(COMMANDS)
    (check,) = run.record["checks"]
    assert check["commands"] == ["alter table a;", "alter table b;"]
    assert "<code>alter table a;\nalter table b;</code>" in run.files["reports/readiness.html"]
