"""Whether all peers of Alertmanager run what they should, and know each other."""

from collections import Counter

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.alerting.probes import peers
from readiness.areas.alerting.probes.peers import Loaded, Seen
from readiness.config.base.watching import Alertmanager
from readiness.lib.text import clean, listed


@check(
    "alerting.alertmanager-config",
    title="Every Alertmanager runs its newest configuration, and all run the same one",
    why="""A configuration with a mistake is refused at reload, with one line in a log, and the old
    one runs on. Where two peers run different ones, who is told depends on which of them gets
    the alert first.""",
    fix="""Find the mistake, bring the same file to all peers, and reload each:
    amtool check-config /etc/alertmanager/alertmanager.yml
    curl -X POST ALERTMANAGER/-/reload
    curl -s ALERTMANAGER/metrics | grep alertmanager_config""",
    severity="blocker",
    effect="observe",
    each="alertmanager",
)
def test_alertmanager_config(alertmanager: Alertmanager, evidence: Evidence) -> None:
    """By their own metrics. A peer that is away is judged by alertmanager-cluster."""
    found = peers.configurations(alertmanager)
    refused = [clean(peer.url) for peer in found if not peer.succeeded]
    evidence.judge(
        "peers-whose-last-reload",
        Measurement(
            "peers whose last reload failed",
            len(refused),
            "count",
            "alertmanager_config_last_reload_successful",
            samples=len(found),
        ),
        equal_to(0),
        f"{listed(refused)} runs an older configuration than the one on its disk",
    )
    others = _in_the_minority(found)
    evidence.judge(
        "peers-run-another-configuration",
        Measurement(
            "peers that run another configuration than the others",
            len(others),
            "count",
            "alertmanager_config_hash",
            samples=len(found),
        ),
        equal_to(0),
        f"{listed(others)}: who is told depends on which peer sends",
    )


def _in_the_minority(found: list[Loaded]) -> list[str]:
    most = Counter(peer.fingerprint for peer in found).most_common(1)[0][0]
    return [clean(peer.url) for peer in found if peer.fingerprint != most]


@check(
    "alerting.alertmanager-cluster",
    title="Every Alertmanager answers, and knows all the others",
    why="""Peers that do not know each other tell everybody everything twice; and a second one that
    is not there at all is noticed on the day on which the first one fails.""",
    fix="""Start the one that is away, and let all peers name each other:
    alertmanager --cluster.listen-address=0.0.0.0:9094 --cluster.peer=OTHER:9094
The port needs TCP and UDP. See what each knows: curl -s ALERTMANAGER/api/v2/status
Which ones there are is `urls` in [alertmanager].""",
    severity="major",
    effect="observe",
    each="alertmanager",
)
def test_alertmanager_cluster(alertmanager: Alertmanager, evidence: Evidence) -> None:
    """As each of them sees it; one that starts is given some time to settle."""
    seen = peers.cluster(alertmanager)
    source = "GET /api/v2/status of each peer"
    away = [f"{clean(peer.url)}: {clean(peer.status)}" for peer in seen if not peer.answers]
    evidence.judge(
        "peers-answer",
        Measurement("peers that answer", len(seen) - len(away), "count", source),
        equal_to(len(seen)),
        listed(away, between="; "),
    )
    lost = [
        f"{clean(peer.url)} is {clean(peer.status)} and sees {peer.peers} of {len(seen)}"
        for peer in seen
        if peer.answers and not _knows_all(peer, len(seen))
    ]
    evidence.judge(
        "peers-do-know-all",
        Measurement("peers that do not know all the others", len(lost), "count", source),
        equal_to(0),
        listed(lost, between="; "),
    )


def _knows_all(peer: Seen, count: int) -> bool:
    alone = count == 1 and peer.status == "disabled"
    return alone or (peer.status == "ready" and peer.peers == count)
