"""What runs: the configuration of Alertmanager, and the rules whose alerts it gets."""

from collections.abc import Mapping
from dataclasses import dataclass

from readiness.areas.alerting.config import Config, SeverityPolicy
from readiness.areas.alerting.routes import config as alertmanager
from readiness.areas.alerting.routes.reach import LiveRule
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import Peer, Status
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import CouldNotMeasure, NoData, Unreachable


@dataclass(frozen=True, slots=True)
class Running:
    """What decides who is notified.

    Attributes:
        url: the peer whose configuration this is.
        version: that peer's.
        text: the configuration as YAML, without its secrets.
        rules: the alerting rules that Prometheus has loaded.
        probe_label: the label of synthetic alerts; empty if none is declared.
    """

    url: str
    version: str
    text: str
    rules: tuple[LiveRule, ...]
    probe_label: str

    @property
    def source(self) -> str:
        """Where the configuration was read, for a measurement."""
        return f"GET {self.url}/api/v2/status"

    @property
    def config(self) -> alertmanager.Config:
        """The configuration, understood.

        Raises:
            NoData: it is not.
        """
        return alertmanager.parse(self.text)

    def is_probe(self, labels: Mapping[str, str]) -> bool:
        """Whether alerts with these labels are synthetic: they reach the probe's receiver."""
        return bool(self.probe_label) and self.probe_label in labels

    def rules_of(self, severity: SeverityPolicy) -> list[LiveRule]:
        """The rules of one severity, without those that are only there for synthetic alerts.

        Raises:
            NoData: there are none.
        """
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


def read(target: Config) -> Running:
    """What runs now; the configuration is that of the first peer which answers.

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
        rules = prometheus.alerting_rules()
    probe = target.alerting.probe if target.alerting else None
    return Running(
        url=url,
        version=status.version,
        text=status.config,
        rules=tuple(LiveRule.of(rule.name, rule.labels, external) for rule in rules),
        probe_label=probe.label if probe else "",
    )


def _first_status(settings: Alertmanager) -> tuple[str, Status]:
    problem: CouldNotMeasure = Unreachable("there is no peer to ask", where="[alertmanager] urls")
    for url in settings.urls:
        try:
            with Peer(url, settings) as peer:
                return url, peer.status()
        except CouldNotMeasure as found:
            problem = found
    raise problem
