"""The kinds of subject a check can be judged on, and where the target declares them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from readiness.config.alert_engine import AlertEngine
from readiness.config.alerting import Channel
from readiness.config.base import Named
from readiness.config.models import Config
from readiness.config.monitoring import BlackboxProbe, Job
from readiness.errors import UsageError


class Subject(Protocol):
    """Anything with a name that becomes part of a check's id."""

    @property
    def name(self) -> str:
        """The name, as the configuration gives it."""
        ...


class _Item:
    """What has no table of its own but a name: a required sign-off, an alert, a receiver."""

    def __init__(self, name: str) -> None:
        self.name = name


_ENGINE: Final = "engine"
_Find = Callable[[Config], Sequence[Subject]]

_S = TypeVar("_S", bound=Named)


def _of(tables: Mapping[str, _S]) -> list[_S]:
    return list(tables.values())


def probed_channels(config: Config) -> list[Channel]:
    """Those that can be read and that Alertmanager's synthetic alerts are led to.

    None goes to the dead man's, nor to those that only an engine of the target's own tells.
    """
    alerting = config.alerting
    if alerting is None:
        return []
    dead_man = alerting.dead_man
    apart = alerting.engine_only | ({dead_man.channel, dead_man.calls} if dead_man else set())
    return [c for c in alerting.channels.values() if c.inbox and c.name not in apart]


def _jobs(config: Config) -> list[Job]:
    return _of(config.prometheus.jobs if config.prometheus else {})


def _probes(config: Config) -> list[BlackboxProbe]:
    return _of(config.prometheus.probes if config.prometheus else {})


def _engine_subjects(names: Callable[[AlertEngine], Iterable[str]]) -> _Find:
    """Subjects that have no table but names, of what the engine has."""

    def find(config: Config) -> list[Subject]:
        engine = config.alerting.engine if config.alerting else None
        return [_Item(name) for name in dict.fromkeys(names(engine))] if engine else []

    return find


# kind -> (where it is declared, as the report tells a user, and how to find it)
_KINDS: Final[Mapping[str, tuple[str, _Find]]] = {
    "service": ("[services.NAME]", lambda c: list(c.services.values())),
    "drilled_service": (
        "[services.NAME.drill]",
        lambda c: [s for s in c.services.values() if s.drill],
    ),
    "counted_service": (
        "[services.NAME.truth]",
        lambda c: [s for s in c.services.values() if s.truth],
    ),
    "private_service": (
        "[services.NAME] private",
        lambda c: [s for s in c.services.values() if s.private],
    ),
    "prometheus": ("[prometheus]", lambda c: [c.prometheus] if c.prometheus else []),
    "job": ("[prometheus.jobs.NAME]", _jobs),
    "measured_job": (
        "[prometheus.jobs.NAME] required_metrics",
        lambda c: [job for job in _jobs(c) if job.required_metrics],
    ),
    "exporter_job": (
        "[prometheus.jobs.NAME] must_be_one",
        lambda c: [job for job in _jobs(c) if job.must_be_one or job.must_be_zero],
    ),
    "probe": (
        "[prometheus.probes.NAME]",
        _probes,
    ),
    "https_probe": (
        "[prometheus.probes.NAME] instance with https://",
        lambda c: [probe for probe in _probes(c) if probe.is_https],
    ),
    "grafana": (
        "[grafana] datasources",
        lambda c: [c.grafana] if c.grafana and c.grafana.datasources else [],
    ),
    "error_tracker": ("[error_tracker]", lambda c: [c.error_tracker] if c.error_tracker else []),
    "dashboard": (
        "[grafana.dashboards.NAME]",
        lambda c: _of(c.grafana.dashboards if c.grafana else {}),
    ),
    "alertmanager": ("[alertmanager]", lambda c: [c.alertmanager] if c.alertmanager else []),
    "alert_severity": (
        "[alerting.severities.NAME]",
        lambda c: _of(c.alerting.severities if c.alerting else {}),
    ),
    "unmuted_severity": (
        "[alerting.severities.NAME] without may_be_muted",
        lambda c: [
            s for s in _of(c.alerting.severities if c.alerting else {}) if not s.may_be_muted
        ],
    ),
    "alert_channel": (
        "[alerting.channels.NAME]",
        lambda c: _of(c.alerting.channels if c.alerting else {}),
    ),
    "probed_channel": ("[alerting.channels.NAME] inbox", probed_channels),
    "resolving_channel": (
        "[alerting.channels.NAME] inbox",
        lambda c: [channel for channel in probed_channels(c) if channel.resolves],
    ),
    "synthetic_probe": (
        "[alerting.probe]",
        lambda c: [_Item(c.alerting.probe.receiver)] if c.alerting and c.alerting.probe else [],
    ),
    "delivery_drill": (
        "[alerting.probe.drill]",
        lambda c: (
            [_Item(c.alerting.probe.drill.receiver)]
            if c.alerting and c.alerting.probe and c.alerting.probe.drill
            else []
        ),
    ),
    "canary": (
        "[alerting.canary]",
        lambda c: [_Item(c.alerting.canary.alert)] if c.alerting and c.alerting.canary else [],
    ),
    "mortal_canary": (
        "[alerting.canary] stop_source",
        lambda c: (
            [_Item(c.alerting.canary.alert)]
            if c.alerting and c.alerting.canary and c.alerting.canary.stop_source
            else []
        ),
    ),
    "calling_dead_man": (
        "[alerting.dead_man] stop",
        lambda c: (
            [_Item(c.alerting.dead_man.alert)]
            if c.alerting and c.alerting.dead_man and c.alerting.dead_man.stop
            else []
        ),
    ),
    "dead_man": (
        "[alerting.dead_man]",
        lambda c: [_Item(c.alerting.dead_man.alert)] if c.alerting and c.alerting.dead_man else [],
    ),
    "engine_channel": ("[alerting.engine] channels", _engine_subjects(lambda e: e.channels)),
    "engine_history": (
        "[alerting.engine.history]",
        _engine_subjects(lambda e: [_ENGINE] if e.history else []),
    ),
    "engine_statistics": (
        "[alerting.engine.statistics]",
        _engine_subjects(lambda e: [_ENGINE] if e.statistics else []),
    ),
    "engine_escalation": (
        "[alerting.engine.escalation]",
        _engine_subjects(lambda e: [e.escalation.second] if e.escalation else []),
    ),
    "stoppable_peer": (
        "[alertmanager] stop_peer",
        lambda c: [_Item("first-peer")] if c.alertmanager and c.alertmanager.stop_peer else [],
    ),
    "alert_rule": ("[alerting.rules.NAME]", lambda c: _of(c.alerting.rules if c.alerting else {})),
    "database": ("[databases.NAME]", lambda c: list(c.databases.values())),
    "backup": ("[backup.NAME]", lambda c: list(c.backup.values())),
    "ingest": ("[[performance.ingest]]", lambda c: c.performance.ingest),
    "query": ("[[performance.queries]]", lambda c: c.performance.queries),
    "signoff_item": (
        "[signoffs] required",
        lambda c: [_Item(name) for name in c.signoffs.required] if c.signoffs else [],
    ),
}


def declared_in(kind: str) -> str:
    """Where subjects of this kind are declared, for a message.

    Raises:
        UsageError: there is no such kind.
    """
    return _kind(kind)[0]


def subjects(config: Config, kind: str) -> list[Subject]:
    """The subjects of a kind that the target declares, sorted by name.

    Raises:
        UsageError: there is no such kind.
    """
    return sorted(_kind(kind)[1](config), key=lambda subject: subject.name)


def _kind(kind: str) -> tuple[str, _Find]:
    try:
        return _KINDS[kind]
    except KeyError:
        raise UsageError(
            f"there is no kind of subject named {kind!r}",
            where=f"@check(each={kind!r})",
            remedy=f"use one of: {', '.join(sorted(_KINDS))}",
        ) from None
