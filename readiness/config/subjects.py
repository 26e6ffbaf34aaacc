"""The kinds of subject a check can be judged on, and where the target declares them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from readiness.config.base import Named
from readiness.config.models import Config
from readiness.errors import UsageError


class Subject(Protocol):
    """Anything with a name that becomes part of a check's id."""

    @property
    def name(self) -> str:
        """The name, as the configuration gives it."""
        ...


class _Item:
    """A required sign-off, by name."""

    def __init__(self, name: str) -> None:
        self.name = name


_Find = Callable[[Config], Sequence[Subject]]

_S = TypeVar("_S", bound=Named)


def _of(tables: Mapping[str, _S]) -> list[_S]:
    return list(tables.values())


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
    "job": ("[prometheus.jobs.NAME]", lambda c: _of(c.prometheus.jobs if c.prometheus else {})),
    "probe": (
        "[prometheus.probes.NAME]",
        lambda c: _of(c.prometheus.probes if c.prometheus else {}),
    ),
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
    "observed_channel": (
        "[alerting.channels.NAME] inbox",
        lambda c: [ch for ch in _of(c.alerting.channels if c.alerting else {}) if ch.inbox],
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
