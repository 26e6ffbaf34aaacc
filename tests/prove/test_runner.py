"""How checks are divided among parallel forks."""

from typing import Any

import pytest

from readiness.lib import bundle
from readiness.prove.runner import CheckRunner
from readiness.prove.warm import Warm
from readiness.run import catalogue

FILES = catalogue.files()


@pytest.mark.parametrize("forks", [1, 3])
def test_every_check_is_assigned_once_and_files_stay_whole(forks: int) -> None:
    parts = CheckRunner(Warm(), forks)._divided(FILES)
    assert len(parts) == forks
    assert sorted(check for part in parts for check in part) == sorted(FILES)
    files = [{FILES[check] for check in part} for part in parts]
    assert sum(map(len, files)) == len(set(FILES.values()))


def test_a_slow_file_gets_a_fork_of_its_own() -> None:
    runner = CheckRunner(Warm(), 2)
    slow = "backup.restores"
    runner._took[slow] = 1000.0
    (alone,) = (part for part in runner._divided(FILES) if slow in part)
    assert {FILES[check] for check in alone} == {FILES[slow]}


def test_short_work_is_not_divided() -> None:
    runner = CheckRunner(Warm(), 3)
    runner._took = dict.fromkeys(FILES, 0.01)
    assert len(runner._divided(FILES)) == 1


def test_no_part_is_empty() -> None:
    assert CheckRunner(Warm(), 3)._divided(["signoff.manual-items"]) == [["signoff.manual-items"]]
    assert CheckRunner(Warm(), 3)._divided([]) == []


def test_every_shipped_check_lies_in_a_file() -> None:
    assert FILES.keys() == bundle.known_ids() != set()
    assert all(path.is_file() for path in FILES.values())


def test_checks_run_in_the_order_observe_write_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = CheckRunner(Warm(), 3)
    turns: list[set[str]] = []

    def run(_: object, part: list[str]) -> tuple[dict[str, object], str]:
        turns.append(set(part))
        return {}, ""

    monkeypatch.setattr(runner, "_run", run)
    asked = {"alerting.alertmanager-cluster", "alerting.rule-delivery", "alerting.storm"}
    system: Any = None
    assert runner.run(system, asked) == ({}, "")
    assert turns == [
        {"alerting.alertmanager-cluster"},
        {"alerting.rule-delivery"},
        {"alerting.storm"},
    ]
