"""The kinds of subject a check can be judged on, and where the target declares them."""

from collections.abc import Iterable, Mapping
from typing import Final

from readiness.areas.alerting import subjects as alerting_subjects
from readiness.areas.backup import subjects as backup_subjects
from readiness.areas.database import subjects as deployment_subjects
from readiness.areas.deployment import subjects as database_subjects
from readiness.areas.monitoring.config import BlackboxProbe, Job
from readiness.areas.scaling import subjects as scaling_subjects
from readiness.areas.schema import subjects as schema_subjects
from readiness.config.base import Model
from readiness.config.models import Config
from readiness.config.subject import Find, Item, Subject, of
from readiness.model.errors import UsageError


def _jobs(config: Config) -> list[Job]:
    return of(config.prometheus.jobs if config.prometheus else {})


def _probes(config: Config) -> list[BlackboxProbe]:
    return of(config.prometheus.probes if config.prometheus else {})


# kind -> (where it is declared, as the report tells a user, and how to find it)
_KINDS: Final[Mapping[str, tuple[str, Find]]] = {
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
        lambda c: of(c.grafana.dashboards if c.grafana else {}),
    ),
    **alerting_subjects.KINDS,
    **database_subjects.KINDS,
    **schema_subjects.KINDS,
    **backup_subjects.KINDS,
    **deployment_subjects.KINDS,
    **scaling_subjects.KINDS,
    "ingest": ("[[performance.ingest]]", lambda c: c.performance.ingest),
    "query": ("[[performance.queries]]", lambda c: c.performance.queries),
    "signoff_item": (
        "[signoffs] required",
        lambda c: [Item(name) for name in c.signoffs.required] if c.signoffs else [],
    ),
}


def declared_in(kind: str, needs: Iterable[str] = ()) -> str:
    """Where subjects of this kind are declared, for a message.

    Raises:
        UsageError: there is no such kind.
    """
    return " ".join([_kind(kind)[0], *needs])


def subjects(config: Config, kind: str, needs: Iterable[str] = ()) -> list[Subject]:
    """The subjects of a kind that the target declares and that have what is needed, by name.

    Args:
        config: the target.
        kind: which subjects.
        needs: keys of the subject's table that must be set, as `physical.dsn`, or properties of
            its model that must be true.

    Raises:
        UsageError: there is no such kind.
    """
    found = sorted(_kind(kind)[1](config), key=lambda subject: subject.name)
    wanted = list(needs)
    return [subject for subject in found if not any(lacks(subject, need) for need in wanted)]


def undeclared(config: Config, kind: str, needs: Iterable[str] = ()) -> str:
    """What the target would have to declare, where it has no such subject; else empty.

    "`retention_days` in [backup.shop]" where that table is there and lacks the key.
    """
    wanted = list(needs)
    if subjects(config, kind, wanted):
        return ""
    there = subjects(config, kind)
    for need in wanted:
        if there and all(lacks(subject, need) for subject in there):
            return _lacking(there[0], need)
    return declared_in(kind, wanted)


def _lacking(subject: Subject, need: str) -> str:
    if not isinstance(subject, Model):
        return need
    if condition := subject.conditions.get(need):
        return f"[{subject.place}] {condition}"
    *tables, key = need.split(".")
    return f"`{key}` in [{'.'.join([subject.place, *tables])}]"


def lacks(subject: object, need: str) -> bool:
    """Whether a key, or one of the tables on the way to it, is not set or not true."""
    found = subject
    for word in need.split("."):
        found = getattr(found, word)
        if not found:
            return True
    return False


def _kind(kind: str) -> tuple[str, Find]:
    try:
        return _KINDS[kind]
    except KeyError:
        raise UsageError(
            f"there is no kind of subject named {kind!r}",
            where=f"@check(each={kind!r})",
            remedy=f"use one of: {', '.join(sorted(_KINDS))}",
        ) from None
