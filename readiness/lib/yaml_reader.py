"""A YAML reader that is strict, bounded, and agrees with the parsers of the target's tools.

Several parsers read a YAML file: kubectl and the API server use sigs.k8s.io/yaml (a fork of go-yaml
v2), Prometheus and Alertmanager go-yaml v2 with typed fields, compose and kustomize go-yaml v3,
scripts PyYAML. They differ, therefore:

* Two keys are the same if *any* parser takes them as one: by their text (unique keys in decode.go
  of go-yaml v3: `1` and `"1"`), or by their meaning and name in JSON (strict go-yaml v2, and
  `convertToJSONableObject` of sigs.k8s.io/yaml: `yes` and `true`, `0x1` and `1`). A duplicate is
  always a mistake, as in `{yes: 1, true: 2}`.
* A plain scalar has the meaning that the parser in question gives it, see `Scalars` (resolve.go of
  either version). `=` and dates are text for all of them, though YAML 1.1 has types for them.
* A second `<<` in one mapping is a mistake, as in go-yaml v3; a list of mappings is allowed.
* Aliases may expand as far as go-yaml allows (`allowedAliasRatio` in decode.go), and to 200 levels.

No message quotes a value: configuration holds secrets.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import yaml

DEEPEST: Final = 200
_LONGEST_KEY: Final = 60
_CORE: Final = "tag:yaml.org,2002:"
_STR, _BOOL, _INT, _FLOAT, _NULL, _MERGE, _TIMESTAMP, _SEQ, _MAP = (
    _CORE + kind
    for kind in ("str", "bool", "int", "float", "null", "merge", "timestamp", "seq", "map")
)
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_ALSO_TRUE: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_ALSO_FALSE: Final = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})
_BOOLS: Final = _TRUE | _FALSE | _ALSO_TRUE | _ALSO_FALSE
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_MOST_DIGITS: Final = 80
# As in go-yaml: 99 % of the decoded nodes may come from aliases, and a smaller share of many nodes.
_FEW_ALIASES, _FEW_NODES, _ALIAS_SHARE, _MOST_ALIASED = 100, 1000, 0.99, 400_000
_BASE: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What a message of the parser quotes may be a password that begins with `*`, `!` or `%`.
_QUOTED: Final = re.compile(r"'[\w!*&%][^']+'")
_TAB: Final = "a tab where YAML expects spaces"
_TOLD: Final[Mapping[str, str]] = {
    "second occurrence": "duplicate anchor",
    "mapping values are not allowed in this context": "a mapping is not allowed here",
    "found character that cannot start any token": "a character that cannot start a value",
}


_FLOAT_TEXT: Final = (
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


class Scalars(Enum):
    """The meaning of a plain scalar.

    GO_V2: sigs.k8s.io/yaml, so kubectl and the API server: `yes`, `on` and `y` are truth values,
        and a key is called as in JSON (`yes: 1` is `"true": 1`).
    GO_V3: compose: `true` and `false` alone are truth values; a key is its text.
    TEXTS: as written, for readers that know the type of each field: Prometheus, Alertmanager.
    """

    GO_V2 = "go-yaml v2"
    GO_V3 = "go-yaml v3"
    TEXTS = "texts"


class BrokenYaml(ValueError):
    """Text that is not YAML, or that the parsers read differently; the message has the line."""


class _Loader(_BASE):  # type: ignore[misc]
    """Gives plain scalars a tag; their value depends on `Scalars`."""

    yaml_implicit_resolvers: Final[dict[Any, Any]] = {}


for _tag, _pattern, _first in (
    (_BOOL, rf"(?:{'|'.join(sorted(_BOOLS))})", "yYnNtTfFoO"),
    (_NULL, r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    # What Go's ParseInt reads with base 0, and go-yaml's binary and octal numbers.
    (_INT, r"[-+]?(?:0[bB][01_]+|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)", "-+0123456789"),
    (_FLOAT, _FLOAT_TEXT, "-+.0123456789"),
    (_MERGE, "<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def read_all(text: str, scalars: Scalars) -> list[object]:
    """Every document of a text: mappings with text keys, lists and scalars.

    Raises:
        BrokenYaml: it cannot be parsed, or `flaws` finds something in it.
    """
    found = nodes(text)
    for flaw in flaws(found):
        raise BrokenYaml(flaw)
    reader = _Reader(scalars)
    return [reader.value(node) for node in found]


def read_one(text: str, scalars: Scalars) -> object:
    """The only document of a text; None if it is empty.

    Raises:
        BrokenYaml: as `read_all`, or there are several documents.
    """
    found = read_all(text, scalars)
    if len(found) > 1:
        raise BrokenYaml(f"has {len(found)} documents, where one is expected")
    return found[0] if found else None


def value_of(node: yaml.Node, scalars: Scalars) -> object:
    """The value of a document without flaws.

    Raises:
        BrokenYaml: it has a tag that is not read.
    """
    return _Reader(scalars).value(node)


def nodes(text: str) -> list[yaml.Node]:
    """The documents of a text, not yet made into values.

    Raises:
        BrokenYaml: it cannot be parsed, or is nested too deeply.
    """
    try:
        _check_depth(text)
        return list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise BrokenYaml(_problem(error, text)) from None
    except UnicodeError:
        raise BrokenYaml("has characters that are not Unicode") from None


def flaws(documents: list[yaml.Node]) -> Iterator[str]:
    """What parses but is read differently by the parsers, each with its line."""
    for document in documents:
        walk = _Walk()
        walk.measure(document)
        yield from walk.flaws


def _check_depth(text: str) -> None:
    """Check the events first: libyaml's composer recurses, and deep text crashes the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise BrokenYaml(f"{_place(event)}: is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _place(found: yaml.Node | yaml.Event) -> str:
    mark: Any = found.start_mark
    return f"line {mark.line + 1}"


def _problem(error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    # libyaml reports the end of a text on a line after the last one.
    place = f"line {min(mark.line, text.count(chr(10))) + 1}: " if mark else ""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "")
    if mark and "cannot start any token" in problem and _at(text, mark) == "\t":
        return f"{place}{_TAB}"
    told = _TOLD.get(problem) or _QUOTED.sub("…", problem) or "cannot be parsed"
    return place + "".join(c if c.isprintable() else " " for c in told)


def _at(text: str, mark: Any) -> str:
    """The character at a mark; the marks of libyaml have no text."""
    return str(text.split("\n")[mark.line][mark.column : mark.column + 1])


@dataclass(slots=True)
class _Walk:
    """Visits each node of a document once, however many aliases it has.

    Attributes:
        flaws: the mistakes found.
        sizes: how many nodes one stands for with all aliases expanded, and how deep it is.
        met: the nodes that were entered; one without a size contains the current node.
    """

    flaws: list[str] = field(default_factory=list)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    met: set[int] = field(default_factory=set)

    def measure(self, root: yaml.Node) -> None:
        expanded, depth = self._size(root)
        written = len(self.met)
        if depth > DEEPEST:
            self._flaw(root, "is nested too deeply, with its aliases expanded")
        elif _excessive(expanded, expanded - written):
            self._flaw(root, "its aliases expand to too much")

    def _size(self, node: yaml.Node) -> tuple[int, int]:
        if id(node) in self.sizes:
            return self.sizes[id(node)]
        if id(node) in self.met:
            self._flaw(node, "an anchor contains itself")
            return 1, 1
        self.met.add(id(node))
        inner = [self._size(one) for one in self._parts(node)]
        size = 1 + sum(count for count, _ in inner)
        self.sizes[id(node)] = size, 1 + max((depth for _, depth in inner), default=0)
        return self.sizes[id(node)]

    def _parts(self, node: yaml.Node) -> Iterator[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        elif isinstance(node, yaml.MappingNode):
            known: dict[str, str] = {}
            for key, content in node.value:
                self._key(key, known)
                if key.tag == _MERGE and not _mergeable(content):
                    self._flaw(key, "`<<` merges neither a mapping nor a list of mappings")
                yield from (key, content)

    def _key(self, key: yaml.Node, known: dict[str, str]) -> None:
        if not isinstance(key, yaml.ScalarNode):
            return
        names = {_text(key), _json_name(key)}
        for name in names & known.keys():
            self._flaw(key, f"duplicate key {_shown(key)} (first on {known[name]})")
            break
        for name in names:
            known.setdefault(name, _place(key))

    def _flaw(self, node: yaml.Node, told: str) -> None:
        self.flaws.append(f"{_place(node)}: {told}")


class _Reader:
    """Makes values of nodes without flaws; the value of an alias is made once."""

    def __init__(self, scalars: Scalars) -> None:
        self._scalars = scalars
        self._made: dict[int, object] = {}

    def value(self, node: yaml.Node) -> object:
        if id(node) not in self._made:
            self._made[id(node)] = self._make(node)
        return self._made[id(node)]

    def _make(self, node: yaml.Node) -> object:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in {_SEQ, _MAP}:
            raise BrokenYaml(f"{_place(node)}: has a tag that is not read here")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one) for one in node.value]
        return self._mapping(node)

    def _mapping(self, node: yaml.Node) -> dict[str, object]:
        """Its own keys override merged ones, and the first merged mapping overrides others."""
        merged: dict[str, object] = {}
        own: dict[str, object] = {}
        for key, content in node.value:
            if key.tag == _MERGE:
                parts = content.value if isinstance(content, yaml.SequenceNode) else [content]
                for part in parts:
                    merged = {**self._mapping(part), **merged}
            else:
                own[self._name(key)] = self.value(content)
        return {**merged, **own}

    def _name(self, key: yaml.Node) -> str:
        if not isinstance(key, yaml.ScalarNode):
            raise BrokenYaml(f"{_place(key)}: a key is a list or a mapping")
        return _json_name(key) if self._scalars is Scalars.GO_V2 else _text(key)

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if self._scalars is Scalars.TEXTS:
            return _text(node)
        try:
            found = _meaning(node)
        except ValueError as error:
            raise BrokenYaml(f"{_place(node)}: {error}") from None
        old = isinstance(found, bool) and node.value in _ALSO_TRUE | _ALSO_FALSE
        return node.value if old and self._scalars is Scalars.GO_V3 else found


def _mergeable(node: yaml.Node) -> bool:
    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return all(isinstance(part, yaml.MappingNode) for part in parts)


def _excessive(expanded: int, by_aliases: int) -> bool:
    """Whether go-yaml would refuse it: 400,000 nodes by aliases, or 99 % of fewer."""
    if by_aliases <= _FEW_ALIASES or expanded <= _FEW_NODES:
        return False
    return by_aliases > min(_ALIAS_SHARE * expanded, _MOST_ALIASED)


def _text(node: yaml.ScalarNode) -> str:
    return str(node.value)


def _json_name(key: yaml.ScalarNode) -> str:
    """What a key is called in JSON."""
    try:
        found = _meaning(key)
    except ValueError:
        return _text(key)
    match found:
        case None:
            return "null"
        case bool():
            return "true" if found else "false"
        case float():
            return repr(found).removesuffix(".0")
    return str(found)


def _meaning(node: yaml.ScalarNode) -> str | float | bool | None:
    """What a scalar means to go-yaml v2.

    Raises:
        ValueError: it has a tag that we do not read, or that it does not fit.
    """
    text = _text(node)
    match node.tag:
        case tag if tag in {_STR, _TIMESTAMP, _MERGE}:
            return text
        case tag if tag == _NULL:
            return None
        case tag if tag == _BOOL and text in _BOOLS:
            return text in _TRUE | _ALSO_TRUE
        case tag if tag in {_INT, _FLOAT}:
            return _number(text)
    raise ValueError("a value has a tag that is not read here, or that it does not fit")


def _number(text: str) -> str | float:
    """An integer of 64 bits, else a floating-point number; a text if it is too large for that.

    Raises:
        ValueError: it is neither.
    """
    plain = text.replace("_", "")
    word = plain.lower().lstrip("+-")
    if word in {".inf", ".nan"}:
        return float(plain.replace(".", ""))
    if len(plain) <= _MOST_DIGITS and (whole := _whole(plain)) is not None:
        return whole
    found = float(plain)
    return text if math.isinf(found) else found


def _whole(plain: str) -> int | None:
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-").lower()
    base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2])
    if base:
        digits = digits[2:]
    elif len(digits) > 1 and digits.startswith("0"):
        base = 8
    try:
        found = sign * int(digits, base or 10)
    except ValueError:
        return None
    return found if _SMALLEST <= found <= _LARGEST else None


def _shown(key: yaml.ScalarNode) -> str:
    text = _text(key)
    return repr(text if len(text) <= _LONGEST_KEY else f"{text[: _LONGEST_KEY - 1]}…")
