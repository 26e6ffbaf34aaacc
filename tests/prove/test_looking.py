"""How the checks of a look are dealt out to forks that wait beside each other."""

from typing import Any

import pytest

from readiness.lib import bundle
from readiness.prove.looking import Looker
from readiness.prove.warm import Warm
from readiness.run import catalogue

FILES = catalogue.files()


@pytest.mark.parametrize("forks", [1, 3])
def test_every_check_is_dealt_once_and_a_file_stays_whole(forks: int) -> None:
    parts = Looker(Warm(), forks)._dealt(FILES)
    assert len(parts) == forks
    assert sorted(check for part in parts for check in part) == sorted(FILES)
    files = [{FILES[check] for check in part} for part in parts]
    assert sum(map(len, files)) == len(set(FILES.values()))


def test_a_file_that_took_long_has_a_fork_to_itself() -> None:
    looker = Looker(Warm(), 2)
    slow = "backup.restores"
    looker._took[slow] = 1000.0
    (alone,) = (part for part in looker._dealt(FILES) if slow in part)
    assert {FILES[check] for check in alone} == {FILES[slow]}


def test_what_is_over_soon_is_not_divided() -> None:
    looker = Looker(Warm(), 3)
    looker._took = dict.fromkeys(FILES, 0.01)
    assert len(looker._dealt(FILES)) == 1


def test_no_part_is_empty() -> None:
    assert Looker(Warm(), 3)._dealt(["signoff.manual-items"]) == [["signoff.manual-items"]]
    assert Looker(Warm(), 3)._dealt([]) == []


def test_every_shipped_check_lies_in_a_file() -> None:
    assert set(FILES) == bundle.known_ids()
    assert all(path.is_file() for path in FILES.values())


def test_files_that_write_come_after_those_that_only_observe_and_quiet_ones_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looker = Looker(Warm(), 3)
    turns: list[set[str]] = []

    def run(_: object, part: list[str]) -> tuple[dict[str, object], str]:
        turns.append(set(part))
        return {}, ""

    monkeypatch.setattr(looker, "_run", run)
    asked = {"alerting.alertmanager-cluster", "alerting.rule-delivery", "alerting.storm"}
    system: Any = None
    assert looker.look(system, asked) == ({}, "")
    assert turns == [
        {"alerting.alertmanager-cluster"},
        {"alerting.rule-delivery"},
        {"alerting.storm"},
    ]
