"""What counters and snapshots show together, and the file of the snapshots."""

import sqlite3
import time
from pathlib import Path

import pytest

from readiness.areas.database.snapshots import (
    Bloated,
    BloatSnapshot,
    IndexUse,
    Server,
    Snapshot,
    StatementUse,
    Store,
)
from readiness.areas.database.trends import Reach, Use, growth, reaching, uses
from readiness.model.errors import CouldNotMeasure, NoData

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


SERVER = Server(system="7", database="d", version=150000, started=1.0, counters_since=1.0)


def usage(at: float, *, server: Server = SERVER, since: float = 1.0) -> Snapshot:
    return Snapshot(
        at=at,
        server=server.model_copy(update={"counters_since": since}),
        size=5,
        tables={"public.t": 3},
        indexes=(IndexUse(oid=1, name="public.i", scans=2, size=3, last_scan=None),),
        statements={"1/2/1": StatementUse(calls=3, total_ms=4.5)},
    )


def bloated(at: float) -> BloatSnapshot:
    one = Bloated(name="public.t", kind="table", size=100, wasted=25, exact=True)
    return BloatSnapshot(at=at, server=SERVER, objects=(one,), looked_at=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "with space & ü?.history")


def test_what_is_stored_is_read_again(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)
    store.append(bloated(NOW + 1), keep_days=400)

    assert store.scans(SERVER) == [usage(NOW).scans]
    assert store.marks(SERVER) == [usage(NOW).mark]
    assert store.newest_usage(SERVER) == usage(NOW)
    newest = store.newest_bloat(SERVER)
    assert newest == bloated(NOW + 1)
    assert newest.objects[0].share == 0.25


def test_the_snapshot_of_a_time_is_the_last_before_it_else_the_first(store: Store) -> None:
    store.append(usage(NOW), usage(NOW + HOUR), usage(NOW + 2 * HOUR), keep_days=400)

    for asked, expected in ((HOUR, HOUR), (1.5 * HOUR, HOUR), (-DAY, 0), (DAY, 2 * HOUR)):
        found = store.usage_at(SERVER, NOW + asked)
        assert found is not None
        assert found.at == NOW + expected


def test_what_is_read_since_a_time_begins_with_the_last_before_it(store: Store) -> None:
    store.append(usage(NOW), usage(NOW + HOUR), usage(NOW + 2 * HOUR), keep_days=400)

    since = NOW + 1.5 * HOUR
    assert [mark.at for mark in store.marks(SERVER, since=since)] == [NOW + HOUR, NOW + 2 * HOUR]
    found = [scans.mark for scans in store.scans(SERVER, since=since)]
    assert found == store.marks(SERVER, since=since)


def test_old_snapshots_go_and_older_days_keep_one_each(store: Store) -> None:
    start = NOW - 10 * DAY
    hours = [start + n * HOUR for n in range(24 * 10 + 1)]
    store.append(usage(NOW - 500 * DAY), *map(usage, hours), keep_days=400)

    kept = [mark.at for mark in store.marks(SERVER)]
    assert kept[0] == start
    recent = [at for at in kept if at >= NOW - 3 * DAY]
    assert len(recent) == 3 * 24 + 1
    assert len(kept) - len(recent) == 7


def test_the_last_snapshot_before_a_reset_is_kept(store: Store) -> None:
    """Else a gap of an hour becomes one of a day once the day is thinned."""
    start = NOW - 10 * DAY
    crash = start + 5.5 * HOUR
    hours = [start + n * HOUR for n in range(24 * 10 + 1)]
    store.append(*(usage(at, since=crash if at > crash else 1.0) for at in hours), keep_days=400)

    assert start + 5 * HOUR in [mark.at for mark in store.marks(SERVER)]


def test_no_file_is_said_with_the_line_for_cron(store: Store) -> None:
    with pytest.raises(NoData, match="no history yet") as problem:
        store.scans(SERVER)
    assert "readiness snapshot" in problem.value.remedy


def test_a_file_without_a_snapshot_of_that_kind_has_none(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)

    assert store.newest_bloat(SERVER) is None


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"x"])
def test_a_broken_file_is_one_error_for_readers_and_writers(store: Store, content: bytes) -> None:
    store.path.write_bytes(content)
    for use in (lambda: store.scans(SERVER), lambda: store.append(usage(NOW), keep_days=1)):
        with pytest.raises(CouldNotMeasure, match="not a history of readiness") as problem:
            use()
        assert problem.value.where == str(store.path)
        assert "move it away" in problem.value.remedy
    assert store.path.read_bytes() == content


def test_another_program_s_file_is_left_alone(store: Store) -> None:
    with sqlite3.connect(store.path) as other:
        other.execute("create table snapshots (x)")
    other.close()
    with pytest.raises(CouldNotMeasure, match="not a history of readiness"):
        store.append(usage(NOW), keep_days=400)
    with pytest.raises(CouldNotMeasure, match="not a history of readiness"):
        store.scans(SERVER)


def test_a_later_format_says_which(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)
    with sqlite3.connect(store.path) as file:
        file.execute("pragma user_version = 2")
    file.close()
    with pytest.raises(CouldNotMeasure, match="has format 2, this program reads format 1"):
        store.scans(SERVER)


@pytest.mark.parametrize("body", [b"", b"x", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_damaged_snapshot_is_one_error(store: Store, body: bytes) -> None:
    store.append(usage(NOW), keep_days=400)
    with sqlite3.connect(store.path) as file:
        file.execute("update snapshots set body = ?", (body,))
    file.close()
    with pytest.raises(CouldNotMeasure, match="snapshot in it") as problem:
        store.scans(SERVER)
    assert problem.value.where == str(store.path)


@pytest.mark.parametrize(
    "other",
    [SERVER.model_copy(update={"system": "8"}), SERVER.model_copy(update={"database": "e"})],
)
def test_the_history_of_another_database_is_refused(store: Store, other: Server) -> None:
    store.append(usage(NOW), keep_days=400)
    with pytest.raises(NoData, match="history of another database: d of the cluster 7"):
        store.scans(other)
    with pytest.raises(NoData, match="history of another database"):
        store.append(usage(NOW + 1, server=other), keep_days=400)
    assert len(store.scans(SERVER)) == 1


def test_a_server_that_does_not_tell_its_identifier_is_known_by_its_name(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)

    assert store.scans(SERVER.model_copy(update={"system": ""}))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CouldNotMeasure, match="cannot be used"):
        Store(tmp_path / "absent" / "file").append(usage(NOW), keep_days=400)


def test_a_killed_writer_leaves_what_was_there(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("begin immediate")
    other.execute("delete from snapshots")
    other.close()  # as the end of its process does

    assert len(store.scans(SERVER)) == 1


def test_ten_thousand_indexes_take_little_room(store: Store) -> None:
    many = tuple(
        IndexUse(oid=n, name=f"public.table_{n // 5}_column_{n % 5}_idx", scans=n * 7919, size=8192)
        for n in range(10_000)
    )
    began = time.time()
    store.append(usage(began).model_copy(update={"indexes": many}), keep_days=400)

    assert store.path.stat().st_size < 400_000
