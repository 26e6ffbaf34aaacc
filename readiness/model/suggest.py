"""The nearest valid word for a misspelt one."""

import difflib
from collections.abc import Iterable


def nearest(word: str, options: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The option most similar to the word; empty if none is similar.

    Args:
        word: what was written.
        options: what could have been meant.
        cutoff: minimal similarity, from 0 to 1.
    """
    folded = {option.casefold(): option for option in sorted(options)}
    found = difflib.get_close_matches(word[:100].casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`Did you mean 'x'?`, or an empty text if no option is similar."""
    found = nearest(word, options)
    return f"Did you mean {found!r}?" if found else ""
