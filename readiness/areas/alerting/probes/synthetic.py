"""Sends synthetic alerts to all peers of an Alertmanager, and ends them again."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from readiness.areas.alerting.config import SyntheticProbe
from readiness.areas.alerting.routes.config import Hop, parse
from readiness.areas.alerting.routes.reach import ALERT_NAME, refuse_unless_contained
from readiness.areas.alerting.routes.routing import routes_of
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import HeldAlert, NewAlert, Peer, Status
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable

ALERT: Final = "ReadinessProbe"
DRILL_PREFIX: Final = "drill-"
_NOT_READY: Final = "settling"
_SETTLING_S: Final = 30.0
_GOSSIP_S: Final = 0.5
# A run that is killed leaves alerts that end by themselves, this long after their budget.
_SPARE_S: Final = 60.0


def new_probe(prefix: str = "") -> str:
    """An id that no other alert has, and that survives every template and search."""
    return f"{prefix}rd{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Sent:
    """Synthetic alerts that were handed over.

    Attributes:
        probe: their id.
        at: when, as Unix time.
        alerts: what was sent; to end them, the same with another end.
    """

    probe: str
    at: float
    alerts: tuple[NewAlert, ...]


class Synthetic:
    """Synthetic alerts for one Alertmanager; use it as a context manager.

    At its end, whatever it sent is ended, at every peer that answers.

    Args:
        settings: where the peers are.
        probe: the label, and the receiver that may be reached.
        receiver: that receiver.
    """

    def __init__(self, settings: Alertmanager, probe: SyntheticProbe, receiver: str) -> None:
        self._settings = settings
        self._probe = probe
        self._receiver = receiver
        self._stack = ExitStack()
        self._sent: dict[str, Sent] = {}
        self.peers: list[Peer] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for url in self._settings.urls:
                self.peers.append(stack.enter_context(Peer(url, self._settings)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for sent in list(self._sent.values()):
                # A check that failed midway: what cannot be ended now ends by itself.
                with suppress(CouldNotMeasure):
                    self.end(sent)
        finally:
            self._stack.close()

    def hops(self, probe: str) -> list[Hop]:
        """Where the first peer routes a synthetic alert; each peer is asked whether it may be sent.

        Raises:
            SafetyRefusal: it would reach somebody else, or inhibit real alerts.
            CouldNotMeasure: a peer does not answer, or is not ready yet.
        """
        labels = self.labels(probe)
        found = []
        for peer in self.peers:
            config = parse(_settled(peer).config)
            refuse_unless_contained(
                config, labels, receiver=self._receiver, unique=self._probe.label, where=peer.url
            )
            found.append(routes_of(config, labels))
        return found[0]

    def labels(self, probe: str) -> dict[str, str]:
        """The labels of a synthetic alert."""
        return {ALERT_NAME: ALERT, **self._probe.labels, self._probe.label: probe}

    def send(self, probe: str, *, count: int = 1, skip: int = 0) -> Sent:
        """Hand alerts over to every peer, as Prometheus does; the same ones if sent before.

        Args:
            probe: their id.
            count: how many; several differ in the label `number`.
            skip: how many peers, from the first on, are left out: they are away.

        Raises:
            CouldNotMeasure: a peer does not take them.
        """
        sent = self._sent.get(probe) or self._new(probe, count)
        self._sent[probe] = sent  # before it is sent: it has to be ended even if that fails
        self._to_peers(sent.alerts, self.peers[skip:])
        return sent

    def _new(self, probe: str, count: int) -> Sent:
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=self._probe.budget_s + _SPARE_S)
        numbers = [{"number": str(n)} for n in range(count)] if count > 1 else [{}]
        labels = self.labels(probe)
        alerts = [NewAlert(labels | more, _annotations(probe), now, ends) for more in numbers]
        return Sent(probe, now.timestamp(), tuple(alerts))

    def let_others_pass(self) -> None:
        """Wait until every other peer had its turn to send, and saw that it was sent already.

        An alert that ended before would be sent by them as firing, after its end: they wait with
        what they were handed, and compare it with what was sent last.
        """
        time.sleep(self._settings.peer_timeout_s * (len(self.peers) - 1) + _GOSSIP_S)

    def end(self, sent: Sent, *, skip: int = 0) -> float:
        """End alerts at every peer; gives the Unix time of their end.

        Raises:
            CouldNotMeasure: a peer does not take it.
        """
        now = datetime.now(UTC)
        ended = [replace(alert, ends_at=now) for alert in sent.alerts]
        self._to_peers(ended, self.peers[skip:])
        self._sent.pop(sent.probe, None)
        return now.timestamp()

    def held(self, probe: str) -> list[tuple[str, HeldAlert]]:
        """The alerts with this id that peers hold, with the address of each peer."""
        return [
            (peer.url, alert)
            for peer in self.peers
            for alert in peer.alerts(f'{self._probe.label}="{probe}"')
        ]

    def _to_peers(self, alerts: Sequence[NewAlert], peers: Sequence[Peer]) -> None:
        """Hand over to each of them, to the others even where one does not take it."""
        failures = []
        for peer in peers:
            try:
                peer.post(alerts)
            except CouldNotMeasure as error:
                failures.append(error)
        if failures:
            raise failures[0]


@contextmanager
def synthetic(
    settings: Alertmanager | None, probe: SyntheticProbe | None, *, drill: bool = False
) -> Iterator[Synthetic]:
    """Synthetic alerts as the configuration has them.

    Args:
        settings: `[alertmanager]`.
        probe: `[alerting.probe]`.
        drill: whether they go to the receiver of `[alerting.probe.drill]`.

    Raises:
        NoData: one of the tables is missing.
    """
    if settings is None or probe is None or (drill and probe.drill is None):
        missing = (
            "[alertmanager]" if settings is None
            else "[alerting.probe]" if probe is None
            else "[alerting.probe.drill]"
        )  # fmt: skip
        raise NoData(
            f"{missing} is not configured: synthetic alerts cannot be sent",
            where="readiness.toml",
            remedy="see `readiness init` for an example, and the guide for the route it needs",
        )
    receiver = probe.drill.receiver if drill and probe.drill else probe.receiver
    with Synthetic(settings, probe, receiver) as opened:
        yield opened


def _annotations(probe: str) -> dict[str, str]:
    return {
        "summary": f"A test of the alerting, nothing is wrong ({probe})",
        "description": "Sent by readiness, which looks whether it arrives. Nobody has to act.",
    }


def _settled(peer: Peer) -> Status:
    """How a peer is, once it has found the others; a restarted one takes some seconds for that."""
    status = until(
        peer.status, lambda found: found.cluster.status != _NOT_READY, within_s=_SETTLING_S
    )
    if status.cluster.status == _NOT_READY:
        raise Unreachable(
            "is still looking for its peers and sends nothing",
            where=peer.url,
            remedy="wait until /api/v2/status says `ready`; see alerting.alertmanager-cluster",
        )
    return status
