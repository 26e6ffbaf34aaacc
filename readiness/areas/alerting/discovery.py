"""Finds the alert rules that are loaded, and whom Alertmanager notifies of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, get_args

from readiness.areas.alerting import alertmanager_config
from readiness.areas.alerting.alertmanager_config import Config as Routes
from readiness.areas.alerting.alertmanager_config import Hop
from readiness.areas.alerting.bounds import bounds
from readiness.areas.alerting.config import (
    Integration,
    RequiredRule,
    SeverityPolicy,
    SyntheticProbe,
)
from readiness.areas.alerting.reach import ALERT_NAME, placed, routes_of
from readiness.config.base import NAME_PATTERN
from readiness.config.base.discovery import Finding, Gap, Line, Script, Sources, Value
from readiness.config.base.watching import Alertmanager as Settings
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib.alertmanager import Peer
from readiness.lib.durations import prometheus_text
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure
from readiness.model.figures import counted

_MOST_RULES: Final = 8
_ALWAYS: Final = ("vector(1)", "vector(1) > 0", "1")
_LABEL: Final = SyntheticProbe().label
_RECEIVER: Final = SyntheticProbe().receiver
_BUDGET_S: Final = SeverityPolicy.model_fields["budget_s"].default
_PEER_TIMEOUT_S: Final[float] = Settings.model_fields["peer_timeout_s"].default
_ARRIVES_S: Final = 15
_LONGEST_FOR_S: Final = RequiredRule.model_fields["max_for_s"].default
_FIRST: Final = ("critical", "page", "error", "high", "warning")
"""Severities, the most urgent first; others come after them."""


@dataclass(frozen=True, slots=True)
class _Reached:
    """What a channel is: one kind of integration of one receiver."""

    receiver: str
    kind: str

    @property
    def name(self) -> str:
        """The name of the channel."""
        return self.receiver if self.kind in self.receiver else f"{self.receiver}-{self.kind}"


def alertmanagers(sources: Sources) -> Iterator[Finding]:
    """All peers: that of `--alertmanager`, and those that Prometheus sends to."""
    urls = _peers(sources)
    if urls:
        origins = ["--alertmanager"] if sources.alertmanager else []
        origins += ["Prometheus"] if urls != [sources.alertmanager] else []
        yield Line(("alertmanager",), "urls", urls, " and ".join(origins))
    else:
        yield Gap("Alertmanager", "readiness init --alertmanager URL")


def rules(sources: Sources) -> Iterator[Finding]:
    """The alert rules with a threshold, the most urgent first."""
    if not sources.prometheus:
        return
    found = [rule for rule in _rules(sources) if rule.query.strip() not in _ALWAYS]
    if not found:
        yield Gap("alert rules: Prometheus has loaded none", "`rule_files` of prometheus.yml")
    judged = [(rule, table) for rule in _urgent_first(found) if (table := _required(rule))]
    for rule, table in judged[:_MOST_RULES]:
        yield Line(("alerting", "rules"), rule.name, table, rule.query)
    written = [rule for rule, _ in judged[:_MOST_RULES]]
    if more := [rule.name for rule in found if rule not in written]:
        what = f"thresholds of {counted(len(more), 'more alert rule')}: {listed(more)}"
        yield Gap(what, "[alerting.rules.NAME] for what counts")


def channels(sources: Sources) -> Iterator[Finding]:
    """The severities of the rules, and the channels that Alertmanager's routes lead to."""
    url = sources.alertmanager or next(iter(_known(sources)), "")
    if not url:
        return
    with Peer(url, Settings(urls=[url], timeout_s=sources.timeout_s)) as peer:
        routes = alertmanager_config.parse(peer.status().config)
    loaded = _rules(sources) if sources.prometheus else ()
    always = [rule for rule in loaded if rule.query.strip() in _ALWAYS]
    found: dict[str, _Reached] = {}
    peers = _peers(sources)
    for severity, reached in _by_severity(loaded, routes).items():
        if not reached:
            yield Gap(
                f"a channel that all alerts of severity {severity} reach",
                "see the routes: amtool config routes show",
            )
            continue
        found |= {one.name: one for one in reached}
        mine = [rule for rule in loaded if rule.severity == severity]
        source = f"the routes of {counted(len(mine), 'rule')}"
        table: dict[str, Value] = {"channels": [[one.name] for one in reached]}
        wait_s = max(hop.group_wait_s for rule in mine for hop in _hops(rule, routes))
        if wait_s >= _BUDGET_S:
            table["budget_s"] = _fitting(wait_s, others=len(peers) - 1)
            source += f"; group_wait {prometheus_text(wait_s)}"
        yield Line(("alerting", "severities"), severity, table, source)
    for rule in always[:1]:
        for one in _reached(rule, routes)[:1]:
            found[one.name] = one
            table = {"alert": rule.name, "channel": one.name}
            yield Line(("alerting",), "dead_man", table, f"it always fires: {rule.query}")
    if loaded and not always:
        todo = "a rule with `alert: Watchdog` and `expr: vector(1)`"
        yield Gap("an alert that always fires, for a dead man's switch", todo)
    for name, one in found.items():
        channel = {"integration": one.kind, "receivers": [one.receiver]}
        yield Line(("alerting", "channels"), name, channel, f"receiver {one.receiver}")
    if found:
        yield Gap("where messages can be read", f"[alerting.channels.{next(iter(found))}.inbox]")
    yield from _probe(routes, sorted({one.kind for one in found.values()}))


def _probe(routes: Routes, kinds: Sequence[str]) -> Iterator[Finding]:
    """The receiver of synthetic alerts, or the route that it needs."""
    if _LABEL in routes.matched:
        hop = routes_of(routes, {_LABEL: "readiness"})[0]
        table: dict[str, Value] = {"receiver": hop.receiver}
        if hop.group_wait_s >= _BUDGET_S:
            table["budget_s"] = _fitting(hop.group_wait_s, others=0)
        yield Line(("alerting",), "probe", table, f"the route of {_LABEL}")
        return
    yield Script("alertmanager-route.yml", _route(kinds or ["webhook"]), "the route of test alerts")
    yield Gap(
        "a route for test alerts, so that they reach nobody else",
        "alertmanager-route.yml, then [alerting.probe]",
    )


def _route(kinds: Sequence[str]) -> str:
    receivers = "".join(f"  {kind}_configs: []   # a test address of this kind\n" for kind in kinds)
    return f"""\
# For alertmanager.yml: the receiver of the test alerts of `readiness`, and
# its route, before all others. Fill in test addresses; then:
#   amtool check-config alertmanager.yml && kill -HUP PID
route:
  routes:
  - matchers: ['{_LABEL}!=""']
    receiver: {_RECEIVER}
    group_by: ['...']
    group_wait: 0s
    # Longer than --cluster.peer-timeout times the number of other peers.
    group_interval: 20s
receivers:
- name: {_RECEIVER}
{receivers}"""


def _by_severity(rules: Sequence[Rule], routes: Routes) -> dict[str, list[_Reached]]:
    """The channels that every rule of a severity reaches."""
    found: dict[str, list[_Reached]] = {}
    for rule in _urgent_first(rules):
        if _is_name(rule.severity) and rule.query.strip() not in _ALWAYS:
            reached = _reached(rule, routes)
            before = found.get(rule.severity, reached)
            found[rule.severity] = [one for one in before if one in reached]
    return found


def _reached(rule: Rule, routes: Routes) -> list[_Reached]:
    receivers = dict.fromkeys(hop.receiver for hop in _hops(rule, routes))
    return [
        _Reached(name, kind)
        for name in receivers
        if name in routes.receivers
        for kind in sorted(routes.receivers[name].kinds & frozenset(get_args(Integration)))
        if _is_name(_Reached(name, kind).name)
    ]


def _hops(rule: Rule, routes: Routes) -> Sequence[Hop]:
    return routes_of(routes, placed({**rule.labels, ALERT_NAME: rule.name}))


def _fitting(wait_s: float, others: int) -> int:
    """Seconds in which a notification arrives: each further peer waits for longer."""
    return ceil(wait_s + others * _PEER_TIMEOUT_S + _ARRIVES_S)


def _required(rule: Rule) -> Mapping[str, Value]:
    """The table of a required rule; empty if its expression has not just one threshold."""
    try:
        found = bounds(rule.query)
    except CouldNotMeasure:
        return {}
    named = _is_name(rule.name) and _is_name(rule.severity)
    if not named or len(found) != 1 or found[0].is_bool or found[0].direction == "differs":
        return {}
    longer = {"max_for_s": rule.for_s} if rule.for_s > _LONGEST_FOR_S else {}
    value = found[0].value
    bound = int(value) if value.is_integer() else value
    return {"severity": rule.severity, found[0].direction: bound, **longer}


def _urgent_first(rules: Sequence[Rule]) -> list[Rule]:
    ranks = {name: rank for rank, name in enumerate(_FIRST)}
    return sorted(rules, key=lambda rule: ranks.get(rule.severity, len(ranks)))


def _is_name(text: str) -> bool:
    return bool(re.match(NAME_PATTERN, text))


def _rules(sources: Sources) -> Sequence[Rule]:
    with _watcher(sources) as watcher:
        groups = watcher.rules()
    by_name = {r.name: r for g in groups for r in g.rules if r.type == "alerting"}
    return list(by_name.values())


def _known(sources: Sources) -> Sequence[str]:
    """The Alertmanagers that Prometheus sends to; none if it does not answer."""
    if not sources.prometheus:
        return ()
    try:
        with _watcher(sources) as watcher:
            return watcher.alertmanagers()
    except CouldNotMeasure:
        return ()  # `rules` names it


def _peers(sources: Sources) -> list[str]:
    named = [sources.alertmanager] if sources.alertmanager else []
    others = [url for url in _known(sources) if url not in named and _answers(url, sources)]
    return [*named, *others]


def _watcher(sources: Sources) -> Prometheus:
    return Prometheus(PrometheusSettings(url=sources.prometheus, timeout_s=sources.timeout_s))


def _answers(url: str, sources: Sources) -> bool:
    try:
        with Peer(url, Settings(urls=[url], timeout_s=sources.timeout_s)) as peer:
            peer.status()
    except CouldNotMeasure:
        return False
    return True
