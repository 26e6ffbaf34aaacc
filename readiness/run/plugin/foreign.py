"""Plugins of the user's environment: `pytest suites` loads them, and they must not decide.

`readiness run` loads none of them. A run that was started with plain pytest says which there were;
one that can change an outcome, by running a check again or in another order, keeps the run from
being whole.
"""

from collections.abc import Iterator
from typing import Final

import pytest

_EXPECTED: Final = frozenset(
    {"pytest", "readiness", "pytest-xdist", "pytest-benchmark", "pytest-html", "pytest-metadata"}
)
_OURS: Final = frozenset({"_pytest", "readiness", "xdist", "pytest_benchmark"})
# Modules of plugins that run a test again, or put the tests into another order.
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
    """Who runs tests in pytest's place: not those that only watch how it does."""
    for hook in config.hook.pytest_runtest_protocol.get_hookimpls():
        module = _module(hook.plugin)
        if not (hook.wrapper or hook.hookwrapper or module in _OURS):
            yield module


def _module(plugin: object) -> str:
    """The top-level module that a plugin, a module or an object, comes from."""
    name = getattr(plugin, "__file__", None) and getattr(plugin, "__name__", None)
    return str(name or type(plugin).__module__).partition(".")[0]
