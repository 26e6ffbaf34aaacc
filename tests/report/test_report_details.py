"""What `readiness show` and `-v` print: everything, the causes, or one check."""

import re
from datetime import date

from readiness.model.decision import Decision, Kind
from readiness.model.record import CauseNote
from readiness.report import details, html, markdown
from tests.support.records import make_check, make_many, make_record, small_record


def test_every_reason_area_and_finding_is_there() -> None:
    text = details.details(small_record(), width=500, color=False)
    for reason in small_record().reasons:
        assert f"• {reason}" in text
    assert "  all: 2 fail, 1 error, 1 not-run, 1 waived, 1 warn, 1 pass, 1 not-applicable" in text
    for heading in ("Failed (2)", "Could not be measured (1)", "Did not run (1)", "Warnings (1)"):
        assert f"\n{heading}\n" in text
    assert "waiver: The index is built in week 48. (ana@example.com, approved by" in text


def test_a_fix_stands_once_for_all_subjects() -> None:
    text = details.details(make_many(3000), width=80, color=False)
    failed = [check for check in make_many(3000).checks if check.outcome == "fail"]
    assert text.count("→ Read the plan") == len({check.id for check in failed})


def test_causes_come_with_their_remedy_and_all_their_checks() -> None:
    cause = CauseNote(what="promtool is not installed", remedy="apt-get install prometheus")
    checks = [
        make_check(f"alerting.rule-{n}", "", "error", measurements=[]).model_copy(
            update={"causes": (cause,)}
        )
        for n in range(3)
    ]
    text = details.causes(make_record(checks), width=80, color=False)
    assert text == (
        " 1 MAJOR    promtool is not installed\n"
        "          → apt-get install prometheus\n"
        "            unblocks 3 checks: alerting.rule-0, alerting.rule-1, alerting.rule-2\n"
    )


def test_nothing_to_do_is_said() -> None:
    text = details.causes(make_record([make_check(severity="blocker")]), width=80, color=False)
    assert text == "Nothing to do: nothing that decides failed or is missing.\n"


def test_a_record_without_causes_is_grouped_by_message() -> None:
    """Records of earlier versions have none."""
    checks = [make_check(f"a.b{n}", "", "error", message="nobody answered") for n in range(2)]
    assert not checks[0].causes
    text = details.causes(make_record(checks), width=80, color=False)
    assert " 1 MAJOR    nobody answered\n" in text
    assert "unblocks 2 checks: a.b0, a.b1\n" in text


def test_one_check_is_shown_with_all_that_the_record_has() -> None:
    check = small_record().checks[-2]
    assert check.name == "performance.query-latency[orders-db]"
    text = details.one([check], width=80, color=False)
    assert text.startswith("✗ performance.query-latency[orders-db]\n")
    assert "  ✗ p95 latency: 104.6 ms; limit ≤ 100 ms\n" in text
    assert "n=400, 2026-11-20 14:04:07 UTC, GET http://orders.staging.example/orders" in text
    assert "  Why it matters\n  A slow query holds a connection" in text
    assert "  How to fix it\n  Read the plan with EXPLAIN" in text


def test_each_subject_has_a_fix_of_its_own_and_what_is_the_same_stands_once() -> None:
    fixes = {"a": "Run `a`.", "b": "Run `b`.", "c": "Run `b`."}
    checks = [make_check("x.y", name, "fail", fix=fix) for name, fix in fixes.items()]
    checks.append(make_check("x.y", "d", "pass", fix="Run `d`."))
    text = details.details(make_record(checks), width=80, color=False)
    assert re.findall(r"→ Run `?(\w)", text) == ["a", "b"]
    page = "".join(html.render(make_record(checks)))
    assert re.findall(r"<h4>(How to fix it.*?)</h4>", page) == [
        "How to fix it: a",
        "How to fix it: b, c",
    ]
    assert "How to fix it (b, c): Run <code>b</code>" in markdown.render(make_record(checks))


def test_what_only_is_observed_says_who_decided_that() -> None:
    decision = Decision(
        kind=Kind.OBSERVE_ONLY, what="a.*", owner="ana", reason="new here", expires=date(2027, 1, 1)
    )
    check = make_check("a.b", "", "fail").model_copy(update={"decision": decision})
    text = details.one([check], width=80, color=False)
    assert "  fail, does not decide; major, effect observe, took 1.2 s\n" in text
    assert "  observe-only: new here (ana, until 2027-01-01)\n" in text


def test_in_a_block_sentences_are_wrapped_and_commands_are_not() -> None:
    command = "psql -c 'select relname from pg_class' --set=x " + "--set=y " * 9
    file = "resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 256Mi, cpu: 250m}}"
    sentence = "Changed by hand: write a migration for it, or undo it as [databases.NAME] says"
    fix = f"Look:\n    {sentence} and the team's log\n      {command}\n      {file}\n"
    text = details.one([make_check("a.b", "", "fail", fix=fix)], width=80, color=False)
    rows = text.splitlines()
    assert any(row.strip() == command.strip() for row in rows)
    assert any(row.strip() == file for row in rows)
    kept = {command.strip(), file}
    assert all(len(row) <= 80 for row in rows if row.strip() not in kept)
    assert f"{sentence} and the team's log" in " ".join(text.split())
