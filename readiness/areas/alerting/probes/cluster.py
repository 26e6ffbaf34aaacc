"""Alertmanager as it runs: its configuration, its cluster, and what Prometheus hands to it."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeVar

from readiness.areas.alerting import alertmanager_config as alertmanager
from readiness.areas.alerting import promql, reach
from readiness.areas.alerting.config import Config, SeverityPolicy
from readiness.areas.alerting.reach import SEVERITY, LiveRule
from readiness.config.base.watching import Alertmanager
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib import http
from readiness.lib.alertmanager import HeldAlert, Peer, Silence, Status
from readiness.lib.durations import prometheus_seconds
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.exposition import Series
from readiness.lib.prometheus.replies import Alert
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable


@dataclass(frozen=True, slots=True)
class Running:
    """What decides which channels an alert notifies."""

    url: str  # of the peer whose configuration this is
    version: str  # of that peer
    text: str  # the configuration as YAML, without its secrets
    rules: tuple[LiveRule, ...]  # the alerting rules that Prometheus has loaded
    probe_label: str  # the label of synthetic alerts; empty if none is declared

    @property
    def source(self) -> str:
        """Where the configuration was read, for a measurement."""
        return f"GET {self.url}/api/v2/status"

    @property
    def config(self) -> alertmanager.Config:
        """The parsed configuration."""
        return alertmanager.parse(self.text)

    def is_probe(self, labels: Mapping[str, str]) -> bool:
        """Whether alerts with these labels are synthetic: they reach the probe's receiver."""
        return bool(self.probe_label) and self.probe_label in labels

    def rules_of(self, severity: SeverityPolicy) -> list[LiveRule]:
        """The rules of one severity, one at least, without those for synthetic alerts."""
        found = [
            rule.at(severity.name)
            for rule in self.rules
            if (rule.severity == severity.name or "{{" in rule.severity)
            and not self.is_probe(rule.labels)
        ]
        if not found:
            others = sorted({rule.severity or "none" for rule in self.rules})
            raise NoData(
                f"no rule of Prometheus has severity={severity.name}",
                where=f"[alerting.severities.{severity.name}]",
                remedy=f"give it the name that rules use ({', '.join(others)}), or remove it",
            )
        return found


def read_running(target: Config) -> Running:
    """What runs now; the configuration is that of the first peer that answers.

    Raises:
        CouldNotMeasure: no peer answers, or Prometheus does not, or it has no alerting rules.
    """
    if target.alertmanager is None or target.prometheus is None:
        raise NoData(
            "[alertmanager] and [prometheus] are not both configured",
            remedy="declare both tables in readiness.toml",
        )
    url, status = _first_status(target.alertmanager)
    with Prometheus(target.prometheus) as prometheus:
        external = prometheus.external_labels()
        loaded = prometheus.alerting_rules()
        probe = target.alerting.probe if target.alerting else None
        rules = tuple(LiveRule.of(rule.name, rule.labels, external, rule.query) for rule in loaded)
        found = Running(
            url=url,
            version=status.version,
            text=status.config,
            rules=rules,
            probe_label=probe.label if probe else "",
        )
        return replace(found, rules=tuple(_routed(prometheus, found)))


def _routed(prometheus: Prometheus, running: Running) -> Iterator[LiveRule]:
    """The rules with the labels of their live series, as far as routes ask for them.

    Where they are the same for all series of a rule, all its alerts have them.
    """
    asked = set(running.config.matched) - {reach.ALERT_NAME, SEVERITY}
    for rule in running.rules:
        wanted = sorted(asked - rule.labels.keys())
        found = _series(prometheus, rule.query, wanted, _MOST_SETS) if wanted else None
        sets = [{n: v for n, v in one.items() if v} for one in found or ()]
        if len(sets) == 1:
            yield replace(rule, labels={**sets[0], **rule.labels})
        else:
            yield replace(rule, routed=tuple(sets))


def with_series(running: Running, settings: PrometheusSettings) -> Running:
    """The same rules with the labels of their live series, as far as inhibition asks for them.

    A rule without a series now is taken to have none of these labels if its expression cannot give
    them; else it has no alerts.

    Raises:
        CouldNotMeasure: Prometheus does not answer.
    """
    asked = sorted(
        {
            name
            for rule in running.config.inhibit_rules
            for name in (*rule.equal, *(matcher.name for matcher in (*rule.source, *rule.target)))
        }
        - {reach.ALERT_NAME, SEVERITY}
    )
    if not asked:
        return running
    known: dict[str, tuple[Mapping[str, str], ...] | None] = {}
    most = max(1, min(_MOST_SETS, _MOST_ALERTS // len(running.rules)))
    with Prometheus(settings) as prometheus:
        for query in {rule.query for rule in running.rules if rule.query}:
            known[query] = _series(prometheus, query, asked, most)
    rules = (replace(rule, series=known.get(rule.query, rule.series)) for rule in running.rules)
    return replace(running, rules=tuple(rules))


def _series(
    prometheus: Prometheus, query: str, asked: Sequence[str], most: int
) -> tuple[Mapping[str, str], ...] | None:
    try:
        possible = promql.possible_labels(query)
        if possible is not None and possible.isdisjoint(asked):
            return ({},)
        found = prometheus.query(f"group by ({', '.join(asked)}) ({promql.sources(query)})")
    except NoData:  # what this reader of PromQL does not know: the rule's own labels count
        return None
    # Sorted, so that those that are left are of the same things for all rules.
    labels = sorted((sample.labels for sample in found), key=lambda at: sorted(at.items()))
    return tuple(labels[:most])


_MOST_SETS: Final = 20
_MOST_ALERTS: Final = 2000


def _first_status(settings: Alertmanager) -> tuple[str, Status]:
    problem: CouldNotMeasure = Unreachable("no peer is configured", where="[alertmanager] urls")
    for url in settings.urls:
        try:
            with Peer(url, settings) as peer:
                return url, peer.status()
        except CouldNotMeasure as found:
            problem = found
    raise problem


_T = TypeVar("_T")
_LOADED: Final = Series("alertmanager_config_last_reload_successful")
_HASH: Final = Series("alertmanager_config_hash")
_SETTLES_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster as one peer sees it."""

    url: str  # its address
    status: str  # `ready`, `settling`, `disabled`; or why it does not answer
    answers: bool  # whether it does
    peers: int  # how many it sees, itself among them; 0 without a cluster


@dataclass(frozen=True, slots=True)
class Loaded:
    """What configuration one peer runs."""

    url: str  # its address
    succeeded: bool  # whether its last reload did
    fingerprint: float  # of the file that it runs


def cluster(settings: Alertmanager) -> list[Seen]:
    """What every peer sees; one that has just started has some time to find the others."""
    return until(
        lambda: [_seen(url, settings) for url in settings.urls],
        lambda seen: (
            not all(peer.answers for peer in seen)
            or all(peer.status != "settling" and peer.peers in {0, len(seen)} for peer in seen)
        ),
        within_s=_SETTLES_WITHIN_S,
    )


def _seen(url: str, settings: Alertmanager) -> Seen:
    try:
        with Peer(url, settings) as peer:
            found = peer.status().cluster
    except CouldNotMeasure as problem:
        return Seen(url, problem.message, answers=False, peers=0)
    return Seen(url, found.status, answers=True, peers=len(found.peers))


def configurations(settings: Alertmanager) -> list[Loaded]:
    """The configuration of every peer that answers."""
    return _of_each(settings, _loaded)


def silences(settings: Alertmanager) -> list[Silence]:
    """The silences that are active now, at any peer that answers."""
    held = chain.from_iterable(_of_each(settings, Peer.silences))
    return list({silence.id: silence for silence in held if silence.active}.values())


def _of_each(settings: Alertmanager, ask: Callable[[Peer], _T]) -> list[_T]:
    """The answers of the peers; one that is down is judged elsewhere, as long as another answers.

    Raises:
        NoData: a peer lacks what is asked for.
        CouldNotMeasure: no peer answers.
    """
    answers: list[_T] = []
    problem: CouldNotMeasure | None = None
    for url in settings.urls:
        try:
            with Peer(url, settings) as peer:
                answers.append(ask(peer))
        except NoData:
            raise
        except CouldNotMeasure as found:
            problem = found
    if not answers and problem:
        raise problem
    return answers


def _loaded(peer: Peer) -> Loaded:
    samples = peer.metrics().samples
    for series in (_LOADED, _HASH):
        if series not in samples:
            raise NoData(
                f"it does not export {series}",
                where=f"{peer.url}/metrics",
                remedy="is this Alertmanager itself? curl -s ALERTMANAGER/metrics | grep config",
            )
    return Loaded(peer.url, samples[_LOADED] == 1, samples[_HASH])


_OK: Final = 200
_NAME: Final = "alertname"
_SLACK_S: Final = 5.0
# Prometheus's discovery looks around every 5 s.
_DISCOVERY_S: Final = 10.0
_SENT: Final = "prometheus_notifications_sent_total"
_FAILED: Final = ("prometheus_notifications_errors_total", "prometheus_notifications_dropped_total")
_STARTED: Final = "process_start_time_seconds"
_QUEUED: Final = "prometheus_notifications_queue_length"
_ROOM: Final = "prometheus_notifications_queue_capacity"


@dataclass(frozen=True, slots=True)
class Receiver:
    """One Alertmanager that Prometheus sends to."""

    listed: str  # its address, as Prometheus has it
    asked: str  # its address, as seen from here
    status: int  # of `/-/ready`; 0 if it does not answer
    problem: str  # why it does not answer

    @property
    def ready(self) -> bool:
        """Whether it would take an alert."""
        return self.status == _OK

    def __str__(self) -> str:
        where = self.listed if self.listed == self.asked else f"{self.listed} ({self.asked} here)"
        return f"{where} {self.problem or f'answered {self.status}'}"


def receivers(prometheus: Prometheus, settings: Alertmanager) -> tuple[Receiver, ...]:
    """Ask each Alertmanager that Prometheus lists whether it is ready; waits for discovery."""
    listed = until(
        prometheus.alertmanagers,
        lambda found: len(found) == len(settings.urls),
        within_s=_DISCOVERY_S,
    )
    return tuple(_receiver(url, settings) for url in sorted(listed))


def _receiver(listed: str, settings: Alertmanager) -> Receiver:
    asked = settings.seen_as.get(listed, listed)
    # The token is for declared Alertmanagers only: what else Prometheus sends to is unknown.
    declared = asked.rstrip("/") in {url.rstrip("/") for url in settings.urls}
    try:
        answer = http.get(
            f"{asked}/-/ready",
            timeout_s=settings.timeout_s,
            bearer=settings.bearer if declared else None,
            verify=settings.verify_tls,
        )
    except CouldNotMeasure as problem:
        return Receiver(listed, asked, 0, problem.message)
    return Receiver(listed, asked, answer.status, "")


@dataclass(frozen=True, slots=True)
class Unknown:
    """An alert that fires in Prometheus, and that a peer of Alertmanager does not have."""

    alert: Mapping[str, str]
    peer: str
    since: float  # Unix time at which its condition began to hold

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v}" for k, v in sorted(self.alert.items()) if k != _NAME)
        return f"{self.alert.get(_NAME, '')} ({inside}) at {self.peer}"


@dataclass(frozen=True, slots=True)
class Handed:
    """What fires in Prometheus, compared with what the peers have."""

    firing: int  # how many alerts fire in Prometheus
    unknown: tuple[Unknown, ...]  # those that a peer does not know


def handed_over(prometheus: Prometheus, settings: Alertmanager) -> Handed:
    """Compare what fires in Prometheus with what each peer holds; fresh alerts are waited for.

    Labels that Prometheus adds or removes on the way do not matter; shared ones must agree.

    Raises:
        NoData: nothing fires, or what is missing need not have been sent again yet.
    """

    def look() -> Handed:
        firing = [alert for alert in prometheus.alerts() if alert.state == "firing"]
        missing = [m for url in settings.urls for m in _unknown(firing, url, settings)]
        return Handed(len(firing), tuple(missing))

    needed_s = _resent_s(prometheus)
    within_s = prometheus.patience_s(needed_s)
    seen = until(look, lambda now: now.firing > 0 and not now.unknown, within_s=within_s)
    if not seen.firing:
        raise NoData(
            "no alert fires in Prometheus, so that the path to Alertmanager cannot be judged",
            where=f"{prometheus.url}/alerts",
            remedy="load a rule that always fires: alert: Watchdog, expr: vector(1)",
        )
    if seen.unknown and within_s < needed_s:
        _refuse_if_new(prometheus, settings, seen.unknown, needed_s)
    return seen


def _refuse_if_new(
    prometheus: Prometheus, settings: Alertmanager, unknown: Sequence[Unknown], needed_s: float
) -> None:
    """An alert that has just begun, or was sent to a peer before its start, will be sent again."""
    now, since = prometheus.now(), [prometheus.runtime().last_config.timestamp()]
    for url in settings.urls:
        with Peer(url, settings) as peer:
            since.append(peer.status().uptime.timestamp())
    began = max(*since, *(one.since for one in unknown))
    if now - began < needed_s:
        raise NoData(
            f"{unknown[0]} is missing, and Prometheus sends it again {needed_s:.0f} s after the"
            f" last change, {now - began:.0f} s ago",
            where=f"{prometheus.url}/alerts",
            remedy=f"run the gate again later, or set `wait_max_s = {needed_s:.0f}` in"
            " [prometheus]",
        )


def _unknown(firing: Sequence[Alert], url: str, settings: Alertmanager) -> Iterable[Unknown]:
    with Peer(url, settings) as peer:
        held = peer.alerts()
    for alert in firing:
        if not any(_same(alert.labels, known) for known in held):
            yield Unknown(alert.labels, url, alert.active_at.timestamp())


def _same(labels: Mapping[str, str], held: HeldAlert) -> bool:
    shared = labels.keys() & held.labels.keys()
    return _NAME in shared and all(labels[name] == held.labels[name] for name in shared)


def resend_delay_s(prometheus: Prometheus) -> float:
    """The shortest time after which Prometheus sends a firing alert again."""
    return prometheus_seconds(prometheus.flags().get("rules.alert.resend-delay", "1m"))


def _resent_s(prometheus: Prometheus) -> float:
    """Seconds within which an alert that fires is sent again."""
    return resend_delay_s(prometheus) + 2 * _turn_s(prometheus) + _SLACK_S


def _turn_s(prometheus: Prometheus) -> float:
    """Seconds within which every group of rules is evaluated once."""
    return max((group.interval_s for group in prometheus.rules()), default=0.0)


@dataclass(frozen=True, slots=True)
class Sent:
    """What Prometheus counted while we watched."""

    sent: float  # alerts handed over, to all Alertmanagers together
    lost: float  # alerts that failed or were dropped
    queued: float  # share of the queue that was full at the end, 0 to 1


@dataclass(frozen=True, slots=True)
class _Counters:
    """What Prometheus has counted since its start; `sent` by Alertmanager."""

    sent: Mapping[str, float]
    lost: float
    queued: float

    def since(self, before: "_Counters", to: Sequence[str]) -> float:
        """The fewest attempts that have ended at one of these Alertmanagers."""
        return min((self.sent.get(a, 0.0) - before.sent.get(a, 0.0) for a in to), default=0.0)


@dataclass(frozen=True, slots=True)
class Begun:
    """The first reading of its own counters."""

    counters: _Counters
    at: float  # on the clock `time.monotonic`


def begin(prometheus: Prometheus) -> Begun | None:
    """Read its counters before something else is waited for.

    None if they cannot be read, or before it has found an Alertmanager: it drops alerts then.
    """
    with suppress(CouldNotMeasure):
        if prometheus.alertmanagers():
            return Begun(_counters(prometheus), time.monotonic())
    return None


def watch_sending(prometheus: Prometheus, begun: Begun | None = None) -> Sent:
    """Read its own counters twice, with at least one attempt at every Alertmanager between them.

    Every group of rules is evaluated meanwhile: only the alert of one group may be lost. Where that
    takes longer than `wait_max_s`, the first reading is taken from its history.

    Raises:
        NoData: it sends nothing in the time within which it must send again, or lacks the counters,
            or that time is too long and it has no history of itself.
    """
    # After a start or a reload it has found none yet, and drops what fires meanwhile.
    to = until(prometheus.alertmanagers, bool, within_s=_DISCOVERY_S)
    needed_s = max(_turn_s(prometheus), _resent_s(prometheus))
    past = _past(prometheus, needed_s) if needed_s > prometheus.settings.wait_max_s else None
    if past and past.lost < _counters(prometheus).lost:
        past = None  # what was lost then may be mended: only what is lost now counts
    # What went on meanwhile need not be waited for again.
    began = begun if begun and begun.counters.sent.keys() >= set(to) else None
    turn_over = (began.at if began else time.monotonic()) + _turn_s(prometheus)
    before = past or (began.counters if began else _counters(prometheus))

    def watched(now: _Counters) -> bool:
        return now.since(before, to) > 0 and (past is not None or time.monotonic() > turn_over)

    after = until(
        lambda: _counters(prometheus),
        lambda now: now.lost > before.lost or watched(now),
        within_s=prometheus.patience_s(needed_s),
    )
    sent, lost = sum(after.sent.values()) - sum(before.sent.values()), after.lost - before.lost
    if lost <= 0 and not watched(after) and needed_s > prometheus.settings.wait_max_s:
        raise NoData(
            f"what Prometheus hands over shows after {needed_s:.0f} s only: its rules' longest"
            " interval and --rules.alert.resend-delay",
            where=f"{prometheus.url}/metrics: {_SENT}",
            remedy="let Prometheus scrape itself, so that it has a history, shorten the interval,"
            f" or set `wait_max_s = {needed_s:.0f}` in [prometheus]",
        )
    if min(sent, lost) < 0 or max(sent, lost) <= 0:
        raise NoData(
            "Prometheus handed over no alert while it was watched",
            where=f"{prometheus.url}/metrics: {_SENT}",
            remedy="load a rule that always fires (alert: Watchdog, expr: vector(1)), and declare"
            " Alertmanager in prometheus.yml",
        )
    return Sent(sent, lost, after.queued)


def _past(prometheus: Prometheus, ago_s: float) -> _Counters | None:
    """What it had counted some time ago: by its history of itself, or nothing was lost since then.

    None if neither is known, as shortly after its start.
    """
    own = prometheus.metrics().samples
    started = next((v for series, v in own.items() if series.name == _STARTED), math.inf)
    if prometheus.now() - started < ago_s:
        return None
    if not sum(value for series, value in own.items() if series.name in _FAILED):
        return _Counters({}, 0.0, 0.0)
    names = "|".join((_SENT, *_FAILED))
    found = prometheus.query(
        f'{{__name__=~"{names}"}} offset {ago_s:.0f}s and on (job, instance)'
        f" ({_STARTED} == {started!r})"
    )
    lost = [s.value for s in found if s.labels.get("__name__") in _FAILED]
    sent = {
        s.labels.get("alertmanager", "").partition("/api/")[0]: s.value
        for s in found
        if s.labels.get("__name__") == _SENT
    }
    return _Counters(sent, sum(lost), 0.0) if lost else None


def _counters(prometheus: Prometheus) -> _Counters:
    found = prometheus.metrics()
    if _FAILED[1] not in found.names:
        raise NoData(
            f"there is no metric {_FAILED[1]}",
            where=found.url,
            remedy="name the address of Prometheus itself: its /metrics must be its own",
        )
    sums: defaultdict[str, float] = defaultdict(float)
    sent: dict[str, float] = {}
    for series, value in found.samples.items():
        sums[series.name] += value
        if series.name == _SENT:
            address = dict(series.labels).get("alertmanager", "")
            sent[address.partition("/api/")[0]] = value
    room = sums[_ROOM]
    return _Counters(sent, sum(sums[n] for n in _FAILED), sums[_QUEUED] / room if room else 0.0)
