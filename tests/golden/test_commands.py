"""What the commands on records and checks answer: to people, to pipelines, and to a shell."""

import json
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from readiness.cli.main import main
from readiness.cli.run import _source
from readiness.model.record import CheckResult, RunRecord
from tests.support.records import make_check, make_record, small_record

EARLIER = Path(__file__).with_name("report") / "earlier.json"
"""A record of the time before coverage, decisions and causes."""
GOOD = make_check("backup.restores", "shop", severity="blocker")
BAD = make_check("backup.restores", "shop", "fail", severity="blocker", message="it does not")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("READINESS_CONFIG", "FORCE_COLOR", "CI", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _write(folder: Path, **records: RunRecord) -> None:
    for name, record in records.items():
        (folder / f"{name}.json").write_text(record.to_json())


def _call(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments, prog_name="readiness")
    assert "Traceback" not in result.output
    return result


def test_show_ends_with_the_verdict_and_is_no_gate(folder: Path) -> None:
    (folder / "reports").mkdir()
    _write(folder / "reports", readiness=small_record())
    shown = _call("show")
    assert shown.exit_code == 0
    assert "\nFailed (2)\n✗ deployment.rollback-lossless\n" in shown.output
    assert shown.output.endswith("\n✗ NOT READY  orders 2026.11.3 · staging · exit 1\n")


def test_show_can_name_causes_alone_or_one_check(folder: Path) -> None:
    _write(folder, record=small_record())
    causes = _call("show", "record.json", "--causes").output
    assert " 2 MAJOR    http://prometheus:9090: nobody answered\n" in causes
    assert "Failed (" not in causes
    both = _call("show", "record.json", "--check", "performance.query-latency").output
    assert "✗ performance.query-latency[orders-db]" in both
    assert "✓ performance.query-latency[users-db]" in both
    one = _call("show", "record.json", "--check", "performance.query-latency[users-db]").output
    assert "orders-db" not in one.replace("orders.staging", "")


@pytest.mark.parametrize("how", [[], ["--causes"], ["--check", "backup.fresh"]])
def test_show_reads_the_record_of_an_earlier_version(how: list[str]) -> None:
    assert "coverage" not in json.loads(EARLIER.read_text())
    shown = _call("show", str(EARLIER), *how)
    assert shown.exit_code == 0
    assert "backup.fresh[shop]" in shown.output


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [(GOOD, BAD, 1), (BAD, GOOD, 0), (BAD, BAD, 0), (GOOD, GOOD, 0), (GOOD, None, 1)],
)
def test_diff_tells_by_its_exit_code_only_if_it_is_asked(
    folder: Path, old: CheckResult, new: CheckResult | None, code: int
) -> None:
    other = make_check("backup.fresh", "shop")
    after = [other] if new is None else [other, new]
    _write(folder, old=make_record([other, old]), new=make_record(after))
    assert _call("diff", "old.json", "new.json", "--exit-code").exit_code == code
    assert _call("diff", "old.json", "new.json").exit_code == 0


def test_diff_as_json(folder: Path) -> None:
    _write(folder, old=make_record([GOOD], run_id="a"), new=make_record([BAD], run_id="b"))
    told = json.loads(_call("diff", "old.json", "new.json", "--format", "json").output)
    assert (told["since_run"], told["since_verdict"]) == ("a", "READY")
    assert (told["to_run"], told["to_verdict"], told["worse"]) == ("b", "NOT READY", True)
    (item,) = told["items"]
    assert (item["check"], item["subject"]) == ("backup.restores", "shop")
    assert (item["kind"], item["before"], item["after"]) == ("newly-failing", "pass", "fail")


def test_explain_as_json() -> None:
    told = json.loads(_call("explain", "backup.fresh", "--format", "json").output)
    assert told["id"] == "backup.fresh"
    assert told["each"] == "backup"
    assert isinstance(told["core"], bool)
    assert {"title", "failure_title", "why", "fix", "severity", "effect"} <= set(told)
    fault = told["faults"][0]
    assert set(fault) == {"name", "story", "needs", "misses"}
    assert set(fault["misses"]) <= set(told["judgements"])


CONFIG = """[target]
name = "demo"
[databases.shop]
dsn = "postgresql://monitor@127.0.0.1:1/shop"
[databases.crm]
dsn = "postgresql://monitor@127.0.0.1:1/crm"
[performance]
[[performance.queries]]
name = "a"
sql = "select 1"
dsn = "postgresql://app@127.0.0.1:1/shop"
[[performance.queries]]
name = "b"
sql = "select 2"
dsn = "postgresql://app@127.0.0.1:1/shop"
"""


def _offers(*words: str) -> list[str]:
    shell = BashComplete(main, {}, "readiness", "_READINESS_COMPLETE")
    *before, begun = words
    return [str(item.value) for item in shell.get_completions(list(before), begun)]


def test_a_shell_completes_areas_ids_and_subjects(folder: Path) -> None:
    (folder / "readiness.toml").write_text(CONFIG)
    assert _offers("run", "--suite", "ba") == ["backup"]
    assert _offers("run", "--select", "backup.fr") == ["backup.fresh"]
    assert _offers("plan", "--ignore", "database.connections[") == [
        "database.connections[crm]",
        "database.connections[shop]",
    ]
    assert _offers("explain", "backup.fr") == ["backup.fresh"]
    assert "show" in _offers("sh")


def test_a_shell_completes_the_checks_of_a_record(folder: Path) -> None:
    _write(folder, record=small_record())
    assert _offers("show", "record.json", "--check", "database.i") == [
        "database.index-use[orders-db]"
    ]


@pytest.mark.parametrize("text", ["", "[target", "[target]\nname = '${NOT_SET}'\n"])
def test_a_shell_gets_ids_and_no_message_from_a_file_with_mistakes(folder: Path, text: str) -> None:
    (folder / "readiness.toml").write_text(text)
    assert _offers("run", "--select", "backup.fr") == ["backup.fresh"]
    assert _offers("run", "--select", "database.connections[") == []
    assert _offers("show", "--check", "x") == []


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("databases.crm.dsn", 6),
        ("databases.crm.growth_max", 5),  # a default: the line of its table
        ("performance.queries[1].sql", 14),
        ("performance.queries[1].max_p95_ms", 12),
        ("crm", 5),  # a subject: the line of its table
        ("nowhere.x", None),
        ("", None),
    ],
)
def test_the_line_of_a_deciding_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch, key: str, line: int | None
) -> None:
    (folder / "deploy").mkdir()
    (folder / "deploy" / "readiness.toml").write_text(CONFIG)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    source = _source(folder / "deploy" / "readiness.toml")
    assert source is not None
    assert source.path == "deploy/readiness.toml"
    assert source.line_of(key) == line


def test_a_file_outside_of_the_checkout_has_no_annotations(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "readiness.toml").write_text(CONFIG)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder / "elsewhere"))
    assert _source(folder / "readiness.toml") is None
