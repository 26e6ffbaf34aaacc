"""Every way a run can end: the verdict, the exit code, the files.

Serially, where nothing else is said; the last test holds every way a check can end against xdist.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.plugin.harness import CONFIG, Gate

PASS = """
@check("own.good", title="t", why="w", fix="f", severity="blocker")
def test_good(evidence):
    evidence.judge("value", figure(1), at_most(2))
"""
FAIL = """
@check("own.bad", title="t", why="w", fix="f", severity="blocker")
def test_bad(evidence):
    evidence.judge("value", figure(3), at_most(2), "too slow")
"""
MANY = """
@check("own.many", title="t", why="w", fix="f")
@pytest.mark.parametrize("n", range(8))
def test_many(evidence, n):
    evidence.judge("value", figure(1), at_most(2))
"""

SERIAL = pytest.mark.parametrize("workers", ["0"], indirect=True)


def test_all_pass_is_ready(gate: Gate) -> None:
    run = gate(PASS)
    assert (run.code, run.verdict) == (0, "READY")
    assert run.outcomes == {"own.good[demo]": "pass"}
    assert set(run.files) >= {
        "reports/readiness.html",
        "reports/readiness.json",
        "reports/readiness.xml",
        "reports/readiness.md",
    }
    assert "reports/pytest.html" not in run.files


def test_the_log_of_pytest_is_written_where_it_is_asked_for(gate: Gate) -> None:
    run = gate(PASS, "--readiness-debug")
    assert run.code == 0
    assert "test_good" in run.files["reports/pytest.html"]


def test_nothing_but_reports_is_left_beside_the_checks(
    gate: Gate, pytester: pytest.Pytester
) -> None:
    """pytest's own cache apart: who calls pytest gets it, and `readiness run` has none."""
    run = gate(PASS, "-p", "no:cacheprovider")
    assert run.code == 0
    left = {path.name for path in pytester.path.iterdir() if not path.name.startswith("runpytest-")}
    # pytester keeps what a process printed in two files.
    assert left - {"stdout", "stderr"} == {"readiness.toml", "checks", "reports"}


@SERIAL
def test_a_proof_writes_its_record_alone_and_judges_the_same(gate: Gate) -> None:
    run = gate(PASS + FAIL, "--readiness-record-only")
    assert (run.code, run.verdict) == (1, "NOT READY")
    assert [file for file in run.files if file.startswith("reports/")] == ["reports/readiness.json"]


@SERIAL
def test_a_failure_is_not_ready_and_keeps_its_figures(gate: Gate) -> None:
    run = gate(PASS + FAIL)
    assert (run.code, run.verdict) == (1, "NOT READY")
    bad = next(c for c in run.record["checks"] if c["id"] == "own.bad")
    assert bad["message"] == "figure: 3 ms; limit 2 ms: too slow"
    assert bad["measurements"][0]["value"] == 3
    assert bad["measurements"][0]["limit"] == {"op": "<=", "value": 2}


@SERIAL
def test_a_failed_minor_never_decides(gate: Gate) -> None:
    run = gate(PASS + FAIL.replace('severity="blocker"', 'severity="minor"'))
    assert (run.code, run.verdict) == (0, "READY")
    assert run.outcomes["own.bad[demo]"] == "fail"


@SERIAL
def test_a_plain_assert_is_a_failure(gate: Gate) -> None:
    run = gate(
        """
@check("own.plain", title="t", why="w", fix="f")
def test_plain(evidence):
    assert 1 == 2, "one is not two"
"""
    )
    assert run.code == 1
    assert "one is not two" in run.record["checks"][0]["message"]


PARTS = """
from readiness.model import errors
@check("own.parts", title="t", why="w", fix="f", judgements=("first", "second", "third"))
def test_parts(evidence):
    with evidence.attempt():
        raise errors.NoData("no rows", where="one")
    with evidence.attempt():
        raise errors.NoData("no answer", where="two")
    evidence.judge("KEY", figure(FIGURE), at_most(2), says="It took 3 ms")
"""


@SERIAL
@pytest.mark.parametrize(
    ("key", "figure", "outcome", "message"),
    [
        ("third", 1, "error", "one: no rows; two: no answer"),
        ("third", 3, "fail",
         "It took 3 ms; limit 2 ms; not measured: one: no rows; not measured: two: no answer"),
        ("other", 1, "error", "the check judges 'other', which is not declared"),
    ],
    ids=["error", "fail", "undeclared"],
)  # fmt: skip
def test_what_could_not_be_measured_does_not_hide_the_other_judgements(
    gate: Gate, key: str, figure: int, outcome: str, message: str
) -> None:
    run = gate(PARTS.replace("FIGURE", str(figure)).replace("KEY", key))
    (parts,) = run.record["checks"]
    assert parts["outcome"] == outcome
    assert message in parts["message"]


@SERIAL
@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("errors.Unreachable('nobody there', where='http://x', remedy='start it')", "start it"),
        ("ValueError('surprise')", "unexpected ValueError: surprise"),
    ],
    ids=["could-not-measure", "unexpected"],
)
def test_what_could_not_be_measured_is_incomplete(gate: Gate, raised: str, words: str) -> None:
    run = gate(
        PASS
        + f"""
from readiness.model import errors
@check("own.lost", title="t", why="w", fix="f")
def test_lost(evidence):
    raise {raised}
"""
    )
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes["own.lost[demo]"] == "error"
    assert words in " ".join(run.record["reasons"])


@SERIAL
def test_a_measured_miss_stands_though_the_check_broke_after_it(gate: Gate) -> None:
    run = gate(
        """
@check("own.both", title="t", why="w", fix="f")
def test_both(evidence):
    evidence.judge("value", figure(3), at_most(2))
    raise ValueError("and then")
"""
    )
    assert run.code == 1
    assert "and then" in run.record["checks"][0]["message"]


@SERIAL
def test_a_check_that_judged_nothing_has_not_passed(gate: Gate) -> None:
    run = gate(
        """
@check("own.empty", title="t", why="w", fix="f")
def test_empty(evidence):
    evidence.record(figure(1))
"""
    )
    assert (run.code, run.outcomes) == (3, {"own.empty[demo]": "error"})


@SERIAL
@pytest.mark.parametrize("value", ["float('nan')", "'text'"])
def test_a_value_that_cannot_be_compared_is_an_error(gate: Gate, value: str) -> None:
    run = gate(PASS.replace("figure(1)", f"figure({value})"))
    assert (run.code, run.outcomes) == (3, {"own.good[demo]": "error"})


@SERIAL
def test_a_broken_fixture_is_an_error_not_a_failure(gate: Gate) -> None:
    run = gate(
        """
@pytest.fixture
def broken():
    assert False, "no server"
@check("own.setup", title="t", why="w", fix="f")
def test_setup(evidence, broken):
    evidence.judge("value", figure(1), at_most(2))
"""
    )
    assert (run.code, run.outcomes) == (3, {"own.setup[demo]": "error"})


@SERIAL
def test_a_failed_cleanup_is_not_a_pass(gate: Gate) -> None:
    run = gate(
        """
@pytest.fixture
def leaving():
    yield
    raise OSError("the scratch schema is still there")
@check("own.cleanup", title="t", why="w", fix="f")
def test_cleanup(evidence, leaving):
    evidence.judge("value", figure(1), at_most(2))
"""
    )
    assert (run.code, run.outcomes) == (3, {"own.cleanup[demo]": "error"})
    assert "scratch schema" in run.record["checks"][0]["message"]


@SERIAL
def test_a_warning_is_listed_and_never_decides(gate: Gate) -> None:
    run = gate(
        """
@check("own.warn", title="t", why="w", fix="f")
def test_warn(evidence):
    evidence.judge("value", figure(3), at_most(2), warn_only=True)
"""
    )
    assert (run.code, run.outcomes) == (0, {"own.warn[demo]": "warn"})


@SERIAL
def test_a_check_that_hangs_is_interrupted(gate: Gate) -> None:
    run = gate(
        PASS
        + """
import threading
@check("own.hangs", title="t", why="w", fix="f")
def test_hangs(evidence):
    threading.Event().wait(60)
""",
        config=CONFIG + "[gate]\ncheck_timeout_s = 0.5\n",
    )
    assert (run.code, run.outcomes["own.hangs[demo]"]) == (3, "error")
    assert "took longer than 0.5 s" in " ".join(run.record["reasons"])


@SERIAL
def test_a_subject_that_is_not_declared_is_planned_and_not_run(gate: Gate) -> None:
    run = gate(
        PASS
        + """
@check("own.backup", title="t", why="w", fix="f", each="backup")
def test_backup(backup, evidence):
    evidence.judge("value", figure(1), at_most(2))
"""
    )
    assert (run.code, run.outcomes["own.backup"]) == (3, "not-run")
    assert "[backup.NAME]" in " ".join(run.record["reasons"])


@SERIAL
def test_what_is_declared_not_applicable_does_not_count_as_a_pass(gate: Gate) -> None:
    run = gate(
        PASS
        + """
@check("own.backup", title="t", why="w", fix="f", each="backup")
def test_backup(backup, evidence):
    evidence.judge("value", figure(1), at_most(2))
""",
        config=CONFIG + '[gate.not_applicable]\n"own.backup" = "nothing is stored"\n',
    )
    assert (run.code, run.verdict) == (0, "READY")
    assert run.record["counts"]["not-applicable"] == 1
    assert run.record["counts"]["pass"] == 1


@SERIAL
def test_load_and_disrupt_are_not_run_unless_allowed(gate: Gate) -> None:
    run = gate(PASS + PASS.replace("good", "load").replace('fix="f"', 'fix="f", effect="load"'))
    assert (run.code, run.outcomes["own.load[demo]"]) == (3, "not-run")


def test_quiet_checks_run_alone_after_the_others(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = """
[target]
name = "demo"
allow = ["observe", "load"]
allow_in_production = ["observe", "load"]
"""
    source = (
        PASS
        + """
import os, pathlib
@check("own.load", title="t", why="w", fix="f", effect="load")
def test_load(evidence, benchmark):
    benchmark.pedantic(lambda: None, rounds=5)
    assert "PYTEST_XDIST_WORKER" not in os.environ
    evidence.judge("value", figure(len(benchmark.stats.stats.data)), at_most(5))
"""
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    refused = gate(source, "--readiness-allow=load", config=config)
    assert refused.code == 2
    assert not refused.has_record
    assert not list(tmp_path.glob("readiness-run-*"))
    fingerprint = _fingerprint(config)
    run = gate(
        source, "--readiness-allow=load", f"--readiness-confirm={fingerprint}", config=config
    )
    assert (run.code, run.verdict) == (0, "READY"), run.text
    assert run.outcomes == {"own.good[demo]": "pass", "own.load[demo]": "pass"}


@pytest.mark.parametrize("workers", ["2"], indirect=True)
def test_independent_drills_run_side_by_side_and_what_is_measured_waits_for_them(
    gate: Gate,
) -> None:
    config = """
[target]
name = "demo"
allow = ["observe", "load", "disrupt"]
allow_in_production = ["observe", "load", "disrupt"]

[gate]
independent = [["own.one"], ["own.other"]]
"""
    source = (
        PASS
        + """
import pathlib, time
from readiness import equal_to
def meet(mine, other):
    pathlib.Path(mine).touch()
    deadline = time.monotonic() + 60
    while not pathlib.Path(other).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    met = pathlib.Path(other).exists()
    pathlib.Path(f"{mine}.over").touch()
    return met

@check("own.one", title="t", why="w", fix="f", effect="disrupt")
def test_one(evidence):
    evidence.judge("value", figure(int(meet("one", "other"))), equal_to(1))

@check("own.other", title="t", why="w", fix="f", effect="disrupt")
def test_other(evidence):
    evidence.judge("value", figure(int(meet("other", "one"))), equal_to(1))

@check("own.rest", title="t", why="w", fix="f", effect="disrupt")
def test_rest(evidence):
    evidence.judge("value", figure(len(list(pathlib.Path().glob("*.over")))), equal_to(2))

@check("own.load", title="t", why="w", fix="f", effect="load")
def test_load(evidence):
    evidence.judge("value", figure(len(list(pathlib.Path().glob("*.over")))), equal_to(2))
"""
    )
    run = gate(
        source,
        *("--readiness-allow=load", "--readiness-allow=disrupt"),
        f"--readiness-confirm={_fingerprint(config)}",
        config=config,
    )
    assert run.outcomes == {
        f"own.{name}[demo]": "pass" for name in ("good", "one", "other", "rest", "load")
    }
    assert (run.code, run.verdict) == (0, "READY"), run.text


def test_a_row_of_independent_drills_that_names_no_check_is_refused(gate: Gate) -> None:
    config = '[target]\nname = "demo"\n[gate]\nindependent = [["own.gone"]]\n'
    run = gate(PASS, config=config)
    assert run.code == 2
    assert "[gate] independent: unknown check 'own.gone'" in run.text


def _fingerprint(config: str) -> str:
    import tomllib

    from readiness.config.models import Config
    from readiness.run.safety import fingerprint

    return fingerprint(Config.model_validate(tomllib.loads(config)), "production")


@SERIAL
def test_report_only_exits_0_and_says_so_everywhere(gate: Gate) -> None:
    run = gate(FAIL, "--readiness-report-only")
    assert (run.code, run.verdict) == (0, "NOT READY")
    assert run.record["run"]["report_only"] is True
    for name in ("reports/readiness.html", "reports/readiness.md"):
        assert "report-only" in run.files[name].lower() or "report only" in run.files[name].lower()


# Every way a check can end, each on its own above.
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
@pytest.mark.parametrize("raised", ["expected", "other"])
def test_lost(evidence, raised):
    if raised == "other":
        raise ValueError("surprise")
    raise errors.Unreachable("nobody there", where="http://x", remedy="start it")

@wanted("both")
def test_both(evidence):
    evidence.judge("value", figure(3), at_most(2))
    raise ValueError("and then")

@wanted("empty")
def test_empty(evidence):
    evidence.record(figure(1))

@wanted("odd")
@pytest.mark.parametrize("value", [float("nan"), "text"], ids=["nan", "text"])
def test_odd(evidence, value):
    evidence.judge("value", figure(value), at_most(2))

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

@wanted("absent")
def test_absent(evidence):
    evidence.judge("value", figure(1), at_most(2))

@wanted("load", effect="load")
def test_load(evidence):
    evidence.judge("value", figure(1), at_most(2))
"""
LIMITS = """
[gate]
check_timeout_s = 3
[gate.not_applicable]
"own.absent" = "nothing is stored"
"""


def _judged(record: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """What is told of each check."""
    return {
        f"{c['id']}[{c['subject']}]": (c["outcome"], c["message"], _figures(c))
        for c in record["checks"]
    }


def _figures(check: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(m["name"], m["value"], m["limit"], m["unit"]) for m in check["measurements"]]


@SERIAL
def test_xdist_and_serial_agree(gate: Gate) -> None:
    source = PASS + FAIL + MANY + ENDS
    serial, records = gate(source, config=CONFIG + LIMITS), []
    records.append(serial.record)
    xdist = gate(source, config=CONFIG + LIMITS, workers="2")
    records.append(xdist.record)
    assert serial.code == xdist.code == 1
    assert _judged(records[0]) == _judged(records[1])
    assert records[0]["counts"] == records[1]["counts"]
    assert sorted(records[0]["reasons"]) == sorted(records[1]["reasons"])
    assert len(records[0]["checks"]) == 10 + 16
    assert {outcome for outcome, *_ in _judged(records[0]).values()} == {
        "pass", "warn", "fail", "error", "not-run", "not-applicable",
    }  # fmt: skip


@pytest.mark.parametrize("workers", ["2"], indirect=True)
def test_the_checks_of_a_file_stay_in_one_worker(gate: Gate) -> None:
    source = MANY.replace(
        "    evidence.judge",
        "    import os\n"
        "    name = os.environ['PYTEST_XDIST_WORKER']\n"
        "    evidence.record(Measurement('worker', name, 'name', source='the test'))\n"
        "    evidence.judge",
    )
    run = gate(source, "--dist", "no")  # pytest's default: nobody said how
    assert run.code == 0, run.text
    assert len({check["measurements"][0]["value"] for check in run.record["checks"]}) == 1
