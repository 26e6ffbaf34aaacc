"""What is about a job that is not scraped goes; all else stays as it was."""

import json
from importlib import resources

import pytest
import yaml

from readiness.areas.monitoring.config import Dashboard
from readiness.areas.monitoring.reference.watched import (
    count_panels,
    keep_panels,
    keep_rules,
    objection,
)
from readiness.servers.files import Document

FILES = resources.files("readiness.areas.monitoring.reference")
RULES: Document = yaml.safe_load(FILES.joinpath("alerts.yml").read_text())
DASHBOARD: Document = json.loads(FILES.joinpath("dashboard.json").read_bytes())
JOBS = {"orders", "prometheus", "postgres", "node", "blackbox", "canary"}


def expressions(document: Document) -> dict[str, str]:
    return {r["alert"]: " ".join(r["expr"].split()) for g in document["groups"] for r in g["rules"]}


def test_where_everything_is_scraped_nothing_goes() -> None:
    assert expressions(keep_rules(RULES, JOBS)) == expressions(RULES)
    assert keep_panels(DASHBOARD, JOBS) == DASHBOARD
    assert count_panels(DASHBOARD) >= Dashboard.model_fields["min_panels"].default


@pytest.mark.parametrize(
    ("job", "gone"),
    [
        ("postgres", {"DatabaseConnectionFailure", "SlowQueries"}),
        ("node", {"MemoryHigh", "MemoryCritical"}),
        ("blackbox", {"ServiceDown", "HealthCheckFails"}),
        ("canary", {"ReadinessCanary"}),
    ],
)
def test_the_rules_about_a_job_go_with_it(job: str, gone: set[str]) -> None:
    kept = expressions(keep_rules(RULES, JOBS - {job}))
    assert expressions(RULES).keys() - kept.keys() == gone
    assert not [text for text in kept.values() if f'job="{job}"' in text]
    assert kept["JobGone"].count("absent(") == (5 if job == "canary" else 4)


def test_a_group_without_rules_is_none() -> None:
    names = [group["name"] for group in keep_rules(RULES, {"orders", "prometheus"})["groups"]]
    assert names == ["service", "meta"]


def test_the_panels_about_a_job_go_with_it() -> None:
    assert count_panels(keep_panels(DASHBOARD, JOBS - {"node"})) == count_panels(DASHBOARD) - 2
    left = keep_panels(DASHBOARD, {"orders", "prometheus"})
    assert count_panels(left) == count_panels(DASHBOARD) - 5
    assert "$job" in json.dumps(left)


GOOD = """\
pg_up 1
pg_scrape_collector_success{collector="locks"} 1
pg_scrape_collector_success{collector="bgwriter"} 1
pg_exporter_last_scrape_error 0
"""


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (GOOD, ""),
        (GOOD.replace("pg_up 1", "pg_up 0"), "pg_up is 0"),
        (GOOD.replace('bgwriter"} 1', 'bgwriter"} 0'),
         'pg_scrape_collector_success{collector="bgwriter"} is 0'),
        (GOOD.replace("error 0", "error 1"), "pg_exporter_last_scrape_error is 1"),
        ("", "it reports nothing of its own state"),
        ("pg_up 1\n", "it reports nothing of its own state"),
    ],
)  # fmt: skip
def test_an_exporter_is_believed_about_itself(metrics: str, said: str) -> None:
    assert objection(metrics) == said
