"""The order in which a run does things, and how it divides them among workers."""

import tempfile
import tomllib
from pathlib import Path

import pytest

from readiness.config.models import Config
from readiness.run.safety import fingerprint
from tests.plugin.gates import BOTH, MANY, PASS, XDIST, Gate


def _fingerprint(config: str) -> str:
    return fingerprint(Config.model_validate(tomllib.loads(config)), "production")


@BOTH
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
    monkeypatch.setattr(tempfile, "tempdir", None)
    refused = gate(source, "--readiness-allow=load", config=config, workers="0")
    assert refused.code == 2
    assert not refused.has_record
    assert not list(tmp_path.glob("readiness-run-*"))
    fingerprint = _fingerprint(config)
    run = gate(
        source, "--readiness-allow=load", f"--readiness-confirm={fingerprint}", config=config
    )
    assert (run.code, run.verdict) == (0, "READY"), run.text
    judged = f"demo unknown · production · profile core · fingerprint {fingerprint}"
    assert f"readiness: {judged}" in run.text
    assert run.outcomes == {"own.good[demo]": "pass", "own.load[demo]": "pass"}


@XDIST
def test_independent_drills_run_in_parallel_and_load_runs_after_them(
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


def test_an_unknown_check_in_independent_is_refused(gate: Gate) -> None:
    config = '[target]\nname = "demo"\n[gate]\nindependent = [["own.gone"]]\n'
    run = gate(PASS, config=config)
    assert run.code == 2
    assert "[gate] independent: unknown check 'own.gone'" in run.text


@XDIST
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
