"""The errors; each says what went wrong, where, and what to do.

ReadinessError
├── UsageError            the command line, or a file named on it          exit 2
├── ConfigError           readiness.toml; carries every problem found      exit 2
├── SafetyRefusal         an effect that the safety rules do not allow     exit 2
├── RecordError           a record that cannot be read, or was changed     exit 2
├── ReferenceSystemError  the reference system did not start, or a lever failed
└── CouldNotMeasure       a probe got no usable answer: outcome `error`
    ├── Unreachable       no answer, or the connection was refused
    ├── NoData            an answer that holds nothing to judge
    ├── NotPermitted      the credentials do not allow the request
    └── TookTooLong       the deadline passed before the answer came
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something could not be judged; several checks may share it.

    Attributes:
        what: what was asked, and what it answered.
        remedy: the next action.
    """

    what: str
    remedy: str = ""


class ReadinessError(Exception):
    """Base of all our errors.

    Args:
        message: what went wrong, one sentence, with the observed value.
        where: the file, key, address or query it concerns.
        remedy: the next action, with the command if there is one.
        cause: what several errors of this kind have in common, if that is not what `cause` says
            without it.
    """

    def __init__(self, message: str, *, where: str = "", remedy: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy
        self._cause = cause

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  → {self.remedy}" if self.remedy else text

    @property
    def sentence(self) -> str:
        """The error on one line, for a table or an annotation."""
        return " ".join(str(self).replace("\n  → ", ". ").split())

    @property
    def cause(self) -> Cause:
        """What to group it by: the server for an address, and the message up to its first `;`.

        The rest of a message names what cannot be judged because of it.
        """
        words = self.message.split("; ", 1)[0]
        place = _origin(self.where)
        what = self._cause or (f"{place}: {words}" if place else words)
        return Cause(" ".join(what.split()), self.remedy)


def _origin(where: str) -> str:
    """The scheme, host and port of an address; any other place as it is."""
    address = re.match(r"https?://[^/\s?#]+", where)
    if address:
        return address[0]
    return "" if where == "PATH" else where


class UsageError(ReadinessError):
    """The command line, or a file named on it, cannot be used."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file.

    Attributes:
        where: file, line and key, as `readiness.toml:12 [backup.orders] pth`.
        message: what is wrong and what was expected.
        remedy: what to write instead.
    """

    where: str
    message: str
    remedy: str = ""


class ConfigError(ReadinessError):
    """An invalid configuration; lists every problem, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, where=first.where, remedy=first.remedy)

    def __str__(self) -> str:
        return "\n".join(
            str(ReadinessError(p.message, where=p.where, remedy=p.remedy)) for p in self.problems
        )


class SafetyRefusal(ReadinessError):
    """An effect on the target that the safety rules do not allow."""


class RecordError(ReadinessError):
    """A run record that cannot be read, or was changed after it was written."""


class ReferenceSystemError(ReadinessError):
    """The reference system did not start, or one of its levers failed."""


class CouldNotMeasure(ReadinessError):
    """A probe got no usable answer; the outcome is `error`, never a pass or a fail."""


class Unreachable(CouldNotMeasure):
    """No answer from that address, or the connection was refused."""


class NoData(CouldNotMeasure):
    """An answer with nothing to judge: no rows, NaN, an empty list."""


class NotPermitted(CouldNotMeasure):
    """The credentials do not allow the request.

    Args:
        message: this and the other words: see `ReadinessError`.
        grants: the SQL statements that would allow it, if they are known.
    """

    def __init__(self, message: str, *, grants: Sequence[str] = (), **words: str) -> None:
        super().__init__(message, **words)
        self.grants = tuple(grants)


class TookTooLong(CouldNotMeasure):
    """The deadline passed before the answer came."""


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
