"""A test page: a real alert for the real receivers, where the file of the target consents.

Synthetic alerts have a receiver of their own, and prove nothing of the real ones: of their keys,
addresses and routes.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from readiness.areas.alerting.alertmanager_config import ALL_LABELS, Hop, parse
from readiness.areas.alerting.alertmanager_config import Config as Routes
from readiness.areas.alerting.conditions import muted
from readiness.areas.alerting.config import Alerting, Channel, SeverityPolicy, SyntheticProbe
from readiness.areas.alerting.inboxes import wait, watch
from readiness.areas.alerting.probes.synthetic import Synthetic, new_probe
from readiness.areas.alerting.reach import (
    ALERT_NAME,
    SEVERITY,
    refuse_to_inhibit,
    routes_of,
    serves,
)
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import NewAlert, Peer
from readiness.lib.http import Session
from readiness.model.errors import CouldNotMeasure, NoData, SafetyRefusal

_LABEL: Final = "readiness_page"
_FAILED: Final = "alertmanager_notifications_failed_total"
_LASTS: Final = timedelta(minutes=2)
_NOTHING_THERE: Final = {404, 410}


@dataclass(frozen=True, slots=True)
class Paged:
    """The outcome of one test page at one channel."""

    page: str  # its id
    receivers: tuple[str, ...]  # the real receivers of the channel that it took
    after_s: float | None  # from the hand-over until the message was there; None if it never was
    group_wait_s: float  # the longest of its routes
    failed: str  # what the peers count as failed since then, in words


@dataclass(frozen=True, slots=True)
class Plan:
    """What a test page of one severity needs."""

    alertmanager: Alertmanager
    policy: Alerting
    severity: SeverityPolicy

    @property
    def name(self) -> str:
        """The name of the severity."""
        return self.severity.name

    @property
    def channels(self) -> list[Channel]:
        """Those whose real receivers may be notified."""
        return [channel for channel in self.policy.channels.values() if channel.test_page]

    def real(self, config: Routes, channel: Channel) -> set[str]:
        """The receivers that serve a channel, without those of synthetic alerts."""
        probe = self.policy.probe
        own = {one.receiver for one in (probe, probe.drill if probe else None) if one}
        return {
            receiver.name
            for receiver in config.receivers.values()
            if receiver.name not in own
            and any(serves(channel, receiver.name, one.kind) for one in receiver.integrations)
        }


def planned(alertmanager: Alertmanager, policy: Alerting, channel: Channel) -> Plan | None:
    """A page of the severity that asks for the channel and may be muted least, if there is one."""
    asking = [
        severity
        for severity in policy.severities.values()
        if any(channel.name in group for group in severity.channels)
    ]
    asking.sort(key=lambda severity: (severity.may_be_muted, severity.budget_s))
    return Plan(alertmanager, policy, asking[0]) if asking else None


def is_reached(plan: Plan, channel: Channel) -> bool:
    """Whether synthetic alerts reach the same receivers as real ones of the channel."""
    with Peer(plan.alertmanager.urls[0], plan.alertmanager) as peer:
        return not plan.real(parse(peer.status().config), channel)


def failures(plan: Plan, channel: Channel) -> str:
    """What each peer has counted as failed for the channel's kind since its start, in words."""
    counted = _counted(plan)
    return _in_words({url: kinds.get(channel.integration, 0.0) for url, kinds in counted.items()})


def dead_ends(plan: Plan, channel: Channel) -> str:
    """The hosts of real receivers that do not answer or know no such path, in words.

    `OPTIONS` notifies nobody. Another answer proves nothing: the path may hold a key.
    """
    with Peer(plan.alertmanager.urls[0], plan.alertmanager) as peer:
        config = parse(peer.status().config)
    real = (config.receivers[name] for name in sorted(plan.real(config, channel)))
    found = []
    for receiver in real:
        for one in receiver.integrations:
            if one.address and serves(channel, receiver.name, one.kind):
                answer = _answer(one.address, plan.alertmanager.timeout_s)
                found += [f"{receiver.name}/{one} at {answer}"] if answer else []
    return ", ".join(found)


def _answer(address: str, timeout_s: float) -> str:
    """What is wrong with an address, seen from here; without its path, which may be a secret."""
    where = urlsplit(address)
    host = f"{where.hostname}:{where.port}" if where.port else f"{where.hostname}"
    try:
        with Session(timeout_s=timeout_s) as session:
            status = session.request("OPTIONS", address).status
    except CouldNotMeasure as problem:
        return f"{host}: {problem.message}"
    return f"{host} answers {status}" if status in _NOTHING_THERE else ""


def _in_words(failed: Mapping[str, float]) -> str:
    return ", ".join(f"{url} counts {number:g} failed" for url, number in failed.items() if number)


def send(plan: Plan) -> Callable[[Channel], Paged]:
    """Send a page, see it arrive, and end it; gives the outcome at each channel.

    Raises:
        SafetyRefusal: it would inhibit real alerts, or notify somebody who did not consent.
        NoData: it would have to wait for longer than agreed.
        CouldNotMeasure: a peer does not answer.
    """
    page = new_probe()
    # A name of its own: otherwise it would join the group of the last page.
    named = {ALERT_NAME: f"ReadinessTestPage-{page}", SEVERITY: plan.severity.name, _LABEL: page}
    with ExitStack() as stack:
        probe = SyntheticProbe(label=_LABEL, budget_s=plan.severity.budget_s)
        sender = stack.enter_context(Synthetic(plan.alertmanager, probe, "the test page"))
        configs = [parse(peer.status().config) for peer in sender.peers]
        labels = _apart(configs, page) | named
        for peer, config in zip(sender.peers, configs, strict=True):
            _refuse_unsafe(plan, config, labels, peer.url)
        hops = [hop for config in configs for hop in routes_of(config, labels)]
        wait_s = max(hop.group_wait_s for hop in hops)
        if too_long := sender.too_long(wait_s, "group_wait"):
            raise too_long
        names = {hop.receiver for hop in hops}
        due = [c for c in plan.channels if c.inbox and names & plan.real(configs[0], c)]
        quiet = {c.name for c in due if _is_muted(configs[0], hops, plan.real(configs[0], c))}
        rooms = [c.model_copy(update={"inbox": c.real_inbox or c.inbox}) for c in due]
        watched = {one.channel.name: one for one in watch(rooms, stack)}
        for one in watched.values():
            one.look(page)
        before = _counted(plan)
        sent = sender.hand_over(page, [_alert(page, labels)])
        heard = [one for name, one in watched.items() if name not in quiet]
        wait(heard, page, time.monotonic() + wait_s + plan.severity.budget_s)
        why = _held(sender, page, hops)
        after = _counted(plan)
        sender.end(sent)

    def outcome(channel: Channel) -> Paged:
        took = tuple(sorted(names & plan.real(configs[0], channel)))
        if not took:
            raise _not_proven(
                channel, f"an alert with severity={plan.severity.name} and no other reaches none"
            )
        one = watched[channel.name]
        after_s = one.after_s(sent.at, ended=False)
        kind = channel.integration
        grown = {
            url: kinds.get(kind, 0.0) - before.get(url, {}).get(kind, 0.0)
            for url, kinds in after.items()
        }
        failed = _in_words(grown)
        if after_s is None:
            one.must_be_read()
            if reason := "a time interval mutes its routes now" if channel.name in quiet else why:
                raise _not_proven(channel, reason)
            if not (failed or channel.real_inbox):
                raise _unseen(channel, took)
        return Paged(page, took, after_s, wait_s, failed)

    return outcome


def _apart(configs: Iterable[Routes], page: str) -> dict[str, str]:
    """A value of its own for each label that inhibition compares, so that it inhibits nothing."""
    return {
        name: page for config in configs for rule in config.inhibit_rules for name in rule.equal
    }


def _refuse_unsafe(plan: Plan, config: Routes, labels: Mapping[str, str], url: str) -> None:
    """Refuse a page that inhibits real alerts, or notifies somebody who did not consent."""
    unique = labels.keys() - {SEVERITY}
    refuse_to_inhibit(config, labels, unique=unique, where=url)
    others = sorted(
        {
            f"{hop.receiver}/{one}"
            for hop in routes_of(config, labels)
            for one in config.receivers[hop.receiver].integrations
            if not any(serves(channel, hop.receiver, one.kind) for channel in plan.channels)
        }
    )
    if others:
        raise SafetyRefusal(
            f"a test page would also notify {', '.join(others)}: nothing was sent",
            where=url,
            remedy="set `test_page = true` in each channel that a"
            f" {plan.severity.name} alert notifies, or in none",
        )


def _alert(page: str, labels: Mapping[str, str]) -> NewAlert:
    now = datetime.now(UTC)
    texts = {
        "summary": f"A test page of readiness, nothing is wrong ({page})",
        "description": "Sent by readiness to see that pages arrive. No action is needed.",
    }
    return NewAlert(labels, texts, now, now + _LASTS)


def _is_muted(config: Routes, hops: Sequence[Hop], real: Collection[str]) -> bool:
    now = datetime.now(UTC)
    around = now - timedelta(minutes=1), now + timedelta(minutes=2)
    return all(
        muted(config.intervals, hop.mute, hop.active, *around)
        for hop in hops
        if hop.receiver in real
    )


def _held(sender: Synthetic, page: str, hops: Sequence[Hop]) -> str:
    """Why a page that did not arrive need not be lost: a silence, or the group of another alert."""
    if any(held.status.silenced_by for _, held in sender.held(page)):
        return "a silence covers the page"
    grouped = any(h.group_by != (ALL_LABELS,) and ALERT_NAME not in h.group_by for h in hops)
    if grouped and any(h.labels.get(_LABEL) != page for p in sender.peers for h in p.alerts()):
        return "the page may have joined the group of another alert, and wait for its next turn"
    return ""


def _not_proven(channel: Channel, why: str) -> NoData:
    return NoData(
        f"the real receivers of {channel.name} were not tried: {why}",
        where=f"[alerting.channels.{channel.name}]",
        remedy="see alerting.routing and alerting.notification-timing, and run the check again",
    )


def _unseen(channel: Channel, receivers: Sequence[str]) -> NoData:
    """No peer counts a failure, and the inbox may be that of synthetic alerts alone."""
    return NoData(
        f"a test page by {', '.join(receivers)} is not in the inbox of {channel.name}, which may"
        " show synthetic alerts alone",
        where=f"[alerting.channels.{channel.name}]",
        remedy=f"declare [alerting.channels.{channel.name}.real_inbox], where the messages of the"
        " real receivers can be read",
    )


def _counted(plan: Plan) -> dict[str, dict[str, float]]:
    """Failed notifications since the start, by peer and kind of integration."""
    found: dict[str, dict[str, float]] = {}
    for url in plan.alertmanager.urls:
        # A proxy may hide the metrics; the page itself decides.
        with suppress(CouldNotMeasure), Peer(url, plan.alertmanager) as peer:
            kinds = found.setdefault(url, {})
            for series, value in peer.metrics().samples.items():
                if series.name == _FAILED:
                    kind = dict(series.labels).get("integration", "")
                    kinds[kind] = kinds.get(kind, 0.0) + value
    return found
