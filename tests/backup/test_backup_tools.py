"""What the tools print (recorded from Barman 3.4, wal-g 2.0's source), and names of WAL files."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from readiness.areas.backup.config import Adapter, Backup, Physical, Tool
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.base_backups import read_check
from readiness.areas.backup.tools.commands import read_wal_verify
from readiness.areas.backup.tools.pgbackrest import read_verify
from readiness.areas.backup.wal_segments import SEGMENT_BYTES, Segment, continuity, parse
from readiness.lib.command import Answer
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable

GOOD = """\
stanza: shop
status: ok
  archiveId: 15-1, total WAL checked: 2, total valid WAL: 2
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261122-102824F, status: valid, total files checked: 964, total valid files: 964
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
SEGMENT = "000000010000000000000003"


def answers(tmp_path: Path, table: dict[str, tuple[int, str]]) -> list[str]:
    """A command that prints what the tool printed, by the words it is called with."""
    recorded = tmp_path / "answers.json"
    recorded.write_text(json.dumps(table))
    script = (
        "import json, sys; table = json.load(open(sys.argv[1]));"
        "status, text = table.get(' '.join(sys.argv[2:]), (9, 'not recorded'));"
        "print(text, end=''); sys.exit(status)"
    )
    return [sys.executable, "-c", script, str(recorded)]


def backup(tool: Tool, path: Path, **physical: object) -> Backup:
    account = {"account": None} if os.geteuid() else {"account": "root"}
    made = Physical.model_validate({**account, **physical})
    return Backup(name="wal", database="shop", tool=tool, path=str(path), physical=made)


def pgbackrest_says(text: str, status: int = 0) -> Answer:
    return Answer(status, text, text[-300:])


@pytest.mark.parametrize(
    ("text", "status", "good", "problem"),
    [
        (GOOD, 0, True, ""),
        (GOOD.replace("status: ok", "status: error"), 0, False, ""),
        (
            GOOD.replace("checksum invalid: 0, size", "checksum invalid: 1, size"),
            0,
            False,
            "checksum invalid 1",
        ),
        (GOOD.replace("status: valid", "status: invalid"), 0, False, "status: invalid"),
        # It gave up on what it read.
        ("ERROR: [029]: zlib threw error: [-3] data error", 29, False, "data error"),
    ],
)
def test_pgbackrest_is_judged_by_what_it_prints(
    text: str, status: int, good: bool, problem: str
) -> None:
    found = read_verify(pgbackrest_says(text, status), "verify")
    assert found.good is good
    assert problem in "; ".join(found.problems)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", CouldNotMeasure, "printed no status"),
        ("ERROR: [031]: option 'stanza' is missing", CouldNotMeasure, "printed no status"),
        ("stanza: shop\nstatus: ok\n", NoData, "no WAL"),
    ],
)
def test_pgbackrest_that_verified_nothing_is_an_error(
    text: str, error: type[CouldNotMeasure], says: str
) -> None:
    with pytest.raises(error, match=says):
        read_verify(pgbackrest_says(text), "verify")


@pytest.mark.parametrize(
    ("logged", "problem"),
    [
        (
            "invalid checksum, actual '1' but expected '2' <REPO:BACKUP>/F/backup.manifest",
            "invalid checksum, actual <REPO:BACKUP>/F/backup.manifest",
        ),
        ("F/backup.manifest is missing or unusable, using copy",) * 2,
        ("required key 'backup-info-repo-size' not found", "required key"),
        ("invalid JSON value at line 6 'cipher-pass=x' '}' at", "invalid JSON value at line 6"),
        ("unable to open missing file '/repo/x'", "unable to open missing file"),
        ("missing '=' in key/value at line 10: db-s?=secret", "missing"),
        ("archiveId: 15-1, wal start: 1, wal stop: 2", ""),
        ("backup.info.copy does not match backup.info", ""),
        ("invalid checksum 'F/pg_data/base/1'", ""),  # the summary counts it
    ],
)
def test_pgbackrest_problems_in_its_log_are_reported(logged: str, problem: str) -> None:
    found = read_verify(pgbackrest_says(f"P00 DETAIL: {logged}\n{GOOD}"), "verify")
    assert found.problems == ((f"its log: {problem}",) if problem else ())
    assert found.good is not bool(problem)


def test_a_backup_that_is_being_written_is_not_damaged() -> None:
    log = "P00 DETAIL: F2/backup.manifest is missing or unusable, using copy\n"
    written = "P00   INFO: backup 'F2' appears to be in progress, skipping\n"
    assert not read_verify(pgbackrest_says(log + GOOD), "verify").good
    assert read_verify(pgbackrest_says(log + written + GOOD), "verify").good


def barman_check(**checks: str) -> Answer:
    entries = {name: {"hint": f"hint of {name}", "status": s} for name, s in checks.items()}
    return Answer(1, json.dumps({"shop": entries}), "")


def test_limits_that_barman_was_not_given_are_ignored() -> None:
    good = barman_check(postgresql="OK", backup_maximum_age="FAILED")
    assert read_check(good, "shop", "check") == ()
    bad = barman_check(receive_wal_running="FAILED", wal_level="OK")
    assert read_check(bad, "shop", "check") == ("receive_wal_running: hint of receive_wal_running",)


@pytest.mark.parametrize(
    "text", ["", "ERROR: Unknown server", "{}", '{"shop": {}}', "[]", '{"shop": {"ssh": "OK"}}']
)
def test_barman_that_prints_something_else_is_an_error(text: str) -> None:
    with pytest.raises(CouldNotMeasure):
        read_check(Answer(0, text, text), "shop", "check")


def barman(tmp_path: Path, status: str = "DONE") -> Backup:
    shown = {
        "status": status, "tablespaces": [],
        "base_backup_information": {
            "begin_wal": SEGMENT, "end_time_timestamp": "1795346206", "disk_usage_bytes": 23351305,
        },
    }  # fmt: skip
    table = {
        "-f json list-backups shop": (0, json.dumps({"shop": [{"backup_id": "B1"}]})),
        "-f json show-backup shop B1": (0, json.dumps({"shop": shown})),
        "list-files --target wal shop B1": (0, f"/b/wals/0000000100000000/{SEGMENT}\n"),
    }
    return backup("barman", tmp_path, command=answers(tmp_path, table))


def test_the_backups_of_barman(tmp_path: Path) -> None:
    tool = tool_of(barman(tmp_path))
    (found,) = tool.backups()
    assert (found.label, found.failed, found.first_segment) == ("B1", False, SEGMENT)
    assert (found.size, found.taken_at.year) == (23351305, 2026)
    assert tool.segments() == [SEGMENT]
    assert tool_of(barman(tmp_path, "WAITING_FOR_WALS")).backups()[0].failed


WALG_LIST = [
    {
        "backup_name": "base_000000010000000000000003", "time": "2026-11-22T10:00:00Z",
        "wal_file_name": SEGMENT, "finish_time": "2026-11-22T10:01:00Z",
        "compressed_size": 10, "uncompressed_size": 100,
    }
]  # fmt: skip


def test_the_backups_of_wal_g(tmp_path: Path) -> None:
    table = {
        "backup-list --json --detail": (0, json.dumps(WALG_LIST)),
        "st ls wal_005/": (0, f"type size last-modified name\nobj 1 now {SEGMENT}.br\n"),
        "wal-verify integrity timeline --json": (
            0,
            json.dumps({"integrity": {"status": "FAILURE"}, "timeline": {"status": "OK"}}),
        ),
    }
    tool = tool_of(backup("wal-g", tmp_path, command=answers(tmp_path, table)))
    (found,) = tool.backups()
    assert found.taken_at == datetime(2026, 11, 22, 10, 1, tzinfo=UTC)
    assert tool.segments() == [SEGMENT]
    verified = tool.verify()
    assert (verified.good, verified.status) == (False, 0)
    assert verified.problems == ("integrity: FAILURE",)
    with pytest.raises(CouldNotMeasure, match="no status of timeline"):
        read_wal_verify(Answer(0, '{"integrity": {"status": "OK"}}', ""), "wal-verify")


def command(tmp_path: Path, status: str, **changes: object) -> Backup:
    entry = {"label": "one", "finished_at": "2026-11-22T10:01:00+00:00", "size": 5} | changes
    table = {
        "list": (0, json.dumps([entry])),
        "verify": (0, json.dumps({"status": status, "problems": ["a hole"] * (status != "ok")})),
        "wal": (0, f"{SEGMENT}\nnoise\n"),
    }
    argv = answers(tmp_path, table)
    commands = Adapter(list=[*argv, "list"], verify=[*argv, "verify"], segments=[*argv, "wal"])
    return backup("command", tmp_path, commands=commands)


def test_commands_replace_a_tool(tmp_path: Path) -> None:
    tool = tool_of(command(tmp_path, "ok"))
    assert [found.label for found in tool.backups()] == ["one"]
    assert tool.verify().good
    assert tool.segments() == [SEGMENT]
    assert tool_of(command(tmp_path, "error")).verify().problems == ("a hole",)
    with pytest.raises(CouldNotMeasure, match="finished_at"):
        tool_of(command(tmp_path, "ok", finished_at="yesterday")).backups()


@pytest.mark.parametrize("text", ["", "null", "{", "ERROR"])
def test_a_tool_that_prints_no_json_is_an_error(tmp_path: Path, text: str) -> None:
    argv = answers(tmp_path, {"info --output=json": (0, text)})
    with pytest.raises(CouldNotMeasure):
        tool_of(backup("pgbackrest", tmp_path, command=argv)).backups()


def test_base_backups_of_a_folder(tmp_path: Path) -> None:
    place = backup("basebackup", tmp_path)
    assert tool_of(place).backups() == []
    made = tmp_path / "monday"
    made.mkdir()
    (made / "backup_label").write_text(f"START WAL LOCATION: 0/3000028 (file {SEGMENT})\n")
    assert tool_of(place).backups()[0].failed  # its manifest comes last
    (made / "backup_manifest").write_text('{"Files": [{"Size": 7}, {"Size": 5}]}')
    (found,) = tool_of(place).backups()
    assert (found.failed, found.size, found.first_segment) == (False, 12, SEGMENT)
    shutil.rmtree(tmp_path)
    with pytest.raises(Unreachable):
        tool_of(place).backups()


MB_64 = 64 * 1024 * 1024


def names(timeline: int, *numbers: int, size: int = SEGMENT_BYTES) -> list[str]:
    return [Segment(timeline, number).name(size) for number in numbers]


@pytest.mark.parametrize("size", [1024 * 1024, SEGMENT_BYTES, MB_64, 1024 * 1024 * 1024])
@pytest.mark.parametrize("number", [0, 1, 255, 256, 1_000_003])
def test_segment_name_round_trips(size: int, number: int) -> None:
    assert parse(Segment(3, number).name(size), size) == Segment(3, number)


def test_segment_names_carry_at_four_gigabytes() -> None:
    assert Segment(1, 255).name() == "0000000100000000000000FF"
    assert Segment(1, 256).name() == "000000010000000100000000"


@pytest.mark.parametrize(
    "name", ["00000002.history", "archive.info", "0000000100000000000000ff", ""]
)
def test_other_file_names_are_not_segments(name: str) -> None:
    assert parse(name) is None


def test_complete_archive_has_no_gap() -> None:
    found = continuity(names(1, *range(250, 260)), names(1, 252)[0])
    assert (found.missing, found.there) == ((), 8)
    assert found.last == names(1, 259)[0]


def test_missing_segments_are_named() -> None:
    there = [n for n in names(1, *range(250, 260)) if n not in names(1, 255, 257)]
    assert continuity(there, names(1, 250)[0]).missing == tuple(names(1, 255, 257))


def test_first_needed_segment_must_exist() -> None:
    assert continuity(names(1, 5, 6), names(1, 4)[0]).missing == tuple(names(1, 4))
    nothing = continuity(names(1, 1, 2), names(1, 4)[0])
    assert (nothing.missing, nothing.last, nothing.there) == (tuple(names(1, 4)), None, 0)


def test_segments_before_the_first_needed_do_not_count() -> None:
    assert continuity(names(1, 1, 3, 4, 5), names(1, 3)[0]).missing == ()


def test_new_timeline_continues_the_old_one() -> None:
    promoted = [*names(1, 3, 4, 5), *names(2, 5, 6, 7)]
    assert continuity(promoted, names(1, 3)[0]).missing == ()
    assert continuity(promoted, names(1, 3)[0]).last == names(2, 7)[0]


def test_abandoned_timeline_does_not_fill_a_gap() -> None:
    abandoned = [*names(1, *range(3, 12)), *names(2, 5, 6, 8)]
    assert continuity(abandoned, names(1, 3)[0]).missing == tuple(names(2, 7))


def test_segment_size_of_the_server_is_used() -> None:
    there = names(1, 63, 64, 65, size=MB_64)
    assert continuity(there, there[0], MB_64).missing == ()
    assert continuity(there, there[0]).missing


def test_first_segment_must_be_a_segment_name() -> None:
    with pytest.raises(ValueError, match="not the name of a WAL file"):
        continuity([], "00000002.history")
