"""Lists the fixtures of the suites; each topic has a module in `fixtures/`.

A module is imported only when a collected check uses it, which saves time.
"""

import inspect
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest

# module -> its fixtures
FIXTURES = {
    "alerting": ("running", "policy", "replayed", "trips", "paged"),
    "backup": ("restore_of",),
    "configuration": ("declared_of", "running_of"),
    "deployment": ("drill_safety", "drill_of"),
    "guardian": ("guardian",),
    "manifests": ("kubernetes_of",),
    "migrations": ("scratch_beside",),
    "monitoring": ("watcher", "opened", "grafana_client"),
    "platforms": ("sent_of", "vercel_of", "render_of"),
    "scaling": ("scaled_of", "sides_of"),
    "security": ("visit_of",),
}


class OnDemand:
    """Registers a module of fixtures when one of its fixtures is first used."""

    def __init__(self, manager: pytest.PytestPluginManager) -> None:
        self._manager = manager
        self._places = {name: module for module, names in FIXTURES.items() for name in names}

    def pytest_pycollect_makeitem(self, name: str, obj: object) -> None:
        """Provide the fixtures of a test function."""
        if name.startswith("test") and inspect.isfunction(obj):
            self.provide(inspect.signature(obj).parameters)

    def provide(self, names: Iterable[str]) -> None:
        """Register the modules of these fixtures and of those that they use."""
        for name in names:
            module = self._places.get(name)
            if module is None or self._manager.has_plugin(f"readiness.fixtures.{module}"):
                continue
            plugin = import_module(f"readiness.fixtures.{module}")
            self._manager.register(plugin, f"readiness.fixtures.{module}")
            for fixture in FIXTURES[module]:
                self.provide(inspect.signature(getattr(plugin, fixture)).parameters)


def _stand_last() -> None:
    """Move our folder to the end of `sys.path`: pytest put it before the user's packages."""
    folder = str(Path(__file__).resolve().parent)
    if folder in sys.path:
        sys.path.remove(folder)
        sys.path.append(folder)


def pytest_configure(config: pytest.Config) -> None:
    """Provide fixtures on demand; all of them if tests outside the suites are run."""
    _stand_last()
    on_demand = OnDemand(config.pluginmanager)
    config.pluginmanager.register(on_demand, "readiness-fixtures-on-demand")
    suites = Path(__file__).resolve().parent / "suites"
    folder = config.invocation_params.dir
    places = [(folder / arg.partition("::")[0]).resolve() for arg in config.args]
    if not all(place.is_relative_to(suites) for place in places):
        # Fixtures of others may use ours, which signatures of tests do not show.
        on_demand.provide(name for names in FIXTURES.values() for name in names)
