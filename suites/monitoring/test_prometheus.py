"""Whether Prometheus itself can be relied on: its configuration, its memory, its clock."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.monitoring.probes import clocks, retention
from readiness.areas.monitoring.probes.clocks import Offset
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.alertmanager import Peer
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import TookTooLong


@check(
    "monitoring.prometheus-config",
    title="Prometheus runs the configuration that lies on its disk",
    why="""A configuration or rule file with a mistake is refused at reload, with one line in a log.
    Prometheus goes on with the old one: the rules that were merged last week do not exist.""",
    fix="""Find the mistake, correct it, and reload:
    promtool check config /etc/prometheus/prometheus.yml
    curl -X POST PROMETHEUS/-/reload""",
    severity="blocker",
    effect="observe",
    each="prometheus",
)
def test_prometheus_config(prometheus: Settings, watcher: Prometheus, evidence: Evidence) -> None:
    """As it says itself."""
    runtime = watcher.runtime()
    evidence.judge(
        "last-reload-configuration",
        Measurement(
            "last reload of the configuration",
            "succeeded" if runtime.config_loaded else "failed",
            "text",
            f"GET {prometheus.url}/api/v1/status/runtimeinfo",
        ),
        equal_to("succeeded"),
        f"it runs the one of {runtime.last_config:%Y-%m-%d %H:%M} UTC",
    )


@check(
    "monitoring.retention",
    title="Prometheus keeps enough history to compare with, and to look into an incident",
    why="""Whoever looks into an incident needs the week before it, and a rule that compares with
    last week needs it every day. A retention that was shortened when a disk ran full is
    remembered only on the day when the history is missing.""",
    fix="""Start Prometheus with a longer one, on a disk with room for it:
    prometheus --storage.tsdb.retention.time=15d
The flags it runs with: curl -s PROMETHEUS/api/v1/status/runtimeinfo
The limit is `retention_min_h` in [prometheus].""",
    severity="minor",
    effect="observe",
    each="prometheus",
)
def test_retention(prometheus: Settings, watcher: Prometheus, evidence: Evidence) -> None:
    """What it promises; a bound of size alone promises nothing, then what it has counts."""
    kept = retention.kept_h(watcher, prometheus.retention_min_h)
    evidence.judge("kept", kept, at_least(prometheus.retention_min_h), "older samples are deleted")


@check(
    "monitoring.clock-skew",
    title="The clocks of Prometheus and Alertmanager agree with ours",
    why="""Samples, alerts and silences all carry times. A clock that is off by a minute starts and
    ends silences at the wrong time, shows the wrong minute on every graph, and makes each time
    that this gate measures there worth nothing.""",
    fix="""On the machine that is off, see whether its clock is kept right, and by whom:
    timedatectl status; chronyc tracking
If it is this machine, the same there. The limit is `clock_skew_max_s` in [prometheus].""",
    severity="major",
    effect="observe",
    each="prometheus",
)
def test_clock_skew(
    prometheus: Settings, watcher: Prometheus, target: Config, evidence: Evidence
) -> None:
    """What the way there and back leaves unknown is taken off, and must be less than the limit."""
    _judge_clock(clocks.offset_of(watcher, "Prometheus"), prometheus, evidence)
    if settings := target.alertmanager:
        for url in settings.urls:
            with Peer(url, settings) as peer:
                _judge_clock(clocks.offset_of(peer, "Alertmanager"), prometheus, evidence)


def _judge_clock(offset: Offset, prometheus: Settings, evidence: Evidence) -> None:
    limit = prometheus.clock_skew_max_s
    if offset.error_s > limit:
        raise TookTooLong(
            f"the answer took so long that its clock is only known to {offset.error_s:.1f} s",
            where=offset.url,
            remedy="run the gate nearer to it, or raise `clock_skew_max_s` in [prometheus]",
        )
    evidence.judge(
        "least",
        offset.least(),
        at_most(limit),
        f"it is {abs(offset.ahead_s):.1f} s {'ahead' if offset.ahead_s > 0 else 'behind'}",
    )
