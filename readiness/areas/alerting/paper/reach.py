"""Whom a live rule's alerts reach, on paper: routes, receivers, and the channels behind them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.paper.config import Config, Hop
from readiness.areas.alerting.paper.routing import labels_of, possible_labels, routes_of

SEVERITY: Final = "severity"
Needed = Sequence[Sequence[str]]
"""Of each inner list at least one channel."""


@dataclass(frozen=True, slots=True)
class LiveRule:
    """An alerting rule that Prometheus has loaded.

    Attributes:
        name: of the alert.
        labels: those that its alerts have for sure, `alertname` and the external ones among
            them; templates are not filled in.
    """

    name: str
    labels: Mapping[str, str]

    @staticmethod
    def of(name: str, labels: Mapping[str, str], external: Mapping[str, str]) -> "LiveRule":
        """A rule with the labels that its alerts get on their way."""
        return LiveRule(name, labels_of(name, labels, external))

    @property
    def severity(self) -> str:
        """Its label `severity`, or nothing."""
        return self.labels.get(SEVERITY, "")

    def at(self, severity: str) -> "LiveRule":
        """The same with that severity, for a rule that has a template there."""
        return LiveRule(self.name, {**self.labels, SEVERITY: severity})


@dataclass(frozen=True, slots=True)
class Case:
    """What an alert of a rule can become, and the routes that it then takes."""

    rule: LiveRule
    labels: Mapping[str, str]
    hops: tuple[Hop, ...]

    def __str__(self) -> str:
        made = {k: v for k, v in self.labels.items() if "{{" in self.rule.labels.get(k, "")}
        told = ", ".join(f'{name}="{value}"' for name, value in sorted(made.items()))
        return f"{self.rule.name} with {told}" if told else self.rule.name


def cases(config: Config, rules: Iterable[LiveRule]) -> list[Case]:
    """All cases of some rules.

    Raises:
        NoData: the routes cannot be judged on paper.
    """
    return [
        Case(rule, labels, tuple(routes_of(config, labels)))
        for rule in rules
        for labels in possible_labels(config, rule.labels)
    ]


def serves(channel: Channel, receiver: str, kind: str) -> bool:
    """Whether an integration of that kind, in that receiver, is the channel."""
    return kind == channel.integration and (not channel.receivers or receiver in channel.receivers)


def channels_of(config: Config, hop: Hop, channels: Mapping[str, Channel]) -> set[str]:
    """The names of the channels that a route leads to."""
    kinds = config.receivers[hop.receiver].kinds
    return {
        name
        for name, channel in channels.items()
        if any(serves(channel, hop.receiver, kind) for kind in kinds)
    }


def unmet(needed: Needed, reached: Iterable[str]) -> list[Sequence[str]]:
    """The inner lists of which no channel is reached."""
    there = set(reached)
    return [group for group in needed if there.isdisjoint(group)]


def serving(
    config: Config, case: Case, group: Sequence[str], channels: Mapping[str, Channel]
) -> list[Hop]:
    """The routes of a case that lead to a channel of an inner list."""
    wanted = set(group)
    return [hop for hop in case.hops if wanted & channels_of(config, hop, channels)]


def said(needed: Iterable[Sequence[str]]) -> str:
    """Inner lists in words: `pagerduty or sms, and slack`."""
    return ", and ".join(" or ".join(group) for group in needed)
