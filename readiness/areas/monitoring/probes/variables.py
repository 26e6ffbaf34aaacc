"""The variables of a Grafana dashboard: their values, given, saved or looked up in Prometheus."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field, JsonValue

from readiness.lib.api import Reply
from readiness.model.errors import CouldNotMeasure

# `$name`, `${name}`, `${name:format}` and `[[name]]`.
_VARIABLE: Final = re.compile(
    r"\$(?P<plain>\w+)|\$\{(?P<braced>\w+)(?:\.\w+)?(?::(?P<format>[\w:.-]+))?\}"
    r"|\[\[(?P<old>\w+)(?::\w+)?\]\]"
)
_LABEL_VALUES: Final = re.compile(
    r"label_values\(\s*(?:(?P<selector>.+?)\s*,\s*)?(?P<label>[a-zA-Z_]\w*)\s*\)", re.DOTALL
)
_CALL: Final = re.compile(
    r"(?P<name>label_names|metrics|query_result)\((?P<inside>.*)\)", re.DOTALL
)
_REGEX: Final = re.compile(r"/(?P<inside>.*)/(?P<flags>\w*)", re.DOTALL)
_SPECIAL: Final = re.compile(r"[$^*{}\[\]'+?.()|]")
_ALL: Final = "$__all"
_AUTO: Final = "$__auto"
_EVERY: Final = ".*"
# An address longer than this is refused by many servers; `.*` matches the same.
_MOST_OPTIONS: Final = 100
_DATASOURCE: Final = "datasource"
_WITHOUT_TEXT: Final = {_DATASOURCE, "adhoc", "groupby", "textbox", "custom", "interval", "system"}
Values = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Asks Prometheus for the options of a variable.

    Attributes:
        label_values: of a label, in the series of a selector; of all series for an empty one.
        label_names: all of them.
        results: the series and values that an expression gives, as Grafana writes them.
    """

    label_values: Callable[[str, str], Iterable[str]]
    label_names: Callable[[], Iterable[str]]
    results: Callable[[str], Iterable[str]]


class _Current(Reply):
    value: JsonValue = None


class Variable(Reply):
    """A variable, as the dashboard declares it."""

    name: str = ""
    type: str = ""
    current: _Current | list[JsonValue] | None = None
    all_value: str | None = Field(None, alias="allValue")
    include_all: bool | None = Field(None, alias="includeAll")
    query: JsonValue = None
    definition: str | None = None
    regex: str | None = None

    @property
    def saved(self) -> list[str]:
        """The values that it was saved with; nothing if it was exported for sharing."""
        value = self.current.value if isinstance(self.current, _Current) else None
        words = value if isinstance(value, list) else [value]
        return [str(word) for word in words if word not in (None, "")]

    @property
    def text(self) -> str:
        """Its query, which newer dashboards wrap in a table."""
        found = self.query.get("query") if isinstance(self.query, dict) else self.query
        return str(found) if isinstance(found, str) else self.definition or ""


class Input(Reply):
    """A value that an exported dashboard asks for when it is imported."""

    name: str = ""
    type: str = ""
    plugin: str = Field("", alias="pluginId")
    value: JsonValue = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values of the variables.

    Attributes:
        values: by name.
        missing: the declared variables without a value.
        sources: the kind of data source that a variable stands for, by name.
    """

    values: Values
    missing: frozenset[str]
    sources: Mapping[str, str]


def resolve(
    variables: Iterable[Variable],
    inputs: Iterable[Input],
    given: Mapping[str, str],
    lookup: Lookup | None,
) -> Resolved:
    """The value of each variable: the configured one, else that which Grafana would select.

    As Grafana, keeps a saved value that is still among the options, and else takes all of them or
    the first. A variable without any option is empty.
    """
    values: dict[str, str | list[str]] = {}
    missing: set[str] = set()
    sources: dict[str, str] = {}
    for asked in inputs:
        if asked.type == _DATASOURCE:
            sources[asked.name] = asked.plugin
        elif asked.value is not None:
            values[asked.name] = str(asked.value)
    for variable in variables:
        if variable.type == _DATASOURCE:
            sources[variable.name] = variable.text
        found = given.get(variable.name) or _value(variable, values, lookup)
        if found is None:
            missing.add(variable.name)
        else:
            values[variable.name] = found
    return Resolved(values | dict(given), frozenset(missing - given.keys()), sources)


def fill_in(text: str, values: Values) -> str:
    """Replace variables with their values; those without one stay, as in Grafana."""

    def value(found: re.Match[str]) -> str:
        name = _name(found)
        return _written(values[name], found["format"] or "") if name in values else found[0]

    return _VARIABLE.sub(value, text)


def names_in(text: str) -> set[str]:
    """The variables that a text uses."""
    return {_name(found) for found in _VARIABLE.finditer(text)}


def _name(found: re.Match[str]) -> str:
    return str(found["plain"] or found["braced"] or found["old"])


def _value(variable: Variable, values: Values, lookup: Lookup | None) -> str | list[str] | None:
    saved = variable.saved
    if variable.type == "constant":
        return saved[0] if saved else variable.text
    if variable.type == "query" and lookup and variable.text:
        options = _options(variable, values, lookup)
        if options is not None:
            return _selected(variable, saved, options)
    if _ALL in saved:
        return variable.all_value or _EVERY
    if saved and not saved[0].startswith(_AUTO):
        return saved[0] if len(saved) == 1 else saved
    if variable.type == "query" or variable.type not in _WITHOUT_TEXT:
        return None
    return _first_of(variable)


def _first_of(variable: Variable) -> str:
    """What Grafana selects of a variable that lists its options itself."""
    if variable.type in {"custom", "interval"}:
        if variable.include_all:
            return variable.all_value or _EVERY
        first = re.split(r"(?<!\\),", variable.text)[0]
        return re.split(r"\s+:\s+", first)[-1].strip()
    return variable.text if variable.type == "textbox" else ""


def _selected(variable: Variable, saved: list[str], options: list[str]) -> str | list[str]:
    kept = [word for word in saved if word in options]
    if _ALL in saved or (not kept and variable.include_all):
        if variable.all_value:
            return variable.all_value
        return options if 0 < len(options) <= _MOST_OPTIONS else _EVERY
    if not kept:
        kept = options[:1]
    return kept[0] if len(kept) == 1 else kept or ""


def _options(variable: Variable, values: Values, lookup: Lookup) -> list[str] | None:
    """What Prometheus has for a variable; None where its query is none for Prometheus."""
    text = fill_in(variable.text, values).strip()
    if names_in(text) & {variable.name}:
        return None
    try:
        found = _looked_up(text, lookup)
        return sorted(set(_extracted(found, fill_in(variable.regex or "", values))))
    except (CouldNotMeasure, re.error):
        return None


def _looked_up(text: str, lookup: Lookup) -> list[str]:
    if labels := _LABEL_VALUES.fullmatch(text):
        return list(lookup.label_values(labels["selector"] or "", labels["label"]))
    call = _CALL.fullmatch(text)
    if call is None:  # the oldest form: the series of a selector
        return list(lookup.results(text))
    if call["name"] == "label_names":
        return list(lookup.label_names())
    if call["name"] == "metrics":
        wanted = re.compile(call["inside"].strip())
        return [name for name in lookup.label_values("", "__name__") if wanted.search(name)]
    return list(lookup.results(call["inside"]))


def _extracted(found: list[str], pattern: str) -> list[str]:
    """What the regular expression of a variable leaves; its first group is the value."""
    if not pattern:
        return found
    inside = _REGEX.fullmatch(pattern.strip())
    text = (inside["inside"] if inside else pattern).replace("(?<", "(?P<")
    text = re.sub(r"\(\?P<([=!])", r"(?<\1", text)
    wanted = re.compile(text, re.IGNORECASE if inside and "i" in inside["flags"] else 0)
    matches = [match for word in found if (match := wanted.search(word))]
    return [_group(match) for match in matches]


def _group(match: re.Match[str]) -> str:
    named = match.groupdict()
    first = match[1] if match.re.groups else match.string
    return str(named.get("value") or first or match.string)


def _written(value: str | list[str], form: str) -> str:
    """A value in its format; without one, several values are a regular expression."""
    words = [value] if isinstance(value, str) else value
    if form in {"csv", "raw"}:
        return ",".join(words)
    if form == "pipe":
        return "|".join(words)
    if form == "regex" or len(words) > 1:
        escaped = [word if word == _EVERY else _escaped(word) for word in words]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    return words[0]


def _escaped(word: str) -> str:
    """For a regular expression in a text of PromQL, where each backslash is written twice."""
    return _SPECIAL.sub(r"\\\\\g<0>", word.replace("\\", r"\\\\"))
