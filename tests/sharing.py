"""How the tests share a machine: by file, the long ones first, and what watches the clock apart."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A prober that gets no processor for 50 ms has seen nothing. No two files of one line run at the
# same time: two lines, so that never more than two watch.
_LINES: Final = {
    "small targets": (
        "contract/test_deployment_drill.py",
        "contract/test_deployment_killed.py",
        "contract/test_deployment_automation.py",
        "false_greens/test_deploying.py",
    ),
    "fleets": (
        "end_to_end/test_new_user.py",
        "contract/test_fleet.py",
        "contract/test_scaling_live.py",
        "contract/test_deployment_stopping.py",
        "contract/test_prober.py",
    ),
}
# What takes longest; a long file that begins last would be waited for alone.
_LONG: Final = (
    "end_to_end/test_proof.py",
    "contract/test_reference_system.py",
    "contract/test_synthetic_alerts.py",
    "false_greens/test_harness.py",
    "contract/test_rules_checks.py",
    "contract/test_engine_checks.py",
    "contract/test_reference_levers.py",
    "false_greens/test_delivery.py",
    "contract/test_restore.py",
    "contract/test_release_checks.py",
    "contract/test_provider_docker.py",
    "contract/test_compose_real.py",
    "contract/test_scraping_checks.py",
    "contract/test_schema_checks.py",
    "contract/test_migrations_checks.py",
    "contract/test_database_replication.py",
    "contract/test_pgbackrest.py",
    "contract/test_barman.py",
    "plugin/test_scenarios.py",
)
_LINE_OF: Final = {file: line for line, files in _LINES.items() for file in files}
_ORDER: Final = [*_LINE_OF, *_LONG]
_FAST: Final = {"unit", "golden", "plugin", "false_greens"}
# Each program once: where one was unpacked, it has to run.
_PROGRAMS: Final = {
    f"contract/test_{name}.py"
    for name in ("alerting_amtool", "barman", "inboxes", "pgbackrest", "promtool", "unpacking")
}
_NOT_FAST: Final = {"false_greens/test_delivery.py", "false_greens/test_deploying.py"}


def known_files() -> Iterable[str]:
    """The files that are named here, below tests/."""
    return _ORDER


def _below_tests(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """A worker has a whole file, or a whole line of files."""

    def _split_scope(self, nodeid: str) -> str:
        file = _below_tests(nodeid)
        return _LINE_OF.get(file, file)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line(
        "markers", "fast: belongs to the part that takes two minutes and touches every program"
    )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share by file, whatever --dist says: what a file has started exists once."""
    config.option.loadscopereorder = False
    return _ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the fast part; in a worker, bring the long files to the front."""
    for item in items:
        if _is_fast(item):
            item.add_marker("fast")
    if hasattr(config, "workerinput"):
        rank = {file: place for place, file in enumerate(_ORDER)}
        items.sort(key=lambda item: rank.get(_below_tests(item.nodeid), _place(item.nodeid)))


def _is_fast(item: pytest.Item) -> bool:
    """Whether it starts no server but to try a program, and no gate that was run already."""
    file = _below_tests(item.nodeid)
    if file in _PROGRAMS:
        return True
    if PurePosixPath(file).parts[0] not in _FAST or file in _NOT_FAST:
        return False
    return not item.nodeid.endswith("[xdist]") and "[xdist-" not in item.nodeid


def _place(nodeid: str) -> int:
    """Behind the long files: first what starts servers, then the rest."""
    return len(_ORDER) + (not nodeid.startswith("tests/contract/"))
