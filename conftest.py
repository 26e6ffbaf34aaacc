"""Lists the fixtures that the suites use; each concern has its module in `fixtures/`."""

pytest_plugins = [
    "fixtures.alerting",
    "fixtures.backup",
    "fixtures.guardian",
    "fixtures.http",
    "fixtures.shadow",
]
