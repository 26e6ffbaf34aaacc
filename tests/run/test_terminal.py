"""How an error of ours stands on a terminal and in a log."""

import io

from readiness.cli.terminal import told
from readiness.model.errors import ConfigError, Problem


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ERROR = ConfigError(
    [
        Problem("readiness.toml:1 [x] y", "unknown key here " * 8, "write another one " * 8),
        Problem("readiness.toml:2 [x] z", "unknown", "see it: readiness list " + "--with-it " * 9),
    ]
)


def test_a_log_gets_each_sentence_on_one_line() -> None:
    rows = list(told(ERROR, io.StringIO()))
    assert len(rows) == 4
    assert rows[0].startswith("readiness: readiness.toml:1 [x] y: unknown key here")


def test_a_terminal_gets_whole_words_and_whole_commands() -> None:
    rows = list(told(ERROR, _Terminal()))
    words = " ".join(told(ERROR, io.StringIO())).split()
    assert " ".join(rows).split() == words
    command = "  → see it: readiness list " + "--with-it " * 9
    assert command in rows
    assert all(len(row) <= 100 for row in rows if row != command)
