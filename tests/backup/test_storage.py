"""What stored backups hold and how they are protected: contents, copies, encryption, deletion."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from readiness.areas.backup.config import Backup, Copy, Immutable
from readiness.areas.backup.probes.contents import Format, content_of
from readiness.areas.backup.probes.packed import known_as
from readiness.areas.backup.probes.plain_sql import read_plain_dump
from readiness.areas.backup.probes.storage import (
    complete,
    pieces_of,
    sizes,
    try_to_delete,
    unencrypted,
)
from readiness.lib.files import BackupFile
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure
from readiness.servers.binaries import find_binaries

HEAD = b"--\n-- PostgreSQL database dump\n--\n\nSET row_security = off;\nCREATE TABLE a (b int);\n"
ROWS = b"COPY a (b) FROM stdin;\n1\n2\n\\.\n"
TAIL = b"--\n-- PostgreSQL database dump complete\n--\n\n"


def problems(content: bytes) -> tuple[str, ...]:
    return read_plain_dump(BytesIO(content)).damage


def test_a_whole_dump_has_no_problem() -> None:
    dump = read_plain_dump(BytesIO(HEAD + ROWS + TAIL))
    assert (dump.damage, dump.tables, dump.data, dump.roles) == ((), 1, 1, 0)
    assert not dump.filtered


def test_globals_end_with_a_line_of_their_own() -> None:
    text = b"CREATE ROLE app;\n-- PostgreSQL database cluster dump complete\n"
    dump = read_plain_dump(BytesIO(text))
    assert (dump.damage, dump.roles) == ((), 1)


@pytest.mark.parametrize("content", [b"", HEAD, HEAD + ROWS, (HEAD + ROWS + TAIL)[:-30]])
def test_truncated_plain_dump_is_damaged(content: bytes) -> None:
    assert "cut off" in problems(content)[0]


def test_final_comment_counts_only_at_the_end() -> None:
    assert "cut off" in problems(TAIL + HEAD + ROWS * 3)[0]


def test_restrict_needs_a_matching_unrestrict() -> None:
    begin, end = b"\\restrict abc\n", b"\\unrestrict abc\n\n"
    assert problems(begin + HEAD + ROWS + TAIL + end) == ()
    assert "\\unrestrict" in problems(begin + HEAD + ROWS + TAIL)[0]
    assert "\\unrestrict" in problems(begin + HEAD + ROWS + TAIL + b"\\unrestrict x\n")[0]


def test_nul_bytes_are_damage() -> None:
    assert "NUL" in problems(HEAD + b"\0" * 100 + b"\n" + TAIL)[0]


def test_dump_with_row_security_is_filtered() -> None:
    text = HEAD.replace(b"row_security = off", b"row_security = on")
    assert read_plain_dump(BytesIO(text + TAIL)).filtered


def test_a_line_of_many_megabytes_is_read_in_pieces() -> None:
    row = b"x" * (3 << 20) + b"CREATE TABLE no" + b"\n"
    dump = read_plain_dump(BytesIO(HEAD + b"COPY a FROM stdin;\n" + row + TAIL))
    assert (dump.damage, dump.tables) == ((), 1)


@pytest.mark.contract
def test_unknown_bytes_are_not_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(256)) * 10)
    found = content_of(path, find_binaries(), timeout_s=5)
    assert (found.format, bool(found.problem)) == (Format.UNKNOWN, True)


def commands(store: Path, delete: str, **changes: object) -> Immutable:
    path = f"{store}/{{object}}"
    plan = Immutable(
        put=["touch", path], exists=["test", "-e", path], access=["test", "-r", path],
        delete=["sh", "-c", delete, path], remove=["rm", "-f", path],
    )  # fmt: skip
    return plan.model_copy(update=changes)


@pytest.mark.parametrize(
    ("delete", "survived", "said"),
    [
        ("echo AccessDenied >&2; exit 1", True, "AccessDenied"),
        ("exit 0", True, ""),  # what is there counts, and not what the store answers
        ('rm "$0"; exit 1', False, ""),
    ],
)
def test_deletion_is_judged_by_whether_the_object_survived(
    tmp_path: Path, delete: str, survived: bool, said: str
) -> None:
    with Guardian() as guardian:
        found = try_to_delete(commands(tmp_path, delete), guardian)
    assert (found.survived, found.said) == (survived, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"put": ["true"]}, "does not exist after"),
        ({"access": ["false"]}, "use the application's credentials"),
    ],
)
def test_deletion_without_working_credentials_is_an_error(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with Guardian() as guardian, pytest.raises(CouldNotMeasure, match=says):
        try_to_delete(commands(tmp_path, "exit 1", **changes), guardian)
    assert list(tmp_path.iterdir()) == []


def listed(text: str) -> dict[str, int]:
    copy = Copy(name="far", list_command=["printf", text])
    return sizes(Backup(name="shop", database="shop", path="/nowhere"), copy)


def test_list_command_gives_sizes_by_name() -> None:
    assert listed("12\\ta.dump\\n7\\tdeep/b.dump\\n") == {"a.dump": 12, "b.dump": 7}
    with pytest.raises(CouldNotMeasure, match=r"that lists the copy printed 'a\.dump 12'"):
        listed("a.dump 12\\n")


def test_copy_counts_only_in_full_size() -> None:
    day = [datetime(2026, 1, n, tzinfo=UTC) for n in (1, 2)]
    old, new = (BackupFile(Path(f"{n}.dump"), at, 10, "", at) for n, at in enumerate(day))
    assert complete([new, old], {"0.dump": 10, "1.dump": 9}) == [old]
    assert complete([new, old], {}) == []


@pytest.mark.parametrize(
    ("head", "shows"),
    [
        (b"PGDMP" + bytes(600), "a pg_dump archive"),
        (b"-- PostgreSQL database dump\n", "plain text"),
        (b"\1\2\3" + bytes(600), "unencrypted bytes"),
        (b"Salted__" + bytes(range(256)), ""),
        (b"age-encryption.org/v1\n-> X25519 abc\n", ""),
    ],
)
def test_the_bytes_show_whether_a_file_is_encrypted(
    tmp_path: Path, head: bytes, shows: str
) -> None:
    (tmp_path / "all.dump").write_bytes(head)
    found = unencrypted(pieces_of(Backup(name="shop", database="shop", path=str(tmp_path))))
    assert found == ([f"all.dump shows {shows}"] if shows else [])
    assert known_as(head) == ("" if shows == "unencrypted bytes" else shows)
