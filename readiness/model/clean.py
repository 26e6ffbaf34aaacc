"""Makes text from the target safe to print: no escape sequences, no invisible characters."""

import re
from typing import Final

MORE: Final = "… [{count:,} more characters in readiness.json]"

# CSI, OSC and the like (ECMA-48), then any other two-character escape.
_ANSI: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_].*?(?:\x1b\\|\x07|$)"
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]",
    re.DOTALL,
)
_BREAK: Final = re.compile("\r\n?|[\u0085\u2028\u2029\x0b\x0c]")
# Control characters, invisible characters, and marks that reorder text (bidi).
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# What neither UTF-8 nor XML can hold.
_INVALID: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
# A line of output like this is a command to a CI runner, whoever printed it.
_RUNNER_COMMAND: Final = re.compile(r"^\s*:(?=:)|##\[")
_PLAIN: Final = re.compile(r"[ -~]*")


def clean(text: str, limit: int = 4000) -> str:
    """The text without control characters, escapes and marks that reorder it.

    Args:
        text: anything; every line end becomes a line feed.
        limit: characters to keep; what was cut is counted at the end.
    """
    if not _PLAIN.fullmatch(text):
        text = _BREAK.sub("\n", _ANSI.sub("", text))
        text = _INVALID.sub("\ufffd", _HIDDEN.sub("", text)).replace("\t", "    ")
    if len(text) <= limit:
        return text
    return text[:limit].rstrip() + MORE.format(count=len(text) - limit)


def line(text: str, limit: int = 1000) -> str:
    """`clean`, on one line."""
    return " ".join(clean(text, limit).split())


def no_command(row: str) -> str:
    """The line, with an invisible joiner if a CI runner would take it as a command."""
    return _RUNNER_COMMAND.sub(lambda m: f"{m[0][:-1]}\u2060{m[0][-1]}", row)
