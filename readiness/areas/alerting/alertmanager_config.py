"""Alertmanager's running configuration (0.16 to 0.28), parsed, and a harmless copy of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from readiness.areas.alerting.conditions import Matcher, TimeInterval, parse_matchers
from readiness.lib.durations import prometheus_seconds
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import NoData

ALL_LABELS: Final = "..."
_SENDS_NO_RESOLVED: Final = {"email", "slack", "wechat"}
_SUFFIX: Final = "_configs"
_ADDRESSES: Final = ("url", "api_url", "webhook_url")


@dataclass(frozen=True, slots=True)
class Integration:
    """One way in which a receiver notifies."""

    kind: str  # as in `KIND_configs`
    index: int  # its place among those of its kind in the receiver, from 0
    send_resolved: bool  # whether it sends the end of an alert, too
    # Where it sends, with all secrets in its path; empty if Alertmanager does not show it.
    address: str = field(default="", compare=False, repr=False)

    @property
    def resolves_by_default(self) -> bool:
        """Whether it sends the end unless that is switched off."""
        return self.kind not in _SENDS_NO_RESOLVED

    def __str__(self) -> str:
        return f"{self.kind}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Receiver:
    """The target of a route; without an integration, it sends no notification."""

    name: str
    integrations: tuple[Integration, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its integrations."""
        return frozenset(integration.kind for integration in self.integrations)


@dataclass(frozen=True, slots=True)
class Hop:
    """The target of a route, with all that it inherits from its parents."""

    receiver: str  # the name of the receiver
    path: str  # the matchers from the root on: `/{severity="critical"}`
    group_by: tuple[str, ...]  # labels by which alerts are put together; `...` alone means all
    group_wait_s: float  # seconds until a new group is sent
    group_interval_s: float  # seconds until an alert is sent that joins a group later
    repeat_interval_s: float  # seconds until it is sent again, while it lasts
    mute: tuple[str, ...]  # time intervals in which it is muted; not inherited
    # Time intervals outside of which it is muted, if there are any; not inherited.
    active: tuple[str, ...]

    def group_of(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels of the group that an alert falls into."""
        if self.group_by == (ALL_LABELS,):
            return dict(labels)
        return {name: labels[name] for name in self.group_by if name in labels}

    def __str__(self) -> str:
        return f"{self.path or '/'} → {self.receiver}"


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the tree."""

    hop: Hop
    matchers: tuple[Matcher, ...]
    continues: bool
    routes: tuple["Route", ...]


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """Alerts (source) inhibit others (target) if the labels `equal` are the same."""

    number: int
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def __str__(self) -> str:
        source, target = (", ".join(map(str, part)) for part in (self.source, self.target))
        return (
            f"inhibit rule {self.number} ({source or 'anything'} inhibits {target or 'anything'})"
        )


@dataclass(frozen=True)
class Config:
    """The parts of one Alertmanager's configuration that decide what is notified, and when."""

    root: Route
    receivers: Mapping[str, Receiver]
    inhibit_rules: tuple[InhibitRule, ...]
    intervals: Mapping[str, tuple[TimeInterval, ...]]
    # The routes of labels that were asked for before: hundreds of rules differ in labels that no
    # route looks at.
    known: dict[tuple[str, ...], list[Hop]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def matched(self) -> tuple[str, ...]:
        """The labels that any route looks at."""
        return tuple(sorted(set(_matched(self.root))))

    @property
    def zones(self) -> frozenset[str]:
        """The time zones of its intervals."""
        return frozenset(one.zone.key for parts in self.intervals.values() for one in parts)


def _matched(route: Route) -> Iterator[str]:
    for matcher in route.matchers:
        yield matcher.name
    for child in route.routes:
        yield from _matched(child)


def _or(empty: list[Any] | dict[str, Any]) -> BeforeValidator:
    """An absent value is empty in YAML, and the loader makes it an empty text."""
    return BeforeValidator(lambda value: empty if value in ("", "null", "~") else value)


_Texts = Annotated[list[str], _or([])]
_Match = Annotated[dict[str, str], _or({})]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Route(_Node):
    receiver: str = ""
    group_by: _Texts = []
    match: _Match = {}
    match_re: _Match = {}
    matchers: _Texts = []
    mute_time_intervals: _Texts = []
    active_time_intervals: _Texts = []
    continues: bool = Field(False, alias="continue")
    routes: Annotated[list["_Route"], _or([])] = []
    group_wait: str = ""
    group_interval: str = ""
    repeat_interval: str = ""


class _Inhibit(_Node):
    name: str = ""
    source_match: _Match = {}
    source_match_re: _Match = {}
    source_matchers: _Texts = []
    target_match: _Match = {}
    target_match_re: _Match = {}
    target_matchers: _Texts = []
    equal: _Texts = []


class _Interval(_Node):
    name: str
    time_intervals: Annotated[list[dict[str, Any]], _or([])] = []


class _Receiver(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    name: str


class _Whole(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    route: _Route
    receivers: Annotated[list[_Receiver], _or([])] = []
    inhibit_rules: Annotated[list[_Inhibit], _or([])] = []
    mute_time_intervals: Annotated[list[_Interval], _or([])] = []
    time_intervals: Annotated[list[_Interval], _or([])] = []


@lru_cache(maxsize=16)
def parse(text: str) -> Config:
    """The configuration that Alertmanager shows as `config.original`.

    Raises:
        NoData: it is not YAML, or has unknown settings.
    """
    try:
        whole = _Whole.model_validate(document(text))
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise NoData(
            f"{place}: {first['msg']}",
            where="the configuration of Alertmanager",
            remedy="readiness understands that of 0.16 to 0.28",
        ) from None
    intervals = [*whole.mute_time_intervals, *whole.time_intervals]
    return Config(
        root=_route(whole.route, None),
        receivers={receiver.name: _receiver(receiver) for receiver in whole.receivers},
        inhibit_rules=tuple(_inhibit(n, rule) for n, rule in enumerate(whole.inhibit_rules, 1)),
        intervals={
            interval.name: tuple(TimeInterval.parse(part) for part in interval.time_intervals)
            for interval in intervals
        },
    )


def document(text: str) -> object:
    """The YAML with all values as texts: here, `17:00` is not a number, and `yes` not a Boolean."""
    try:
        return read_one(text, Scalars.TEXTS)
    except BrokenYaml as error:
        raise NoData(
            f"cannot be read: {error}", where="the configuration of Alertmanager"
        ) from None


def _receiver(receiver: _Receiver) -> Receiver:
    found = []
    for key, value in (receiver.model_extra or {}).items():
        if not key.endswith(_SUFFIX) or not isinstance(value, list):
            continue
        kind = key.removesuffix(_SUFFIX)
        for index, settings in enumerate(value):
            written = settings.get("send_resolved") if isinstance(settings, dict) else None
            known = settings if isinstance(settings, dict) else {}
            shown = (str(known.get(name, "")) for name in _ADDRESSES)
            address = next((text for text in shown if text.startswith("http")), "")
            resolved = kind not in _SENDS_NO_RESOLVED if written is None else written == "true"
            found.append(Integration(kind, index, resolved, address))
    return Receiver(receiver.name, tuple(found))


def _inhibit(number: int, rule: _Inhibit) -> InhibitRule:
    return InhibitRule(
        number,
        _conditions(rule.source_match, rule.source_match_re, rule.source_matchers),
        _conditions(rule.target_match, rule.target_match_re, rule.target_matchers),
        tuple(rule.equal),
    )


def _conditions(
    equal: Mapping[str, str], regex: Mapping[str, str], lines: list[str]
) -> tuple[Matcher, ...]:
    found = [Matcher(name, "=", value) for name, value in equal.items()]
    found += [Matcher(name, "=~", value) for name, value in regex.items()]
    for line in lines:
        found += parse_matchers(line)
    return tuple(sorted(found, key=lambda m: (m.name, m.value, m.op)))


_DEFAULTS: Final = Hop("", "", (), 30.0, 300.0, 14_400.0, (), ())


def _route(route: _Route, parent: Hop | None) -> Route:
    """One node, with the settings that it inherits."""
    above = parent or _DEFAULTS
    conditions = _conditions(route.match, route.match_re, route.matchers)
    own = f"{above.path}/{{{', '.join(map(str, conditions))}}}" if parent else ""
    hop = Hop(
        receiver=route.receiver or above.receiver,
        path=own,
        # An empty list counts as absent.
        group_by=tuple(route.group_by) or above.group_by,
        group_wait_s=_seconds(route.group_wait, above.group_wait_s),
        group_interval_s=_seconds(route.group_interval, above.group_interval_s),
        repeat_interval_s=_seconds(route.repeat_interval, above.repeat_interval_s),
        mute=tuple(route.mute_time_intervals),
        active=tuple(route.active_time_intervals),
    )
    return Route(hop, conditions, route.continues, tuple(_route(r, hop) for r in route.routes))


def _seconds(duration: str, inherited: float) -> float:
    return prometheus_seconds(duration) if duration else inherited


# These decide what is notified, and when. The rest is about how, and may need secrets or files.
_KEPT: Final = ("route", "inhibit_rules", "mute_time_intervals", "time_intervals")


def place(receiver: int, integration: Integration) -> str:
    """The path of the webhook in place of one integration: `/3/webhook/0`."""
    return f"/{receiver}/{integration.kind}/{integration.index}"


def places(text: str) -> dict[str, tuple[str, Integration]]:
    """The receiver and the integration that each path is in place of."""
    return {
        place(number, integration): (receiver.name, integration)
        for number, receiver in enumerate(parse(text).receivers.values())
        for integration in receiver.integrations
    }


def rewritten(text: str, url: str, *, inhibits: bool) -> str:
    """The configuration with a webhook at `url` in place of every integration; see `places`.

    Raises:
        NoData: the configuration is not understood.
    """
    whole = document(text)
    if not isinstance(whole, Mapping):
        raise NoData("is empty", where="the configuration of Alertmanager")
    kept = {key: whole[key] for key in _KEPT if whole.get(key)}
    kept["route"] = _with_booleans(kept["route"])
    if not inhibits:
        kept.pop("inhibit_rules", None)
    receivers = [
        {
            "name": receiver.name,
            "webhook_configs": [
                {"url": f"{url}{place(number, one)}", "send_resolved": one.send_resolved}
                for one in receiver.integrations
            ],
        }
        for number, receiver in enumerate(parse(text).receivers.values())
    ]
    # JSON is YAML, unless a character is escaped as a surrogate pair.
    return json.dumps({**kept, "receivers": receivers}, ensure_ascii=False, indent=1)


def _with_booleans(node: object) -> object:
    """A route with a Boolean `continue`: all values were read as texts."""
    if not isinstance(node, Mapping):
        return node
    below = node.get("routes")
    found = dict(node) | {"continue": node.get("continue") == "true"}
    return found | {"routes": [_with_booleans(child) for child in below]} if below else found
