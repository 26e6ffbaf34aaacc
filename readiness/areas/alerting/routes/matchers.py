"""Matchers: conditions on labels, in both syntaxes that Alertmanager reads."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, Self, cast

from readiness.model.errors import NoData

# RE2's own 8 MiB are too few for an alternative of 20,000 names, which Go takes.
_MAX_MEMORY: Final = 64 << 20


class GoRegex:
    r"""One expression of Go's syntax, anchored at both ends as Alertmanager anchors it.

    RE2 matches it in linear time. It knows one escape that Go refuses, `\C`; neither Alertmanager
    nor Prometheus loads it.

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
        f"the regular expression {source[:120]!r} cannot be evaluated: {why[:200]}",
        remedy="check it with `amtool check-config` or `promtool check rules`; if they accept it,"
        " write it shorter (the shadow replay runs it as it stands)",
    )


Op = Literal["=", "!=", "=~", "!~"]
Labels = Mapping[str, str]

_CLASSIC: Final = re.compile(
    r"^[\t\n\f\r ]*([a-zA-Z_:][a-zA-Z0-9_:]*)[\t\n\f\r ]*(=~|=|!=|!~)[\t\n\f\r ]*(.*?)"
    r"[\t\n\f\r ]*\Z",
    re.DOTALL,
)
_RESERVED: Final = "{}!=~,\\\"'`"
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<op>=~|!~|!=|=)|(?P<mark>[{},])"""
    r"""|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<plain>[^\s{}!=~,\\"'`]+))""",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|.|\Z)""",
    re.DOTALL,
)
_SIMPLE: Final = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that is not there is empty."""

    name: str
    op: Op
    value: str

    @classmethod
    def of(cls, name: str, value: str, *, is_regex: bool, is_equal: bool) -> Self:
        """As the API of Alertmanager writes it."""
        op: Op = ("=~" if is_equal else "!~") if is_regex else ("=" if is_equal else "!=")
        return cls(name, op, value)

    def matches(self, labels: Labels) -> bool:
        """Whether it holds.

        Raises:
            NoData: its regular expression cannot be evaluated here.
        """
        found = labels.get(self.name, "")
        if self.op in {"=", "!="}:
            return (found == self.value) is (self.op == "=")
        return compiled(self.value).matches(found) is (self.op == "=~")

    def __str__(self) -> str:
        plain = self.name and not any(c.isspace() or c in _RESERVED for c in self.name)
        name = self.name if plain else f'"{_escaped(self.name)}"'
        return f'{name}{self.op}"{_escaped(self.value)}"'


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Whether every one holds; none at all hold always."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse(text: str) -> tuple[Matcher, ...]:
    """The matchers of one line of a configuration, as Alertmanager 0.27 and later reads it.

    It takes the classic syntax where both can read it and disagree, and otherwise the one that
    can. A running configuration writes its matchers so that all versions read the same.

    Raises:
        NoData: neither syntax can read it.
    """
    try:
        return parse_classic(text)
    except NoData:
        return parse_utf8(text)


def parse_classic(text: str) -> tuple[Matcher, ...]:
    """The syntax of 0.22 to 0.26: tolerant, with names as Prometheus 2 has them.

    Raises:
        NoData: it cannot be read.
    """
    parts, current, quoted, escaped = [], "", False, False
    for char in text.removeprefix("{").removesuffix("}"):
        if char == "," and not quoted:
            parts.append(current)
            current = ""
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        # A comma inside quotes leaves `escaped` as it was, as in the original.
        escaped = (char == "\\" and not escaped) or (char == "," and escaped)
        current += char
    if current.strip():
        parts.append(current)
    return tuple(_classic(part) for part in parts)


def _classic(text: str) -> Matcher:
    found = _CLASSIC.match(text)
    if not found:
        raise _unreadable(text)
    return Matcher(found[1], cast("Op", found[2]), _classic_value(found[3]))


def _classic_value(raw: str) -> str:
    quoted = raw.startswith('"')
    body = raw[1:] if quoted else raw
    if quoted:
        if not body.endswith('"'):
            raise _unreadable(raw)
        body = body[:-1]
        if len(body) - len(body.rstrip("\\")) & 1:
            raise _unreadable(raw)
    unescaped = re.sub(r"\\[\\\"]", "", body)
    if '"' in unescaped:
        raise _unreadable(raw)
    return re.sub(r"\\([n\"\\])", lambda m: "\n" if m[1] == "n" else m[1], body)


def parse_utf8(text: str) -> tuple[Matcher, ...]:
    """The syntax of 0.27 and later: strict, with any UTF-8 in names that are quoted.

    Raises:
        NoData: it cannot be read.
    """
    tokens = _tokens(text)
    opened = tokens[:1] == ["{"]
    closed = tokens[-1:] == ["}"]
    if opened is not closed or tokens == ["{"]:
        raise _unreadable(text)
    inside = tokens[1:-1] if opened else tokens
    if inside[-1:] == [","]:
        inside.pop()
        if not inside:
            raise _unreadable(text)
    return tuple(_triples(inside, text))


def _tokens(text: str) -> list[str]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if not found:
            raise _unreadable(text)
        tokens.append(found[0].strip() if not found["quoted"] else found["quoted"])
        at = found.end()
    return tokens


def _triples(tokens: list[str], text: str) -> Iterable[Matcher]:
    for at in range(0, len(tokens), 4):
        part = tokens[at : at + 4]
        whole = len(part) >= 3 and (part[3:] == [","] or at + 3 == len(tokens))  # noqa: PLR2004 - name, operator, value
        if not whole or at + 4 == len(tokens) or part[1] not in {"=", "!=", "=~", "!~"}:
            raise _unreadable(text)
        yield Matcher(_word(part[0], text), cast("Op", part[1]), _word(part[2], text))


def _word(token: str, text: str) -> str:
    if token in {"{", "}", ",", "=", "!=", "=~", "!~"}:
        raise _unreadable(text)
    return _unquoted(token, text) if token.startswith('"') else token


def _unquoted(token: str, text: str) -> str:
    """As Go's `strconv.Unquote` does it."""
    if "\n" in token:
        raise _unreadable(text)
    pieces = bytearray()
    at = 0
    body = token[1:-1]
    for found in _ESCAPE.finditer(body):
        pieces += body[at : found.start()].encode() + _escape(found, text)
        at = found.end()
    try:
        return (bytes(pieces) + body[at:].encode()).decode()
    except UnicodeError:
        raise _unreadable(text) from None


def _escape(found: re.Match[str], text: str) -> bytes:
    simple, byte, short, long, octal = found.groups()
    try:
        if simple:
            return _SIMPLE[simple].encode()
        if byte or octal:
            return bytes([int(byte, 16) if byte else int(octal, 8)])
        return chr(int(short or long, 16)).encode()
    except (TypeError, ValueError, OverflowError):
        raise _unreadable(text) from None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _unreadable(text: str) -> NoData:
    return NoData(f"cannot read the matcher {text[:120]!r}")
