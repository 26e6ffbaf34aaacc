"""Rules are tried with the real promtool: correct ones, wrong ones, and unsupported ones."""

from pathlib import Path

import pytest

from readiness.areas.alerting.bounds import Direction
from readiness.areas.alerting.probes import rule_trial
from readiness.areas.alerting.probes.rule_trial import Behaviour, job_trial_files, try_rule
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.servers import programs
from tests.support.processes import needed

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module", autouse=True)
def _promtool() -> None:
    needed(programs.PROMTOOL)


UP = 'up{job="a"}'


def behaviour(
    expression: str, required: float, direction: Direction = "above", for_s: float = 10
) -> Behaviour:
    return try_rule(
        'Rule"1', expression, for_s=for_s, interval_s=5, direction=direction, required=required
    )


def as_it_should(did: Behaviour) -> bool:
    return did.fires and did.quiet and did.recovers and did.quiet_at_bound is not False


@pytest.mark.parametrize(
    ("expression", "required", "direction"),
    [
        ("x > 3", 3, "above"),
        ("0.75 < x", 0.75, "above"),
        ("x{a=~'b|c',d!=''} < 10", 10, "below"),
        ("up == 0", 0, "equals"),
        ("1 - free / total > 0.9", 0.9, "above"),
        ("(total - free) / total * 100 > 75", 75, "above"),
        ("100 - (100 * free / total) > 80", 80, "above"),
        ('sum(rate(h{s=~"5.."}[1m])) / sum(rate(h[1m])) > 0.05', 0.05, "above"),
        ("sum by (job) (rate(e[5m])) / sum by (job) (rate(t[5m])) > 0.05", 0.05, "above"),
        ("sum(increase(h[1h])) > 10", 10, "above"),
        ("increase(h[5m]) > 0", 0, "above"),
        ("max by (job) (x offset 5m) > 3", 3, "above"),
        ("avg_over_time(x[5m]) > 3", 3, "above"),
        ("time() - backup_time > 3600", 3600, "above"),
        ("expiry - time() < 86400 * 14", 1209600, "below"),
        ("histogram_quantile(0.95, sum by (le) (rate(b[5m]))) > 0.5", 0.5, "above"),
        ("predict_linear(free[1h], 3600) < 5", 5, "below"),
        ("x > 3 and on (instance) up == 1", 3, "above"),
        ("x > 3 unless on () silence == 1", 3, "above"),
        ("x > 3 < 100", 3, "above"),
    ],
)
def test_correct_rule_fires_only_beyond_its_bound(
    expression: str, required: float, direction: Direction
) -> None:
    assert as_it_should(behaviour(expression, required, direction))


@pytest.mark.fast
def test_a_rule_in_another_unit_never_fires() -> None:
    did = behaviour("x > 3000", 3)

    assert (did.fires, did.quiet) == (False, True)


@pytest.mark.parametrize(
    ("expression", "fires", "quiet", "recovers", "quiet_at_bound"),
    [
        pytest.param("x > bool 3", True, False, False, False, id="bool: always fires"),
        pytest.param("x >= 3", True, True, True, False, id="fires at its bound"),
        pytest.param("x < 3", False, False, False, True, id="other direction"),
        pytest.param(
            "max(x) > 3 and on (instance) up == 1", False, True, True, True, id="lost label"
        ),
    ],
)
def test_wrong_rule_is_detected(
    expression: str, fires: bool, quiet: bool, recovers: bool, quiet_at_bound: bool
) -> None:
    did = behaviour(expression, 3)

    assert (did.fires, did.quiet, did.recovers) == (fires, quiet, recovers)
    assert did.quiet_at_bound is quiet_at_bound


@pytest.mark.parametrize("expression", ["count(up == 0) > 2", "x > y", "absent(x)", "vector(1)"])
def test_unsupported_rule_is_an_error_with_a_remedy(expression: str) -> None:
    with pytest.raises(NoData, match="cannot be tried") as caught:
        behaviour(expression, 2)

    assert "[[waiver]]" in caught.value.remedy


RULES = [
    {"alert": "Down", "expr": "up == 0", "for_s": 60.0, "labels": {"severity": "warning"}},
    {"alert": "Gone", "expr": f"absent({UP})", "for_s": 60.0, "labels": {}},
    {"alert": "Watchdog", "expr": "vector(1)", "for_s": 0.0, "labels": {}},
    {"alert": "OtherGone", "expr": 'absent(up{job="never"})', "for_s": 0.0, "labels": {}},
]


@pytest.mark.parametrize(
    ("names", "down", "gone"),
    [
        ({"Down", "Gone"}, True, True),
        ({"Down", "Watchdog", "OtherGone"}, True, False),
        ({"Gone", "Watchdog", "OtherGone"}, False, True),
        ({"Watchdog", "OtherGone"}, False, False),
    ],
)
def test_job_loss_is_noticed_by_up_and_absent(names: set[str], down: bool, gone: bool) -> None:
    rules = [rule for rule in RULES if rule["alert"] in names]
    own, other = {"job": "a", "instance": "1"}, {"job": "b", "instance": "2"}

    did = rule_trial.run_tests(job_trial_files(rules, "a", [own], [other]))

    assert did == {"control.yml": True, "well.yml": True, "down.yml": down, "gone.yml": gone}


@pytest.mark.parametrize(
    ("expression", "may"),
    [
        ("up == 0", True),
        ('up{job=~"a|b"} == 0', True),
        ('sum by (job) (up{instance="1"}) < 1', True),
        ('{__name__=~"up|down"} == 0', True),
        ("count(up == 1) < 2 or absent(up)", True),
        ('absent(y{job="a"})', True),
        ('x unless on () y{job="a"}', True),
        ('(sum(y{job="a"}) or vector(0)) < 1', True),
        ('up{job="b"} == 0', False),
        ('y{job="a"} > 3', False),
        ("absent(y)", False),
        ('absent(y{job="b"})', False),
        ("vector(1)", False),
        ('rate(y{job="a"}[5m]) / rate(z{job="a"}[5m]) > 0.5', False),
    ],
)
def test_only_rules_that_may_notice_the_loss_are_tried(expression: str, may: bool) -> None:
    assert rule_trial.may_notice(expression, "a", [{"job": "a", "instance": "1"}]) is may


def test_rules_that_cannot_be_evaluated_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [{"alert": f"A{n}", "expr": "up == 0", "for_s": 0.0, "labels": {}} for n in range(64)]
    rules[40]["alert"] = "Bad"
    runs: list[str] = []

    def run(files: dict[str, str]) -> dict[str, bool]:
        runs.append(files["rules.yml"])
        return dict.fromkeys(files, "Bad" not in files["rules.yml"])

    monkeypatch.setattr(rule_trial, "run_tests", run)

    did = rule_trial._tried(
        lambda some: job_trial_files(some, "a", [{"job": "a", "instance": "1"}], []), rules
    )

    assert did["down.yml"]
    assert [f'"A{n}"' in runs[-1] for n in (39, 40, 41)] == [True, False, True]
    assert len(runs) < len(rules) / 3


def test_absent_series_of_the_job_notices_its_loss() -> None:
    rules = [{"alert": "A", "expr": 'absent(y{job="a"})', "for_s": 0.0, "labels": {}}]
    own = {"job": "a", "instance": "1"}

    did = rule_trial.run_tests(job_trial_files(rules, "a", [own], []))

    assert (did["down.yml"], did["gone.yml"]) == (True, True)


def test_rules_that_promtool_cannot_load_are_an_error() -> None:
    with pytest.raises(CouldNotMeasure, match="cannot load the rules") as caught:
        rule_trial.run_tests({"rules.yml": "{groups: [{name: a, rules: [{alert: A, expr: '('}]}]}",
                            "control.yml": '{"rule_files": ["rules.yml"], "tests": [{"interval":'
                            ' "1m", "promql_expr_test": [{"expr": "vector(1)", "eval_time": "1m",'
                            ' "exp_samples": [{"labels": "{}", "value": 1}]}]}]}'})  # fmt: skip

    assert "promtool --version" in caught.value.remedy


def program(folder: Path, text: str) -> str:
    path = folder / "promtool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_missing_promtool_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rule_trial.OVERRIDE, "/nowhere/promtool")

    with pytest.raises(Unreachable, match="promtool not found") as caught:
        rule_trial.run_tests({"control.yml": ""})

    assert "apt-get install prometheus" in caught.value.remedy


def test_a_promtool_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(rule_trial.OVERRIDE, program(tmp_path, "exec sleep 60"))

    with pytest.raises(TookTooLong, match=r"within 0\.2 s"):
        rule_trial.run_tests({"control.yml": ""}, timeout_s=0.2)


def test_promtool_without_output_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(rule_trial.OVERRIDE, program(tmp_path, "exit 0"))

    with pytest.raises(CouldNotMeasure, match="cannot load the rules"):
        rule_trial.run_tests({"control.yml": ""})
