"""Negative controls: the objections to a dump, and sequences that are behind."""

from datetime import UTC, datetime, timedelta

import pytest

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import Manifest, SequenceState, lagging
from readiness.areas.backup.probes.restored_copy import (
    Control,
    DumpFacts,
    Kind,
    objections,
)
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
    assert (fits.rejected, other.rejected) == (True, False)


@pytest.mark.parametrize(
    ("before", "after", "lags"),
    [
        (SequenceState(5), SequenceState(5), False),
        (SequenceState(5), SequenceState(9), False),
        (SequenceState(5), SequenceState(4), True),
        (SequenceState(5), SequenceState(None), True),
        (SequenceState(None), SequenceState(None), False),
        (SequenceState(-5, rising=False), SequenceState(-4, rising=False), True),
        (SequenceState(-5, rising=False), SequenceState(-6, rising=False), False),
        (SequenceState(5, cycles=True), SequenceState(1, cycles=True), False),
    ],
)
def test_a_sequence_lags_when_it_would_give_a_number_again(
    before: SequenceState, after: SequenceState, lags: bool
) -> None:
    assert bool(lagging({"s": before}, {"s": after})) is lags


def test_a_missing_sequence_is_named() -> None:
    assert lagging({"shop.s": SequenceState(1)}, {}) == ["shop.s is missing"]
