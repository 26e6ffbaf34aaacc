"""What a file of a backup holds: plain SQL dumps that are complete or cut off, unknown bytes."""

from io import BytesIO
from pathlib import Path

import pytest

from readiness.areas.backup.probes.contents import Format, content_of, read_plain_dump
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
def test_one_that_was_cut_off_is_told(content: bytes) -> None:
    assert "cut off" in problems(content)[0]


def test_the_line_counts_at_the_end_only() -> None:
    assert "cut off" in problems(TAIL + HEAD + ROWS * 3)[0]


def test_new_minor_releases_close_what_they_opened() -> None:
    begin, end = b"\\restrict abc\n", b"\\unrestrict abc\n\n"
    assert problems(begin + HEAD + ROWS + TAIL + end) == ()
    assert "\\unrestrict" in problems(begin + HEAD + ROWS + TAIL)[0]
    assert "\\unrestrict" in problems(begin + HEAD + ROWS + TAIL + b"\\unrestrict x\n")[0]


def test_zeros_are_no_dump() -> None:
    assert "NUL" in problems(HEAD + b"\0" * 100 + b"\n" + TAIL)[0]


def test_a_filtered_dump_says_so_itself() -> None:
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
