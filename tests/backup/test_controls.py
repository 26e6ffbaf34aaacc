"""Negative controls: the objections to a dump, and sequences that are behind."""

from datetime import UTC, datetime, timedelta

import pytest

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import Manifest
from readiness.areas.backup.probes.controls import Control, DumpFacts, Kind, accepted, objections
from readiness.areas.backup.probes.database import Sequence, lagging
from readiness.lib.postgres.contents import TableContent

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
ROWS = {"public.t": TableContent(2, "7")}
BACKUP = Backup(name="shop", database="shop", path="/backups")


def manifest() -> Manifest:
    return Manifest(
        database="shop", server_version="15.1", dump="a.dump", started_at=NOW, finished_at=NOW,
        sha256="0" * 64, bytes=5000, roles=[], tables=ROWS,
    )  # fmt: skip


def facts(**changes: object) -> DumpFacts:
    plain = {"taken_at": NOW, "size": 5000, "readable": True, "sha256": "0" * 64, "contents": ROWS}
    return DumpFacts(**(plain | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"taken_at": NOW - timedelta(hours=27)}, {Kind.STALE}),
        ({"size": 10}, {Kind.SMALL}),
        ({"readable": False}, {Kind.UNREADABLE}),
        ({"sha256": "1" * 64}, {Kind.ALTERED}),
        ({"contents": {"public.t": TableContent(1, "3")}}, {Kind.CONTENTS}),
        ({"contents": None}, set()),
    ],
)
def test_each_damage_has_its_objection(changes: dict[str, object], expected: set[Kind]) -> None:
    assert objections(facts(**changes), manifest(), BACKUP, NOW) == expected


def test_a_control_counts_for_a_reason_that_fits() -> None:
    fits = Control("cut off", frozenset({Kind.UNREADABLE}), frozenset({Kind.UNREADABLE}))
    other = Control("old", frozenset({Kind.STALE}), frozenset({Kind.ALTERED}))
    assert accepted([fits, other]) == ["old"]


@pytest.mark.parametrize(
    ("before", "after", "lags"),
    [
        (Sequence(5), Sequence(5), False),
        (Sequence(5), Sequence(9), False),
        (Sequence(5), Sequence(4), True),
        (Sequence(5), Sequence(None), True),
        (Sequence(None), Sequence(None), False),
        (Sequence(-5, rising=False), Sequence(-4, rising=False), True),
        (Sequence(-5, rising=False), Sequence(-6, rising=False), False),
        (Sequence(5, cycles=True), Sequence(1, cycles=True), False),
    ],
)
def test_a_sequence_lags_when_it_would_give_a_number_again(
    before: Sequence, after: Sequence, lags: bool
) -> None:
    assert bool(lagging({"s": before}, {"s": after})) is lags


def test_a_missing_sequence_is_named() -> None:
    assert lagging({"shop.s": Sequence(1)}, {}) == ["shop.s is missing"]
