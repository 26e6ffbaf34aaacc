r"""Go's regular expressions, matched by RE2: the syntax of Go's own package, and linear in time.

RE2 knows one escape that Go refuses, `\C`; neither Alertmanager nor Prometheus loads it.
"""

from functools import lru_cache
from typing import Final

from readiness.model.errors import NoData

# RE2's own 8 MiB are too few for an alternative of 20,000 names, which Go takes.
_MAX_MEMORY: Final = 64 << 20


class GoRegex:
    """One expression, anchored at both ends as Alertmanager anchors it.

    Raises:
        NoData: RE2 cannot read it.
    """

    def __init__(self, source: str) -> None:
        import re2

        options = re2.Options()
        options.log_errors = False  # they would be written to stderr, and are raised here
        options.max_mem = _MAX_MEMORY
        self._source = source
        try:
            # The text goes into the middle of another one, in Go too: an unbalanced `)` counts.
            self._compiled = re2.compile(f"^(?:{source})$", options)
        except re2.error as problem:
            raise _refusal(source, problem.args[0].decode(errors="replace")) from None
        except UnicodeEncodeError:
            raise _refusal(source, "it is not UTF-8") from None

    def matches(self, text: str) -> bool:
        """Whether the whole text matches.

        Raises:
            NoData: the text is not UTF-8.
        """
        try:
            return self._compiled.search(text) is not None
        except UnicodeEncodeError:
            raise _refusal(self._source, f"{text[:40]!r} is not UTF-8") from None


@lru_cache(maxsize=4096)
def compiled(source: str) -> GoRegex:
    """The expression, compiled once.

    Raises:
        NoData: see `GoRegex`.
    """
    return GoRegex(source)


def _refusal(source: str, why: str) -> NoData:
    return NoData(
        f"the regular expression {source[:120]!r} cannot be judged on paper: {why[:200]}",
        remedy="check it with `amtool check-config` or `promtool check rules`; if they accept it,"
        " write it shorter (the shadow replay runs it as it stands)",
    )
