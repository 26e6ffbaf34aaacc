"""Finds pytest plugins of the user's environment, which must not influence a run.

`readiness run` loads none. Plain pytest records those that it loaded; one that can change an
outcome, by repeating or reordering checks, makes the run INCOMPLETE.
"""

from collections.abc import Iterator
from typing import Final

import pytest

_EXPECTED: Final = frozenset(
    {"pytest", "readiness", "pytest-xdist", "pytest-benchmark", "pytest-html", "pytest-metadata"}
)
_OURS: Final = frozenset({"_pytest", "readiness", "xdist", "pytest_benchmark"})
# Modules of plugins that repeat or reorder tests.
_MEDDLERS: Final = frozenset(
    {
        *("pytest_rerunfailures", "flaky", "pytest_retry", "pytest_repeat"),
        *("pytest_randomly", "random_order", "pytest_random_order", "pytest_reverse"),
    }
)


def active(config: pytest.Config) -> tuple[str, ...]:
    """The installed plugins that a run does not need, as `name version`, sorted."""
    known = {
        (dist.project_name, dist.version)
        for _, dist in config.pluginmanager.list_plugin_distinfo()
        if dist.project_name not in _EXPECTED
    }
    return tuple(f"{name} {version}" for name, version in sorted(known))


def meddlers(config: pytest.Config) -> list[str]:
    """The modules of plugins that can change an outcome, sorted."""
    modules = {_module(plugin) for _, plugin in config.pluginmanager.list_name_plugin() if plugin}
    return sorted((modules & _MEDDLERS) | set(_runners(config)))


def _runners(config: pytest.Config) -> Iterator[str]:
    """Plugins that run tests in place of pytest; hook wrappers only observe."""
    for hook in config.hook.pytest_runtest_protocol.get_hookimpls():
        module = _module(hook.plugin)
        if not (hook.wrapper or hook.hookwrapper or module in _OURS):
            yield module


def _module(plugin: object) -> str:
    """The top-level module of a plugin."""
    name = getattr(plugin, "__file__", None) and getattr(plugin, "__name__", None)
    return str(name or type(plugin).__module__).partition(".")[0]
