"""What counters and snapshots tell together: how far back, what was used, how it grows."""

import pytest

from readiness.areas.database.history.snapshot import IndexUse, Server, Snapshot
from readiness.areas.database.history.trends import Reach, Use, growth, reaching, uses
from readiness.model.errors import NoData

DAY = 86400.0
HOUR = 3600.0
NOW = 1_000 * DAY


def shot(
    days_ago: float,
    *,
    since_days: float = 100,
    scans: dict[int, int] | None = None,
    size: int = 0,
    tables: dict[str, int] | None = None,
    last_scan: dict[int, float] | None = None,
) -> Snapshot:
    return Snapshot(
        at=NOW - days_ago * DAY,
        server=Server(
            system="1",
            database="d",
            version=150000,
            started=NOW - since_days * DAY,
            counters_since=NOW - since_days * DAY,
        ),
        size=size,
        tables=tables or {},
        indexes=tuple(
            IndexUse(
                oid=oid,
                name=f"public.i{oid}",
                scans=count,
                size=10,
                last_scan=(last_scan or {}).get(oid),
            )
            for oid, count in (scans or {}).items()
        ),
    )


def reach_of(snapshots: list[Snapshot], live: Snapshot, *, gap_max_s: float) -> Reach:
    return reaching([one.mark for one in snapshots], live.mark, gap_max_s=gap_max_s)


def uses_of(snapshots: list[Snapshot], live: Snapshot) -> list[Use]:
    return uses([one.scans for one in snapshots], live)


def reach_days(snapshots: list[Snapshot], live: Snapshot, gap_h: float = 2) -> float:
    return reach_of(snapshots, live, gap_max_s=gap_h * HOUR).days


def test_counters_alone_reach_back_to_their_reset() -> None:
    found = reach_of([], shot(0, since_days=12), gap_max_s=HOUR)

    assert found.days == 12
    assert found.first is None


def test_snapshots_of_one_life_reach_back_to_the_first_or_to_the_counters() -> None:
    assert reach_days([shot(40), shot(20)], shot(0)) == 100
    assert reach_days([shot(40, since_days=40), shot(20, since_days=40)], shot(0, since_days=40))


def test_a_crash_shortly_after_a_snapshot_is_a_small_gap() -> None:
    before = [shot(40, since_days=50), shot(1, since_days=50)]
    found = reach_of(before, shot(0, since_days=1 - 1 / 24), gap_max_s=2 * HOUR)

    assert found.days == 50
    assert found.unseen_s == pytest.approx(HOUR)
    assert found.broken_at is None


def test_a_crash_long_after_the_last_snapshot_breaks_the_reach() -> None:
    before = [shot(40, since_days=50), shot(10, since_days=50)]
    found = reach_of(before, shot(0, since_days=3), gap_max_s=2 * HOUR)

    assert found.days == 3
    assert found.first is None
    assert found.broken_at == NOW - 3 * DAY


def test_what_follows_the_break_still_belongs_to_it() -> None:
    chain = [shot(40, since_days=50), shot(2, since_days=3), shot(1, since_days=3)]
    found = reach_of(chain, shot(0, since_days=3), gap_max_s=2 * HOUR)

    assert found.days == 3
    assert found.first == 1


def test_a_counter_that_stands_still_is_no_use_and_one_that_moves_is() -> None:
    chain = [shot(40, scans={1: 5, 2: 5}), shot(10, scans={1: 5, 2: 6})]
    still, moved = uses_of(chain, shot(0, scans={1: 5, 2: 6}))

    assert still.idle_s(NOW) == 40 * DAY
    assert moved.last == NOW - 10 * DAY
    assert moved.idle_s(NOW) == 10 * DAY


def test_after_a_reset_any_count_is_a_use() -> None:
    chain = [shot(40, scans={1: 5, 2: 5})]
    used, not_used = uses_of(chain, shot(0, since_days=39, scans={1: 1, 2: 0}))

    assert used.idle_s(NOW) == 0
    assert not_used.idle_s(NOW) == 40 * DAY


def test_a_counter_that_runs_backwards_without_a_reset_counts_as_a_use() -> None:
    (found,) = uses_of([shot(40, scans={1: 5})], shot(0, scans={1: 3}))

    assert found.idle_s(NOW) == 0


def test_an_index_is_not_older_than_the_first_snapshot_that_has_it() -> None:
    chain = [shot(40, scans={1: 0}), shot(10, scans={1: 0, 2: 0})]
    old, young = uses_of(chain, shot(0, scans={1: 0, 2: 0}))

    assert old.known_from_the_start
    assert not young.known_from_the_start
    assert young.idle_s(NOW) == 10 * DAY


def test_an_index_made_anew_under_the_old_name_is_a_new_one() -> None:
    (found,) = uses_of([shot(40, scans={1: 7})], shot(0, scans={2: 0}))

    assert found.idle_s(NOW) == 0


def test_the_server_s_own_word_of_the_last_scan_counts() -> None:
    (found,) = uses_of(
        [shot(40, scans={1: 7})], shot(0, scans={1: 7}, last_scan={1: NOW - 3 * DAY})
    )

    assert found.idle_s(NOW) == 3 * DAY


def test_what_was_counted_before_any_snapshot_may_have_been_counted_just_now() -> None:
    (found,) = uses_of([], shot(0, since_days=90, scans={1: 1}))

    assert found.last == NOW
    assert found.idle_s(NOW) == 0


def test_growth_is_that_of_a_month_and_names_the_tables() -> None:
    first = shot(15, size=1000, tables={"a": 400, "b": 10})
    live = shot(0, size=1600, tables={"a": 900, "b": 5, "c": 100})
    found = growth([shot(60, size=1), first], live, least_days=7)

    assert found.month == 1200
    assert found.days == 15
    assert found.tables == (("a", 500), ("c", 100))


def test_growth_of_a_shrinking_database_is_negative() -> None:
    assert growth([shot(30, size=100)], shot(0, size=40), least_days=7).month == -60


@pytest.mark.parametrize("snapshots", [[], [shot(3, size=1)], [shot(60, size=1)]])
def test_growth_of_too_few_days_is_not_told(snapshots: list[Snapshot]) -> None:
    with pytest.raises(NoData, match="snapshot"):
        growth(snapshots, shot(0, size=2), least_days=7)
