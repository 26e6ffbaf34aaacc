"""Lists the fixtures that the suites use; each concern has its module in `fixtures/`."""

pytest_plugins = ["fixtures.guardian", "fixtures.http"]
