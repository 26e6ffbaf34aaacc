"""Go's regular expressions (RE2), matched by Python: what cannot be translated is refused.

Only whether the whole text matches is asked, so that greediness and groups do not matter. Python
backtracks where RE2 does not: an expression made to be slow is slow here.
"""

import re
from functools import lru_cache
from typing import Final

from readiness.model.errors import NoData

_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_SPACE: Final = r"\t\n\f\r "
_SAME: Final = frozenset("dDwWbBAafnrtv")
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED: Final = re.compile(r"\(\?P?<\w+>")
_REPEAT: Final = re.compile(r"\{\d+(?:,\d*)?\}")
_HEX: Final = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_OCTAL: Final = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_QUOTED: Final = re.compile(r"Q(.*?)(?:\\E|\Z)", re.DOTALL)
_CLASS_NAME: Final = re.compile(r"\[:(\^?)(\w+):\]")


class GoRegex:
    """One expression, anchored at both ends as Alertmanager anchors it.

    Raises:
        NoData: it uses what cannot be matched faithfully here.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        # The text goes into the middle of another one, in Go too: an unbalanced `)` has its say.
        translation = _Translation(f"^(?:{source})$")
        try:
            self._compiled = re.compile(translation.text, re.ASCII)
        except (re.error, RecursionError, OverflowError) as problem:
            raise _refusal(source, str(problem)) from None
        self._folds = translation.folds

    def matches(self, text: str) -> bool:
        """Whether the whole text matches.

        Raises:
            NoData: letters outside of ASCII, with case ignored: Go folds some of them otherwise.
        """
        if self._folds and not (text.isascii() and self._source.isascii()):
            raise _refusal(self._source, f"ignores case, and {text[:40]!r} or it is not ASCII")
        return self._compiled.search(text) is not None


@lru_cache(maxsize=4096)
def compiled(source: str) -> GoRegex:
    """The expression, compiled once.

    Raises:
        NoData: see `GoRegex`.
    """
    return GoRegex(source)


def _refusal(source: str, why: str) -> NoData:
    return NoData(
        f"the regular expression {source[:120]!r} cannot be judged on paper: {why}",
        remedy="write it with plain groups and character classes; the shadow replay runs it as"
        " it stands",
    )


class _Translation:
    """Walks over the expression once, and writes the same for Python."""

    def __init__(self, source: str) -> None:
        self.folds = False
        self._source = source
        self._at = 0
        self._out: list[str] = []
        # For each open group: the flags `(?i)` that were set inside it, as opened wrappers; and
        # whether `$` may match at a line's end there.
        self._wrappers: list[list[str]] = [[]]
        self._multiline = [False]
        while self._at < len(source):
            self._step()
        self._close_wrappers()
        self.text = "".join(self._out)

    def _step(self) -> None:
        char = self._source[self._at]
        if char == "\\":
            self._escape()
        elif char == "[":
            self._class()
        elif char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char == "|":
            self._alternative()
        elif char == "$":
            self._emit("$" if self._multiline[-1] else r"\Z", 1)
        elif char == "{":
            found = _REPEAT.match(self._source, self._at)
            self._emit(found[0] if found else r"\{", len(found[0]) if found else 1)
        elif char in "^.*+?":
            self._emit(char, 1)
        else:
            self._emit(re.escape(char), 1)

    def _emit(self, text: str, width: int) -> None:
        self._out.append(text)
        self._at += width

    def _escape(self) -> None:
        if found := _QUOTED.match(self._source, self._at + 1):
            self._emit(re.escape(found[1]), 1 + len(found[0]))
            return
        following = self._source[self._at + 1 : self._at + 2]
        special = {"z": r"\Z", "s": f"[{_SPACE}]", "S": f"[^{_SPACE}]"}
        if following in special:
            self._emit(special[following], 2)
        else:
            self._emit(*self._literal_escape())

    def _literal_escape(self) -> tuple[str, int]:
        """What an escape means that is the same inside and outside of a class; and its width."""
        start = self._at + 1
        following = self._source[start : start + 1]
        if found := _HEX.match(self._source, start):
            return _literal(int(found[1] or found[2], 16), self._source), 1 + len(found[0])
        if found := _OCTAL.match(self._source, start):
            return _literal(int(found[0], 8), self._source), 1 + len(found[0])
        if following in _SAME and following:
            return f"\\{following}", 2
        if following and not following.isalnum() and following.isascii():
            return re.escape(following), 2
        raise _refusal(self._source, f"it has \\{following}")

    def _class(self) -> None:
        """A character class; what Python would read as a set operation is escaped."""
        out = ["["]
        self._at += 1
        if self._source.startswith("^", self._at):
            out.append("^")
            self._at += 1
        first = True
        while first or not self._source.startswith("]", self._at):
            if self._at >= len(self._source):
                raise _refusal(self._source, "a class is not closed")
            out.append(self._class_part())
            first = False
        self._at += 1
        self._out.append("".join([*out, "]"]))

    def _class_part(self) -> str:
        char = self._source[self._at]
        if found := _CLASS_NAME.match(self._source, self._at):
            if found[1] or found[2] not in _POSIX:
                raise _refusal(self._source, f"it has {found[0]}")
            self._at += len(found[0])
            return _POSIX[found[2]]
        if char == "\\":
            if self._source.startswith("s", self._at + 1):
                self._at += 2
                return _SPACE
            if self._source[self._at + 1 : self._at + 2] in {"b", "B", "A", "S"}:
                raise _refusal(self._source, "a class has an escape that stands for no characters")
            text, width = self._literal_escape()
            self._at += width
            return text
        self._at += 1
        return char if char == "-" and self._is_range() else re.escape(char)

    def _is_range(self) -> bool:
        """Whether the `-` before this place stands between two ends of a range."""
        return self._source[self._at - 2] != "[" and self._source[self._at : self._at + 1] != "]"

    def _open(self) -> None:
        found = _FLAGS.match(self._source, self._at)
        if found:
            self._flags(found)
            return
        named = _NAMED.match(self._source, self._at)
        if not named and self._source.startswith("(?", self._at):
            raise _refusal(self._source, f"it has {self._source[self._at : self._at + 3]}")
        self._emit("(?:", len(named[0]) if named else 1)
        self._wrappers.append([])
        self._multiline.append(self._multiline[-1])

    def _flags(self, found: re.Match[str]) -> None:
        on, off = (set(part or "") - {"U"} for part in (found[1], found[2]))
        self.folds |= "i" in on
        sign = "".join(sorted(on)) + ("-" + "".join(sorted(off)) if off else "")
        multiline = ("m" in on or self._multiline[-1]) and "m" not in off
        self._emit(f"(?{sign}:", len(found[0]))
        if found[3] == ":":
            self._wrappers.append([])
            self._multiline.append(multiline)
        else:  # until the end of the group that it stands in
            self._wrappers[-1].append(self._out[-1])
            self._multiline[-1] = multiline

    def _close_wrappers(self) -> None:
        self._out.append(")" * len(self._wrappers[-1]))

    def _close(self) -> None:
        if len(self._wrappers) == 1:
            raise _refusal(self._source, "a group is closed that was not opened")
        self._close_wrappers()
        self._wrappers.pop()
        self._multiline.pop()
        self._emit(")", 1)

    def _alternative(self) -> None:
        self._close_wrappers()
        self._emit("|", 1)
        self._out.extend(self._wrappers[-1])


def _literal(code: int, source: str) -> str:
    try:
        return re.escape(chr(code))
    except (ValueError, OverflowError):
        raise _refusal(source, "it names a character that is none") from None
