"""Whether the dashboards show something, before somebody needs them at night."""

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.config import Grafana as Settings
from readiness.areas.monitoring.probes import panels
from readiness.areas.monitoring.probes.grafana import Grafana
from readiness.fixtures.grafana import Open


@check(
    "monitoring.dashboard-panels",
    title="Every panel of the dashboard shows data",
    why="""A panel is looked at when something is wrong. If the metric behind it was renamed half a
    year ago, it shows `No data` just then, and whoever is on call cannot tell a dead panel from a
    dead system.""",
    fix="""Open the dashboard, and see which panels are empty: their queries name a metric, a label
or a variable that does not exist any more. Ask for it in Prometheus:
    count by (__name__) ({__name__=~"PART_OF_THE_NAME.*"})
A panel that is empty while all is well: name its title in `may_be_empty` of
[grafana.dashboards.NAME]. A variable without a value: give it one in `variables`.""",
    severity="major",
    effect="observe",
    each="dashboard",
)
def test_dashboard_panels(dashboard: Dashboard, opened: Open, evidence: Evidence) -> None:
    """Each query of each panel, within the range that the dashboard is mostly opened with."""
    seen = opened(dashboard)
    evidence.judge(
        "panels-query",
        Measurement(
            f"panels with a query of {dashboard.name}", len(seen.panels), "count", seen.source
        ),
        at_least(dashboard.min_panels),
        "what nobody draws, nobody sees",
    )
    for panel in seen.panels:
        may_be_empty = panel.title in dashboard.may_be_empty
        least = panels.least_points(
            panel, seen.asker, dashboard.window_s, 0.0 if may_be_empty else seen.patience_s
        )
        points = Measurement(f"points of {panel.title!r}", least.points, "count", seen.source)
        if may_be_empty and not least.error:
            evidence.record(points)
            continue
        evidence.judge(
            "points", points, at_least(1), least.error or f"query {least.ref} gives nothing"
        )


@check(
    "monitoring.grafana-datasources",
    title="Grafana reaches every data source that its dashboards ask",
    why="""A password that was changed, or a certificate that ended, takes the data away from every
    dashboard at once. Grafana itself is up all the while, and its own health page is green.""",
    fix="""In Grafana: Connections, Data sources, NAME, Save & test. Or:
    curl -s -H "Authorization: Bearer $TOKEN" GRAFANA/api/datasources/uid/UID/health
Mostly its address, its password, or a certificate. The uids are `datasources` in [grafana].""",
    severity="major",
    effect="observe",
    each="grafana",
)
def test_grafana_datasources(
    grafana: Settings, grafana_client: Grafana, evidence: Evidence
) -> None:
    """By Grafana's own check; where it has none for that kind, by the simplest query."""
    for uid in grafana.datasources:
        health = grafana_client.health(uid)
        evidence.judge(
            "data-source",
            Measurement(f"data source {uid}", health.status, "text", health.source),
            equal_to("OK"),
            health.message or "no reason given",
        )
