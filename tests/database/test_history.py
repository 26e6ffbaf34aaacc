"""What counters and snapshots show together, and the file of the snapshots."""

import sqlite3
import time
from contextlib import closing
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
from readiness.areas.database.trends import growth, reaching, uses
from readiness.model.errors import CouldNotMeasure, NoData

DAY = 86400.0
HOUR = 3600.0
NOW = 1_000 * DAY
SERVER = Server(system="7", database="d", version=150000, started=1.0, counters_since=1.0)


def shot(
    days_ago: float,
    *,
    since_days: float = 100,
    scans: dict[int, int] | None = None,
    size: int = 0,
    tables: dict[str, int] | None = None,
    last_scan: dict[int, float] | None = None,
) -> Snapshot:
    began, last = NOW - since_days * DAY, last_scan or {}
    return Snapshot(
        at=NOW - days_ago * DAY,
        server=SERVER.model_copy(update={"started": began, "counters_since": began}),
        size=size,
        tables=tables or {},
        indexes=tuple(
            IndexUse(oid=oid, name=f"public.i{oid}", scans=count, size=10, last_scan=last.get(oid))
            for oid, count in (scans or {}).items()
        ),
    )


@pytest.mark.parametrize(
    ("snapshots", "since_days", "expected"),
    [
        # (days ago, counters began days ago) -> (days, first snapshot, unseen hours, broken)
        ([], 12, (12, None, 0, False)),
        ([(40, 100), (20, 100)], 100, (100, 0, 0, False)),
        ([(40, 40), (20, 40)], 40, (40, 0, 0, False)),
        # A crash an hour after a snapshot, and one a week after it.
        ([(40, 50), (1, 50)], 1 - 1 / 24, (50, 0, 1, False)),
        ([(40, 50), (10, 50)], 3, (3, None, 0, True)),
        ([(40, 50), (2, 3), (1, 3)], 3, (3, 1, 0, True)),
    ],
)
def test_reach_ends_at_a_gap_of_more_than_two_hours(
    snapshots: list[tuple[float, float]], since_days: float, expected: tuple[object, ...]
) -> None:
    marks = [shot(ago, since_days=began).mark for ago, began in snapshots]
    found = reaching(marks, shot(0, since_days=since_days).mark, gap_max_s=2 * HOUR)
    unseen_h = round(found.unseen_s / HOUR, 6)
    assert (found.days, found.first, unseen_h, found.broken_at is not None) == expected
    assert found.broken_at in (None, NOW - since_days * DAY)


# case -> (snapshots, now, days that each index has been idle)
USES: dict[str, tuple[list[Snapshot], Snapshot, list[float]]] = {
    "a counter that stands still is no use, and one that moves is": (
        [shot(40, scans={1: 5, 2: 5}), shot(10, scans={1: 5, 2: 6})],
        shot(0, scans={1: 5, 2: 6}),
        [40, 10],
    ),
    "after a reset any count is a use": (
        [shot(40, scans={1: 5, 2: 5})],
        shot(0, since_days=39, scans={1: 1, 2: 0}),
        [0, 40],
    ),
    "a counter that runs backwards without a reset is a use": (
        [shot(40, scans={1: 5})],
        shot(0, scans={1: 3}),
        [0],
    ),
    "an index is as old as the first snapshot that has it": (
        [shot(40, scans={1: 0}), shot(10, scans={1: 0, 2: 0})],
        shot(0, scans={1: 0, 2: 0}),
        [40, 10],
    ),
    "a rebuilt index is a new one": ([shot(40, scans={1: 7})], shot(0, scans={2: 0}), [0]),
    "the time of the last scan counts where the server records it": (
        [shot(40, scans={1: 7})],
        shot(0, scans={1: 7}, last_scan={1: NOW - 3 * DAY}),
        [3],
    ),
    "without snapshots any count may be of now": ([], shot(0, since_days=90, scans={1: 1}), [0]),
}


@pytest.mark.parametrize("case", USES)
def test_idle_time_of_an_index(case: str) -> None:
    snapshots, live, idle_days = USES[case]
    found = uses([one.scans for one in snapshots], live)
    assert [use.idle_s(NOW) / DAY for use in found] == idle_days


def test_index_of_the_first_snapshot_is_known_from_the_start() -> None:
    chain = [shot(40, scans={1: 0}), shot(10, scans={1: 0, 2: 0})]
    found = uses([one.scans for one in chain], shot(0, scans={1: 0, 2: 0}))
    assert [use.known_from_the_start for use in found] == [True, False]


def test_growth_is_scaled_to_a_month_and_names_the_tables() -> None:
    first = shot(15, size=1000, tables={"a": 400, "b": 10})
    live = shot(0, size=1600, tables={"a": 900, "b": 5, "c": 100})
    found = growth([shot(60, size=1), first], live)

    assert (found.month, found.days) == (1200, 15)
    assert found.tables == (("a", 500), ("c", 100))


def test_growth_of_a_shrinking_database_is_negative() -> None:
    assert growth([shot(30, size=100)], shot(0, size=40)).month == -60


@pytest.mark.parametrize("snapshots", [[], [shot(60, size=1)]])
def test_growth_without_a_snapshot_of_the_month_is_no_data(snapshots: list[Snapshot]) -> None:
    with pytest.raises(NoData, match="snapshot"):
        growth(snapshots, shot(0, size=2))


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


def test_stored_snapshots_are_read_again(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)
    store.append(bloated(NOW + 1), keep_days=400)

    assert store.scans(SERVER) == [usage(NOW).scans]
    assert store.marks(SERVER) == [usage(NOW).mark]
    assert store.newest_usage(SERVER) == usage(NOW)
    newest = store.newest_bloat(SERVER)
    assert newest == bloated(NOW + 1)
    assert newest.objects[0].share == 0.25


def test_snapshot_of_a_time_is_the_last_before_it_else_the_first(store: Store) -> None:
    store.append(usage(NOW), usage(NOW + HOUR), usage(NOW + 2 * HOUR), keep_days=400)

    for asked, expected in ((HOUR, HOUR), (1.5 * HOUR, HOUR), (-DAY, 0), (DAY, 2 * HOUR)):
        found = store.usage_at(SERVER, NOW + asked)
        assert found is not None
        assert found.at == NOW + expected


def test_snapshots_since_a_time_begin_with_the_last_before_it(store: Store) -> None:
    store.append(usage(NOW), usage(NOW + HOUR), usage(NOW + 2 * HOUR), keep_days=400)

    since = NOW + 1.5 * HOUR
    assert [mark.at for mark in store.marks(SERVER, since=since)] == [NOW + HOUR, NOW + 2 * HOUR]
    found = [scans.mark for scans in store.scans(SERVER, since=since)]
    assert found == store.marks(SERVER, since=since)


def test_old_snapshots_are_removed_and_older_days_keep_one(store: Store) -> None:
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


def test_missing_file_is_no_data_with_the_line_for_cron(store: Store) -> None:
    with pytest.raises(NoData, match="no history yet") as problem:
        store.scans(SERVER)
    assert "readiness snapshot" in problem.value.remedy


def test_file_without_a_bloat_snapshot_has_none(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)

    assert store.newest_bloat(SERVER) is None


def change(store: Store, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(store.path)) as file, file:
        file.execute(statement, values)


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"x", None]
)
def test_file_of_another_program_is_an_error_and_left_alone(
    store: Store, content: bytes | None
) -> None:
    if content:
        store.path.write_bytes(content)
    else:
        change(store, "create table snapshots (x)")
        content = store.path.read_bytes()
    for use in (lambda: store.scans(SERVER), lambda: store.append(usage(NOW), keep_days=1)):
        with pytest.raises(CouldNotMeasure, match="not a history of readiness") as problem:
            use()
        assert problem.value.where == str(store.path)
        assert "move it away" in problem.value.remedy
    assert store.path.read_bytes() == content


def test_later_format_is_an_error_that_names_it(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)
    change(store, "pragma user_version = 2")
    with pytest.raises(CouldNotMeasure, match="has format 2, this program reads format 1"):
        store.scans(SERVER)


@pytest.mark.parametrize("body", [b"", b"x", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_damaged_snapshot_is_an_error(store: Store, body: bytes) -> None:
    store.append(usage(NOW), keep_days=400)
    change(store, "update snapshots set body = ?", body)
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


def test_server_without_an_identifier_is_known_by_its_name(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)

    assert store.scans(SERVER.model_copy(update={"system": ""}))


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CouldNotMeasure, match="cannot be used"):
        Store(tmp_path / "absent" / "file").append(usage(NOW), keep_days=400)


def test_killed_writer_changes_nothing(store: Store) -> None:
    store.append(usage(NOW), keep_days=400)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("begin immediate")
    other.execute("delete from snapshots")
    other.close()  # as the end of its process does

    assert len(store.scans(SERVER)) == 1


def test_snapshot_of_ten_thousand_indexes_is_small(store: Store) -> None:
    many = tuple(
        IndexUse(oid=n, name=f"public.table_{n // 5}_column_{n % 5}_idx", scans=n * 7919, size=8192)
        for n in range(10_000)
    )
    began = time.time()
    store.append(usage(began).model_copy(update={"indexes": many}), keep_days=400)

    assert store.path.stat().st_size < 400_000
