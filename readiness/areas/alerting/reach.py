"""Computes where alerts go, what inhibits them, and whether a synthetic alert is contained."""

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from readiness.areas.alerting.alertmanager_config import Config, Hop, InhibitRule, Route
from readiness.areas.alerting.conditions import Labels, Matcher, all_match
from readiness.areas.alerting.config import Channel
from readiness.model.errors import NoData, SafetyRefusal

# In a label whose value comes from the alert's own series, as `{{ $labels.team }}`.
_TEMPLATE: Final = "{{"
ALERT_NAME: Final = "alertname"
PLACEHOLDER: Final = "readiness-unknown"
_MOST: Final = 512
_PLAIN: Final = re.compile(r"[\w .:@/-]*", re.ASCII)


def routes_of(config: Config, labels: Labels) -> list[Hop]:
    """The routes that an alert with these labels takes, in their order; at least one.

    Raises:
        NoData: a regular expression on the way cannot be evaluated here.
    """
    key = tuple(labels.get(name, "") for name in config.matched)
    if key not in config.known:
        config.known[key] = _matching(config.root, labels)
    return config.known[key]


def _matching(route: Route, labels: Labels) -> list[Hop]:
    """Depth first: the children that match, up to the first one without `continue`."""
    if not all_match(route.matchers, labels):
        return []
    found: list[Hop] = []
    for child in route.routes:
        below = _matching(child, labels)
        found += below
        if below and not child.continues:
            break
    return found or [route.hop]


def templated(labels: Labels) -> list[str]:
    """The names of the labels whose values are known only when the alert fires."""
    return [name for name, value in labels.items() if _TEMPLATE in value]


def placed(labels: Labels) -> dict[str, str]:
    """The labels with a placeholder, which no matcher names, for each template."""
    return {k: PLACEHOLDER if _TEMPLATE in value else value for k, value in labels.items()}


def possible_labels(config: Config, labels: Labels) -> list[dict[str, str]]:
    """The labels that a rule's alerts can have, as far as routes distinguish them.

    A label with a template may have each value that a matcher names, another value, or none.

    Raises:
        NoData: there are too many combinations, or no text is known that matches a regular
            expression on such a label.
    """
    names = templated(labels)
    choices = [_values(config, name) for name in names]
    count = math.prod(map(len, choices))
    if count > _MOST:
        raise NoData(
            f"the labels {', '.join(names)} of this rule have templates, and the routes make"
            f" {count} differences between their values",
            remedy="route the rule by labels without templates",
        )
    known = {name: value for name, value in labels.items() if name not in names}
    return [
        known | {name: value for name, value in zip(names, values, strict=True) if value}
        for values in itertools.product(*choices)
    ]


def _all_matchers(route: Route) -> Iterator[Matcher]:
    yield from route.matchers
    for child in route.routes:
        yield from _all_matchers(child)


def _values(config: Config, name: str) -> list[str]:
    values = ["", PLACEHOLDER]
    for matcher in _all_matchers(config.root):
        if matcher.name == name:
            values += _witnesses(matcher)
    return list(dict.fromkeys(values))


def _witnesses(matcher: Matcher) -> list[str]:
    """Texts that the matcher's value matches."""
    if matcher.op in {"=", "!="}:
        return [matcher.value]
    branches = matcher.value.split("|")
    if all(_PLAIN.fullmatch(branch) for branch in branches):
        return branches
    positive = Matcher(matcher.name, "=~", matcher.value)
    guesses = (PLACEHOLDER, "", re.sub(r"\.[*+]", "x", matcher.value), *branches)
    found = [guess for guess in guesses if positive.matches({matcher.name: guess})]
    if not found:
        raise NoData(
            f"a rule's label {matcher.name} has a template, and no text is known to match"
            f" {matcher}",
            remedy="route the rule by labels without templates",
        )
    return found


def labels_of(alertname: str, labels: Labels, external: Mapping[str, str]) -> dict[str, str]:
    """The labels that an alert of a rule has at least; its own override the external ones."""
    return {**external, **labels, ALERT_NAME: alertname}


def holds(rule: InhibitRule, source: Labels, target: Labels) -> bool:
    """Whether one alert, while it fires, inhibits another one.

    Labels that both lack count as equal. An alert that matches source and target is never inhibited
    by another one that does, nor by itself.
    """
    if not (all_match(rule.target, target) and all_match(rule.source, source)):
        return False
    if any(source.get(name, "") != target.get(name, "") for name in rule.equal):
        return False
    return not (all_match(rule.source, target) and all_match(rule.target, source))


@dataclass(frozen=True, slots=True)
class Holder:
    """An alert that inhibits another one."""

    labels: Labels
    # Whether both have one of the labels in `equal`, so that they are about the same thing; labels
    # that both lack are equal, too.
    about_the_same: bool


class Inhibition:
    """Which of some alerts inhibit which others, while all of them fire."""

    def __init__(self, config: Config, alerts: Sequence[Labels]) -> None:
        self._alerts = alerts
        self._sources = [(rule, self._by_equal(rule)) for rule in config.inhibit_rules]

    def _by_equal(self, rule: InhibitRule) -> dict[tuple[str, ...], list[Labels]]:
        found: dict[tuple[str, ...], list[Labels]] = {}
        for alert in self._alerts:
            if all_match(rule.source, alert):
                found.setdefault(_equal(rule, alert), []).append(alert)
        return found

    def holders(self, target: Labels) -> list[Holder]:
        """The alerts that inhibit one.

        Raises:
            NoData: a regular expression cannot be evaluated here.
        """
        return [
            Holder(source, about_the_same=any(_equal(rule, target)))
            for rule, sources in self._sources
            for source in sources.get(_equal(rule, target), ())
            if holds(rule, source, target)
        ]


def _equal(rule: InhibitRule, alert: Labels) -> tuple[str, ...]:
    return tuple(alert.get(name, "") for name in rule.equal)


def names_one_source(rule: InhibitRule) -> bool:
    """Whether only alerts of one name can inhibit others."""
    return any(
        matcher.name == ALERT_NAME and matcher.op == "=" and matcher.value
        for matcher in rule.source
    )


def both_at_once(rule: InhibitRule, alerts: Iterable[Mapping[str, str]]) -> list[str]:
    """The names of alerts that match source and target: they do not inhibit each other."""
    both = (*rule.source, *rule.target)
    return sorted({alert.get(ALERT_NAME, "") for alert in alerts if all_match(both, alert)})


def refuse_unless_contained(
    config: Config, labels: Mapping[str, str], *, receiver: str, unique: str, where: str
) -> None:
    """Refuse a synthetic alert that would reach another receiver than the probe's.

    Args:
        config: of the Alertmanager that would get it.
        labels: of the alert.
        receiver: the only one that it may reach.
        unique: the label whose value no other alert has.
        where: the address of that Alertmanager.

    Raises:
        SafetyRefusal: its labels reach another receiver, too, or it would inhibit real alerts.
        NoData: the routes cannot be computed.
    """
    reached = sorted({hop.receiver for hop in routes_of(config, labels)})
    if reached != [receiver]:
        raise SafetyRefusal(
            f"a synthetic alert would reach {', '.join(reached)}; only {receiver} is"
            " allowed: nothing was sent",
            where=where,
            remedy=f"""make this the first route: matchers: ['{unique}!=""'], receiver:"""
            f" {receiver}, group_by: ['...'], group_wait: 0s, group_interval: 20s, and no"
            " `continue`",
        )
    refuse_to_inhibit(config, labels, unique={ALERT_NAME, unique}, where=where)


def refuse_to_inhibit(
    config: Config, labels: Mapping[str, str], *, unique: Collection[str], where: str
) -> None:
    """Refuse an alert of ours that would inhibit real ones.

    Args:
        config: of the Alertmanager that would get it.
        labels: of the alert.
        unique: the labels whose values no other alert has.
        where: the address of that Alertmanager.

    Raises:
        SafetyRefusal: it would.
        NoData: that cannot be computed.
    """
    for rule in config.inhibit_rules:
        # It can inhibit alerts that have neither its name nor its other labels.
        if all_match(rule.source, labels) and not set(unique) & set(rule.equal):
            own = min(set(unique) - {ALERT_NAME})
            raise SafetyRefusal(
                f"a synthetic alert would inhibit real alerts, by {rule}: nothing was sent",
                where=where,
                remedy=f"""add '{own}=""' to the source_matchers of that rule""",
            )


SEVERITY: Final = "severity"
Needed = Sequence[Sequence[str]]
"""At least one channel of each inner list."""


@dataclass(frozen=True, slots=True)
class LiveRule:
    """An alerting rule that Prometheus has loaded."""

    name: str  # of the alert
    # Those that its alerts have for sure, `alertname` and the external ones among them; templates
    # are not filled in.
    labels: Mapping[str, str]
    query: str = ""  # its expression, if it is known
    # What its series add, as far as inhibition asks for it, each set once; None if that is unknown.
    series: tuple[Mapping[str, str], ...] | None = None
    # The same, as far as routes ask for it; empty if that is unknown.
    routed: tuple[Mapping[str, str], ...] = ()

    @property
    def instances(self) -> list[dict[str, str]]:
        """The labels of its alerts, with a placeholder for each template."""
        known = [{}] if self.series is None else self.series
        return [{**series, **placed(self.labels)} for series in known]

    @staticmethod
    def of(
        name: str, labels: Mapping[str, str], external: Mapping[str, str], query: str = ""
    ) -> "LiveRule":
        """A rule with the labels that its alerts get on their way."""
        return LiveRule(name, labels_of(name, labels, external), query)

    @property
    def severity(self) -> str:
        """Its label `severity`, or nothing."""
        return self.labels.get(SEVERITY, "")

    def at(self, severity: str) -> "LiveRule":
        """The same with that severity, for a rule that has a template there."""
        return replace(self, labels={**self.labels, SEVERITY: severity})


def unknown_to_all(rule: InhibitRule, rules: Iterable[LiveRule]) -> bool:
    """Whether no alert that an inhibition rule is about has any of the labels in `equal`."""
    about = [
        (one, labels)
        for one in rules
        for labels in one.instances
        if all_match(rule.source, labels) or all_match(rule.target, labels)
    ]
    if not about or not rule.equal or any(one.series is None for one, _ in about):
        return False
    return not any(any(_equal(rule, labels)) for _, labels in about)


def two_in_a_group(group_by: Sequence[str], rules: Sequence[LiveRule]) -> list[str]:
    """The names of two rules whose alerts can fall into the same group; empty if there are none.

    A label that a rule does not set, or sets with a template, may have any value.
    """
    if ALERT_NAME in group_by:
        return []
    known = [
        (rule.name, {n: rule.labels[n] for n in group_by if _is_fixed(rule.labels, n)})
        for rule in rules
    ]
    for number, (name, labels) in enumerate(known):
        for other, theirs in known[number + 1 :]:
            shared = labels.keys() & theirs.keys()
            if name != other and all(labels[n] == theirs[n] for n in shared):
                return [name, other]
    return []


def _is_fixed(labels: Labels, name: str) -> bool:
    return name in labels and _TEMPLATE not in labels[name]


@dataclass(frozen=True, slots=True)
class Case:
    """One possible alert of a rule, and the routes that it takes."""

    rule: LiveRule
    labels: Mapping[str, str]
    hops: tuple[Hop, ...]

    def __str__(self) -> str:
        made = {k: v for k, v in self.labels.items() if "{{" in self.rule.labels.get(k, "{{")}
        values = ", ".join(f'{name}="{value}"' for name, value in sorted(made.items()))
        return f"{self.rule.name} with {values}" if values else self.rule.name


def cases(config: Config, rules: Iterable[LiveRule]) -> list[Case]:
    """All possible alerts of some rules, with their routes."""
    return [
        Case(rule, labels, tuple(routes_of(config, labels)))
        for rule in rules
        for series in rule.routed or ({},)
        for labels in possible_labels(config, {**series, **rule.labels})
    ]


def serves(channel: Channel, receiver: str, kind: str) -> bool:
    """Whether an integration of a kind, in a receiver, belongs to the channel."""
    return kind == channel.integration and (not channel.receivers or receiver in channel.receivers)


def channels_of(config: Config, hop: Hop, channels: Mapping[str, Channel]) -> set[str]:
    """The names of the channels that a route notifies."""
    kinds = config.receivers[hop.receiver].kinds
    return {
        name
        for name, channel in channels.items()
        if any(serves(channel, hop.receiver, kind) for kind in kinds)
    }


def unmet(needed: Needed, reached: Iterable[str]) -> list[Sequence[str]]:
    """The inner lists without a reached channel."""
    there = set(reached)
    return [group for group in needed if there.isdisjoint(group)]


def serving(
    config: Config, case: Case, group: Sequence[str], channels: Mapping[str, Channel]
) -> list[Hop]:
    """The routes of a case that notify a channel of an inner list."""
    wanted = set(group)
    return [hop for hop in case.hops if wanted & channels_of(config, hop, channels)]


def said(needed: Iterable[Sequence[str]]) -> str:
    """Inner lists in words: `pagerduty or sms, and slack`."""
    return ", and ".join(" or ".join(group) for group in needed)
