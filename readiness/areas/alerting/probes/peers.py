"""All peers of Alertmanager at once: what each says of itself, and of the others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import Peer, Silence
from readiness.lib.patience import until
from readiness.lib.prometheus.exposition import Series
from readiness.model.errors import CouldNotMeasure, NoData

_T = TypeVar("_T")
_LOADED: Final = Series("alertmanager_config_last_reload_successful")
_HASH: Final = Series("alertmanager_config_hash")
_SETTLES_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one peer says of the cluster.

    Attributes:
        url: its address.
        status: `ready`, `settling`, `disabled`; or why it does not answer.
        answers: whether it does.
        peers: how many it sees, itself among them; 0 without a cluster.
    """

    url: str
    status: str
    answers: bool
    peers: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What configuration one peer runs.

    Attributes:
        url: its address.
        succeeded: whether its last reload did.
        fingerprint: of the file that it runs.
    """

    url: str
    succeeded: bool
    fingerprint: float


def cluster(settings: Alertmanager) -> list[Seen]:
    """What every peer sees; one that has just started gets some time to find the others."""
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
    """What the peers run that answer.

    Raises:
        CouldNotMeasure: none answers, or one does not tell.
    """
    return _of_each(settings, _loaded)


def silences(settings: Alertmanager) -> list[Silence]:
    """The silences that are active now, at any peer that answers.

    Raises:
        CouldNotMeasure: none answers.
    """
    found = {
        silence.id: silence
        for held in _of_each(settings, lambda peer: peer.silences())
        for silence in held
        if silence.active
    }
    return list(found.values())


def _of_each(settings: Alertmanager, ask: Callable[[Peer], _T]) -> list[_T]:
    """What the peers answer. One that is away is the cluster's business, as long as one is not."""
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
                f"it does not tell {series}",
                where=f"{peer.url}/metrics",
                remedy="is this Alertmanager itself? curl -s ALERTMANAGER/metrics | grep config",
            )
    return Loaded(peer.url, samples[_LOADED] == 1, samples[_HASH])
