"""Makes text of the target fit for a message.

Stands alone, as every probe and light child processes import it.
"""

import re
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 200
_SENTENCE: Final = 600
# Control characters would drive the reader's terminal (ANSI), or forge a line of a log; the
# second range reorders text (bidirectional marks), so that it reads as something else.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


def clean(text: str, longest: int = LONGEST) -> str:
    """The text on one line, without control characters, at most `longest` characters."""
    fit = _UNFIT.sub(" ", text[: longest * 4]).strip()
    return fit if len(fit) <= longest else f"{fit[: longest - 1]}…"


def listed(
    texts: Iterable[str], *, most: int = 3, between: str = ", ", longest: int = LONGEST
) -> str:
    """The first of some texts, cleaned, and how many more there are.

    A text that is a statement brings a semicolon of its own.
    """
    found = list(texts)
    more = f"{between}and {len(found) - most} more" if len(found) > most else ""
    shown = between.join(clean(text, longest) for text in found[:most]) + more
    return shown.replace(f";{between}", between) if between == "; " else shown


def worst(texts: Iterable[str]) -> str:
    """The first three of some sentences, and how many more there are.

    Up to 600 characters each: a statement that fixes something must not be cut in the middle.
    """
    return listed(texts, between="; ", longest=_SENTENCE)
