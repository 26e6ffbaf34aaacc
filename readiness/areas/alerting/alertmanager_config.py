"""Alertmanager's configuration, as it says that it runs it (0.16 to 0.28), and a harmless copy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from readiness.areas.alerting.conditions import Matcher, TimeInterval, parse_matchers
from readiness.lib.durations import prometheus_seconds
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import NoData

ALL_LABELS: Final = "..."
_SENDS_NO_RESOLVED: Final = {"email", "slack", "wechat"}
_SUFFIX: Final = "_configs"


@dataclass(frozen=True, slots=True)
class Integration:
    """One way in which a receiver notifies."""

    kind: str  # as in `KIND_configs`
    index: int  # its place among those of its kind in the receiver, from 0
    send_resolved: bool  # whether it sends the end of an alert, too

    def __str__(self) -> str:
        return f"{self.kind}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Receiver:
    """The target of a route; without an integration, it notifies nobody."""

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
    """Alerts (source) that hold others (target) back, where the labels `equal` are the same."""

    number: int
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def __str__(self) -> str:
        source, target = (", ".join(map(str, part)) for part in (self.source, self.target))
        return f"inhibit rule {self.number} ({source or 'anything'} holds {target or 'anything'})"


@dataclass(frozen=True, slots=True)
class Config:
    """What one Alertmanager does with alerts."""

    root: Route
    receivers: Mapping[str, Receiver]
    inhibit_rules: tuple[InhibitRule, ...]
    intervals: Mapping[str, tuple[TimeInterval, ...]]


def _listed(value: object) -> object:
    """An absent list is written as nothing in YAML; the loader makes it an empty text."""
    return [] if value in ("", "null", "~") else value


def _mapped(value: object) -> object:
    return {} if value in ("", "null", "~") else value


_Texts = Annotated[list[str], BeforeValidator(_listed)]
_Match = Annotated[dict[str, str], BeforeValidator(_mapped)]


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
    routes: Annotated[list["_Route"], BeforeValidator(_listed)] = []
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
    time_intervals: Annotated[list[dict[str, Any]], BeforeValidator(_listed)] = []


class _Receiver(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    name: str


class _Whole(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    route: _Route
    receivers: Annotated[list[_Receiver], BeforeValidator(_listed)] = []
    inhibit_rules: Annotated[list[_Inhibit], BeforeValidator(_listed)] = []
    mute_time_intervals: Annotated[list[_Interval], BeforeValidator(_listed)] = []
    time_intervals: Annotated[list[_Interval], BeforeValidator(_listed)] = []


@lru_cache(maxsize=16)
def parse(text: str) -> Config:
    """The configuration that Alertmanager gives out as `config.original`.

    Raises:
        NoData: it is not YAML, or has settings that are not understood.
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
    """The YAML with all values as texts: `17:00` is no number here, and `yes` no truth.

    Raises:
        NoData: it is none.
    """
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
            told = settings.get("send_resolved") if isinstance(settings, dict) else None
            resolved = kind not in _SENDS_NO_RESOLVED if told is None else told == "true"
            found.append(Integration(kind, index, resolved))
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
    """One node, with what it takes from its parent."""
    above = parent or _DEFAULTS
    conditions = _conditions(route.match, route.match_re, route.matchers)
    own = f"{above.path}/{{{', '.join(map(str, conditions))}}}" if parent else ""
    hop = Hop(
        receiver=route.receiver or above.receiver,
        path=own,
        # An empty list is as none: the parent's.
        group_by=tuple(route.group_by) or above.group_by,
        group_wait_s=_or(route.group_wait, above.group_wait_s),
        group_interval_s=_or(route.group_interval, above.group_interval_s),
        repeat_interval_s=_or(route.repeat_interval, above.repeat_interval_s),
        mute=tuple(route.mute_time_intervals),
        active=tuple(route.active_time_intervals),
    )
    return Route(hop, conditions, route.continues, tuple(_route(r, hop) for r in route.routes))


def _or(duration: str, inherited: float) -> float:
    return prometheus_seconds(duration) if duration else inherited


# What decides who is notified, and when. All else is about how, and may need secrets or files.
_KEPT: Final = ("route", "inhibit_rules", "mute_time_intervals", "time_intervals")
_FLAG: Final = "continue"


def place(receiver: int, integration: Integration) -> str:
    """The path that stands for one integration: `/3/webhook/0`."""
    return f"/{receiver}/{integration.kind}/{integration.index}"


def places(text: str) -> dict[str, tuple[str, Integration]]:
    """What each path stands for: the name of the receiver, and the integration.

    Raises:
        NoData: the configuration is not understood.
    """
    return {
        place(number, integration): (receiver.name, integration)
        for number, receiver in enumerate(parse(text).receivers.values())
        for integration in receiver.integrations
    }


def rewritten(text: str, url: str, *, inhibits: bool) -> str:
    """The configuration with a webhook in the place of every integration.

    Args:
        text: the configuration, as Alertmanager gives it out.
        url: the target of all webhooks, each with a path of its own; see `places`.
        inhibits: whether alerts inhibit each other.

    Raises:
        NoData: the configuration is not understood.
    """
    whole = document(text)
    if not isinstance(whole, Mapping):
        raise NoData("is empty", where="the configuration of Alertmanager")
    kept = {key: whole[key] for key in _KEPT if whole.get(key)}
    kept["route"] = _with_truths(kept["route"])
    if not inhibits:
        kept.pop("inhibit_rules", None)
    receivers = [
        {"name": receiver.name, "webhook_configs": [_webhook(url, number, i) for i in told]}
        for number, receiver in enumerate(parse(text).receivers.values())
        for told in [receiver.integrations]
    ]
    # JSON is YAML, as long as no character is escaped by halves.
    return json.dumps({**kept, "receivers": receivers}, ensure_ascii=False, indent=1)


def _webhook(url: str, receiver: int, integration: Integration) -> dict[str, object]:
    return {
        "url": f"{url}{place(receiver, integration)}",
        "send_resolved": integration.send_resolved,
    }


def _with_truths(node: object) -> object:
    """A route with truths where they belong: all values were read as texts."""
    if not isinstance(node, Mapping):
        return node
    below = node.get("routes")
    found = dict(node) | {_FLAG: node.get(_FLAG) == "true"}
    return found | {"routes": [_with_truths(child) for child in below]} if below else found
