"""Lists the fixtures that the suites use; each concern has its module in `fixtures/`."""

pytest_plugins = [
    "fixtures.alert_engine",
    "fixtures.alerting",
    "fixtures.backup",
    "fixtures.deployment",
    "fixtures.grafana",
    "fixtures.guardian",
    "fixtures.http",
    "fixtures.kubernetes",
    "fixtures.migrations",
    "fixtures.prometheus",
    "fixtures.scaling",
    "fixtures.shadow",
    "fixtures.synthetic",
]
