"""M: how measurements have passed what they must not, and that they do not here.

What needs no real server is tested here, the rest beside the contract tests of the probes;
`EXPECTED` lists what no test covers yet, with the area that has to.
"""

import re
from pathlib import Path

import pytest

from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence, Outcome
from readiness.model.measurement import Measurement, at_least, at_most, equal_to
from readiness.prove.prover import Proof
from tests.plugin.gates import CONFIG, Gate
from tests.support.records import make_check

ANSWERED_HERE = {"M1", "M2", "M6", "M22"}
ANSWERED_ELSEWHERE = {
    # id -> (test file, a part of the test's name)
    "M3": ("tests/false_greens/test_scaling.py", "m3"),
    "M7": ("tests/configuration/test_ci.py", "m7"),
    "M8": ("tests/false_greens/test_deploying.py", "m8"),
    "M9": ("tests/false_greens/test_deploying.py", "m9"),
    "M11": ("tests/false_greens/test_deploying.py", "m11"),
    "M10": ("tests/performance/test_probe_queries.py", "stall"),
    "M12": ("tests/lib/test_probe_postgres.py", "a_mistake_in_sql"),
    "M14": ("tests/monitoring/test_health_check.py", "a_catch_all_page"),
    "M15": ("tests/security/test_tls.py", "m15_old_protocols"),
    "M16": ("tests/backup/test_restore.py", "a_dump_with_other_contents"),
    "M17": ("tests/alerting/test_rules_checks.py", "a_bad_rule_is_found_and_named"),
    "M24": ("tests/backup/test_pgbackrest.py", "damaged_wal_fails_tool_verified"),
    "M26": ("tests/backup/test_pgbackrest.py", "archive_command_that_does_nothing"),
    "M23": ("tests/database/test_database_replication.py", "a_standby_whose_primary_is_gone"),
    "M25": ("tests/database/test_bloat_checks.py", "without_pgstattuple_or_the_right"),
    "M18": ("tests/performance/test_probe_ingest.py", "rows_acknowledged_and_not_stored"),
}
EXPECTED = {
    "M4": "configuration", "M5": "security",
    "M13": "database",
    "M19": "performance", "M20": "performance",
    "M21": "performance",
}  # fmt: skip


def test_every_line_of_the_list_is_tested_or_expected() -> None:
    named = ANSWERED_HERE | set(ANSWERED_ELSEWHERE) | set(EXPECTED)
    assert named == {f"M{n}" for n in range(1, 27)}
    assert len(ANSWERED_HERE) + len(ANSWERED_ELSEWHERE) + len(EXPECTED) == 26


@pytest.mark.parametrize("line", sorted(ANSWERED_ELSEWHERE))
def test_every_named_test_exists(line: str) -> None:
    name, word = ANSWERED_ELSEWHERE[line]
    text = (Path(__file__).parents[2] / name).read_text(encoding="utf-8")
    assert re.search(rf"def test_\w*{word}", text)


def test_m1_no_data_is_never_a_pass() -> None:
    with pytest.raises(NoData):
        Evidence().conclude()
    for value in (float("nan"), "no rows"):
        with pytest.raises(NoData):
            Evidence().judge("x", Measurement("x", value, "ms", source="s"), at_most(1))


def test_m1_an_empty_text_is_not_the_expected_one() -> None:
    evidence = Evidence()
    assert not evidence.judge("x", Measurement("x", "", "text", source="s"), equal_to("ok"))


def test_m2_checks_of_a_service_that_is_down_are_errors_each(gate: Gate) -> None:
    run = gate(
        """
from readiness.lib import http
@check("own.one", title="t", why="w", fix="f", each="service")
def test_one(service, evidence):
    http.ask(service, "/")
@check("own.two", title="t", why="w", fix="f", each="service")
def test_two(service, evidence):
    http.ask(service, "/")
""",
        config=CONFIG + '[services.api]\nurl = "http://127.0.0.1:9"\n',
    )
    assert (run.code, run.verdict) == (3, "INCOMPLETE")
    assert run.outcomes == {"own.one[api]": "error", "own.two[api]": "error"}
    assert all("127.0.0.1:9" in check["message"] for check in run.record["checks"])


def test_m6_a_check_that_can_never_fail_is_not_proven() -> None:
    late = Measurement("time", 2.0, "s", source="s", limit=at_most(1.0), key="late")
    red = make_check(outcome=Outcome.FAIL, measurements=(late,))

    def proof(**changes: object) -> Proof:
        facts = {"expected": {"a.b[c]": frozenset({"late"})}, "seen": {"a.b[c]": red}}
        return Proof("f", "s", **(facts | changes))  # type: ignore[arg-type]

    assert proof().proven
    assert not proof(seen={}).proven
    assert not proof(seen={"a.b[c]": red, "a.x": red}).proven
    assert not proof(after={"a.b[c]": red}).proven
    assert not proof(error="could not be tried").proven
    assert not proof(expected={}, seen={}, untried="there is no TimescaleDB here").proven


def test_m22_nothing_is_rounded_before_it_is_judged() -> None:
    evidence = Evidence()
    assert not evidence.judge("p95", Measurement("p95", 100.4, "ms", source="s"), at_most(100))
    assert not evidence.judge(
        "rate", Measurement("rate", 999.9999, "rows/s", source="s"), at_least(1000)
    )


def test_could_not_measure_says_where_and_what_to_do() -> None:
    error = CouldNotMeasure("no answer", where="http://x", remedy="start it")
    assert error.sentence == "http://x: no answer. start it"
