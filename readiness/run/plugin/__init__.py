"""The pytest plugin: hooks that join a run as controller, worker or quiet phase."""

import argparse
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

# The default storage of pytest-benchmark, in the current folder.
_STORAGE: Final = "file://./.benchmarks"
# Not in `pytest --help`.
_INTERNAL: Final = argparse.SUPPRESS
WORKERS: Final = 4
"""The most, for `-n auto`. A check mostly waits, for a scrape or a restore, and needs no core."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add our hooks."""
    from readiness.run.plugin import newhooks

    pluginmanager.add_hookspecs(newhooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--readiness` and its companions."""
    group = parser.getgroup("readiness", "production readiness gate")
    group.addoption(
        "--readiness",
        action="store_true",
        help="judge the target with the collected checks (implied by running the shipped suites)",
    )
    group.addoption("--readiness-config", metavar="FILE", help="the readiness.toml to use")
    group.addoption(
        "--readiness-reports", metavar="DIR", default="reports", help="folder for the reports"
    )
    for name, what in (
        ("suite", "judge this suite only"),
        ("select", "judge this check only: id or id[subject]"),
        ("ignore", "skip this check: id or id[subject]"),
        ("allow", "allow an effect on the target: load or disrupt"),
    ):
        group.addoption(
            f"--readiness-{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"{what} (repeatable)",
        )
    group.addoption(
        "--readiness-confirm",
        metavar="FINGERPRINT",
        help="fingerprint printed by `readiness plan`",
    )
    group.addoption("--readiness-baseline", metavar="FILE", help="record to compare with")
    group.addoption(
        "--readiness-report-only", action="store_true", help="exit 0 whatever the verdict"
    )
    group.addoption("--readiness-debug", action="store_true", help="also write pytest.html")
    group.addoption(
        "--readiness-evidence",
        choices=["full", "findings"],
        default="full",
        help="findings: leave the figures of what passed out of the page",
    )
    # Internal: between the processes of one run.
    group.addoption("--readiness-folder", help=_INTERNAL)
    group.addoption("--readiness-quiet-phase", help=_INTERNAL)
    group.addoption("--readiness-record-only", action="store_true", help=_INTERNAL)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Join the run, if checks are to be judged."""
    if not _is_a_run(config):
        return
    from readiness.model.errors import ReadinessError
    from readiness.run.plugin.state import refuse

    try:
        _join(config)
    except ReadinessError as error:
        raise refuse(config, error) from error


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Distribute whole files to workers by default.

    Otherwise each worker would repeat a restore or drill that the checks of a file share.
    """
    option = config.option
    if getattr(option, "numprocesses", None) and _is_a_run(config):
        option.dist = "loadfile" if option.dist == "no" else option.dist
        option.loadscopereorder = False  # the plan decides the order of files
    return (yield)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """The number of workers for `-n auto`, by the files that wait; None leaves it to xdist."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or not _is_a_run(config):
        return None
    from readiness.model.errors import ReadinessError
    from readiness.run.plugin.foreseen import workers
    from readiness.run.plugin.state import KEY, begin

    try:
        config.stash[KEY] = begin(config)
    except ReadinessError:
        return 0  # `pytest_configure` reports the reason, where pytest can end in order
    return workers(config, config.stash[KEY], WORKERS)


def _is_a_run(config: pytest.Config) -> bool:
    """Whether checks are to be judged: by option, or because shipped suites are run."""
    worker: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker is not None:
        return "readiness_folder" in worker
    if config.option.readiness:
        return True
    from readiness.lib import bundle

    places = [
        (config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args
    ]
    return any(place.is_relative_to(bundle.suites()) for place in places)


def _join(config: pytest.Config) -> None:
    from readiness.run.plugin import fixtures
    from readiness.run.plugin.running import Running
    from readiness.run.plugin.state import KEY, State, begin

    role: Any
    if hasattr(config, "workerinput"):
        from readiness.run.plugin.handover import Last, Worker

        state = State.join(Path(config.workerinput["readiness_folder"]))
        role = Worker(state, config.workerinput["workerid"])
        config.pluginmanager.register(Last(role), "readiness-handover")
    elif config.option.readiness_quiet_phase:
        from readiness.run.plugin.quiet import QuietPhase

        state = State.join(Path(config.option.readiness_folder))
        role = QuietPhase(config, state)
    else:
        from readiness.run.plugin.appendix import Appendix
        from readiness.run.plugin.controller import Controller

        state = config.stash.get(KEY, None) or begin(config)
        role = Controller(config, state)
        config.option.continue_on_collection_errors = True
        config.pluginmanager.register(Appendix(config), "readiness-appendix")
    if getattr(config.option, "benchmark_storage", "") == _STORAGE:
        # pytest-benchmark creates the folder even if nothing is stored.
        config.option.benchmark_storage = f"file://{state.folder.resolve() / 'benchmarks'}"
    config.stash[KEY] = state
    config.pluginmanager.register(fixtures, "readiness-fixtures")
    config.pluginmanager.register(Running(state), "readiness-running")
    config.pluginmanager.register(role, "readiness-role")
