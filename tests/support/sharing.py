"""How the tests share a machine: by file, the long ones first, and what watches the clock apart."""

from collections.abc import Iterable
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A prober that gets no processor for 50 ms has seen nothing. No two files of one line run at the
# same time: two lines, so that never more than two watch.
_LINES: Final = {
    "small targets": (
        "deployment/test_drill.py",
        "deployment/test_drill_killed.py",
        "deployment/test_bad_release.py",
        "false_greens/test_deploying.py",
    ),
    "fleets": (
        "end_to_end/test_new_user.py",
        "scaling/test_fleet.py",
        "scaling/test_scaling_live.py",
        "lib/test_prober.py",
    ),
}
# What takes longest; a long file that begins last would be waited for alone.
_LONG: Final = (
    "end_to_end/test_proof.py",
    "reference/test_reference_system.py",
    "alerting/test_synthetic_alerts.py",
    "false_greens/test_harness.py",
    "alerting/test_rules_checks.py",
    "alerting/test_engine_checks.py",
    "reference/test_reference_levers.py",
    "false_greens/test_delivery.py",
    "backup/test_restore.py",
    "deployment/test_release_checks.py",
    "reference/test_provider_docker.py",
    "deployment/test_compose_real.py",
    "monitoring/test_scraping_checks.py",
    "schema/test_schema_checks.py",
    "schema/test_migrations_checks.py",
    "database/test_database_replication.py",
    "backup/test_pgbackrest.py",
    "backup/test_barman.py",
    "plugin/test_phases.py",
)
_LINE_OF: Final = {file: line for line, files in _LINES.items() for file in files}
_ORDER: Final = [*_LINE_OF, *_LONG]
# Each program once: where one was unpacked, it has to run.
_PROGRAMS: Final = {
    "alerting/test_alerting_amtool.py",
    "alerting/test_inboxes.py",
    "alerting/test_promtool.py",
    "backup/test_barman.py",
    "backup/test_pgbackrest.py",
    "servers/test_unpacking.py",
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
        items.sort(key=lambda item: rank.get(_below_tests(item.nodeid), _place(item)))


def _is_fast(item: pytest.Item) -> bool:
    """Whether it starts no server but to try a program, and no gate that was run already."""
    file = _below_tests(item.nodeid)
    if file in _PROGRAMS:
        return True
    if item.get_closest_marker("contract") or file.startswith("end_to_end/") or file in _NOT_FAST:
        return False
    return not item.nodeid.endswith("[xdist]") and "[xdist-" not in item.nodeid


def _place(item: pytest.Item) -> int:
    """Behind the long files: first what starts servers, then the rest."""
    return len(_ORDER) + (item.get_closest_marker("contract") is None)
