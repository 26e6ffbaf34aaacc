"""What all tests share: pytester, and gates in folders of their own."""

pytest_plugins = ["pytester", "tests.plugin.gates"]
