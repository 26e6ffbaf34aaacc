"""Lines for a terminal: color, wrapping between words, and text that fits into some rows."""

import re
import textwrap
from collections.abc import Callable
from typing import Final

from readiness.model.evidence import Outcome
from readiness.model.record import Verdict

NARROWEST: Final = 40
_MORE: Final = " …"
_LONG: Final = 20
_COLORS: Final = {
    Verdict.READY.value: "1;32",
    Verdict.NOT_READY.value: "1;31",
    Verdict.INCOMPLETE.value: "1;33",
    Outcome.FAIL.value: "31",
    Outcome.ERROR.value: "33",
    Outcome.NOT_RUN.value: "33",
    Outcome.WAIVED.value: "35",
    Outcome.WARN.value: "33",
    Outcome.PASS.value: "32",
    "bold": "1",
    "soft": "2",
}
_COLOR: Final = re.compile("\x1b\\[[0-9;]*m")
Paint = Callable[[str, str], str]


def painter(color: bool) -> Paint:
    """Paints a text in the color of an outcome or verdict; a no-op without color."""

    def paint(text: str, what: str) -> str:
        code = _COLORS.get(what)
        return f"\x1b[{code}m{text}\x1b[0m" if color and code and text else text

    return paint


def wrap(text: str, width: int, indent: str = "", first: str = "", *, rows: int = 0) -> list[str]:
    """The text in lines, broken between words; a longer word gets a line of its own.

    Args:
        text: one paragraph.
        width: columns.
        indent: in front of every line but the first.
        first: in front of the first line.
        rows: how many lines to keep, the last cut where it is full; 0 keeps all.
    """
    if rows:
        # A word that no row can hold is cut: the number of rows is promised.
        room = width - max(len(indent), len(first)) - len(_MORE)
        text = " ".join(w if len(w) <= room else f"{w[: room - 1]}…" for w in text.split())
    found = textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    if not rows or len(found) <= rows:
        return found
    last, word = found[rows - 1], found[rows].split()[0]
    room = width - len(last) - len(_MORE)
    if len(word) >= _LONG and room > len(_MORE):
        # The start of an address or a key says more than an empty end of a line.
        return [*found[: rows - 1], f"{last} {word[:room]}…"]
    while len(last) + len(_MORE) > width:
        last = last.rpartition(" ")[0]
    return [*found[: rows - 1], f"{last}{_MORE}"]


def height(row: str, width: int) -> int:
    """How many lines a terminal of that width shows it in."""
    return max(1, -(-len(_COLOR.sub("", row)) // width))
