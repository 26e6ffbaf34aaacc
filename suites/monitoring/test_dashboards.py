"""Whether the dashboards show data."""

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.config import Grafana as Settings
from readiness.areas.monitoring.probes import grafana
from readiness.areas.monitoring.probes.dashboards import Panel
from readiness.areas.monitoring.probes.grafana import Grafana
from readiness.fixtures.monitoring import Open, Opened
from readiness.model.errors import NoData


@check(
    "monitoring.dashboard-panels",
    title="Every panel of the dashboard shows data",
    failure_title="The dashboard has empty panels, or too few of them",
    why="""A panel is needed when something is wrong. If its metric was renamed half a year ago, it
    shows `No data` just then, which looks the same as a dead system.""",
    fix="""Open the dashboard and look at the empty panels: their queries name a metric, a label
or a variable that no longer exists. Search for it in Prometheus:
    count by (__name__) ({__name__=~"PART_OF_THE_NAME.*"})
A panel that is empty while all is well: add its title to `may_be_empty` of
[grafana.dashboards.NAME]. A variable without a value: set it in `variables`.
Too few panels: restore the dashboard from its repository.""",
    severity="major",
    effect="observe",
    each="dashboard",
    judgements=("panel-count", "panel-data"),
)
def test_dashboard_panels(dashboard: Dashboard, opened: Open, evidence: Evidence) -> None:
    """Each query of each panel, within the range that the dashboard is usually opened with."""
    seen = opened(dashboard)
    evidence.judge(
        "panel-count",
        Measurement(
            f"panels with a query on the dashboard {dashboard.name}",
            len(seen.panels),
            "count",
            seen.source,
        ),
        at_least(dashboard.min_panels, dashboard.deciding("min_panels")),
    )
    others = {panel: seen.asker.other_sources(panel.queries) for panel in seen.panels}
    with evidence.attempt():
        _require_values(dashboard, seen)
    with evidence.attempt():
        _require_prometheus(dashboard, set().union(*others.values()), len(seen.panels))
    for panel in seen.panels:
        if not (panel.missing or others[panel]):
            with evidence.attempt():
                _judge_panel(panel, dashboard, seen, evidence)


def _require_values(dashboard: Dashboard, seen: Opened) -> None:
    """Raises NoData with all variables that no panel can do without."""
    missing = sorted({name for panel in seen.panels for name in panel.missing})
    if missing:
        raise NoData(
            f"the variables {', '.join(f'${name}' for name in missing)} have no value",
            where=dashboard.file or f"dashboard {dashboard.uid}",
            remedy=f"set them in [grafana.dashboards.{dashboard.name}]: variables = {{ "
            + ", ".join(f'{name} = "..."' for name in missing)
            + " }",
        )


def _require_prometheus(dashboard: Dashboard, others: set[str], panels: int) -> None:
    if others:
        raise NoData(
            f"of its {panels} panels some have a data source of the type"
            f" {', '.join(sorted(others))}, which only Grafana can query",
            where=dashboard.file or f"dashboard {dashboard.uid}",
            remedy="declare the dashboard by `uid`, so that Grafana queries it",
        )


def _judge_panel(panel: Panel, dashboard: Dashboard, seen: Opened, evidence: Evidence) -> None:
    may_be_empty = panel.title in dashboard.may_be_empty
    least = grafana.least_points(
        panel, seen.asker, dashboard.window_s, 0.0 if may_be_empty else seen.patience_s
    )
    points = Measurement(f"points of the panel '{panel.title}'", least.points, "count", seen.source)
    if may_be_empty and not least.error:
        evidence.record(points)
        return
    evidence.judge(
        "panel-data",
        points,
        at_least(1),
        least.error or f"query {least.ref} returns nothing within {dashboard.window_s:g} s",
    )


@check(
    "monitoring.grafana-datasources",
    title="Grafana reaches every data source of its dashboards",
    failure_title="Grafana does not reach a data source",
    why="""A changed password or an expired certificate removes the data from every dashboard at
    once. Grafana itself stays up, and its own health page stays green.""",
    fix="""In Grafana: Connections, Data sources, NAME, Save & test. Or:
    curl -s -H "Authorization: Bearer $TOKEN" GRAFANA/api/datasources/uid/UID/health
The usual causes are its address, its password, and a certificate. The uids are `datasources` in
[grafana].""",
    severity="major",
    effect="observe",
    each="grafana",
    needs="datasources",
    judgements=("health",),
)
def test_grafana_datasources(
    grafana: Settings, grafana_client: Grafana, evidence: Evidence
) -> None:
    """By Grafana's own health check, or by the simplest query if it has none for that kind."""
    for uid in grafana.datasources:
        with evidence.attempt():
            health = grafana_client.health(uid)
            evidence.judge(
                "health",
                Measurement(f"data source {uid}", health.status, "text", health.source),
                equal_to("OK", grafana.deciding("datasources")),
                health.message or "Grafana gives no reason",
                says=f"The health of the data source {uid} is {health.status}",
            )
