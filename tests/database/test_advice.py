"""Vacuum, indexes and sequences: obeying what a message says mends what it names, and only that."""

import contextlib

import psycopg
import pytest

from readiness.areas.database.probes import integrity
from readiness.areas.database.probes.integrity import Collation
from readiness.model.secrets import Dsn
from tests.support.database_health import database, judged, missed, name_of, obey
from tests.support.servers import Run

pytestmark = pytest.mark.contract

_DOCS = "create table docs (id int primary key, body text); alter table docs set ({})"
_ROWS = """create table t as select n, n as m from generate_series(1, 3000) n; analyze t;
alter table t set ({})"""
_EVENTS = """create table events (id bigint not null, at int not null) partition by range (at);
create table events_1 partition of events for values from (0) to (4000);
create table events_2 partition of events for values from (4000) to (9000);
insert into events select n, n from generate_series(1, 8000) n"""
_SLOTS = """create table slots (id int primary key, doc int not null, pos int not null,
constraint slots_pos unique (doc, pos) deferrable initially deferred);
create unique index slots_upsert on slots (doc, pos)"""
_SEQUENCE = """create sequence s; create table t (id {} primary key default nextval({}));
select setval('s', 2147483000)"""
_PARENT = """create table parent (id bigserial primary key);
create table middle (id bigint primary key references parent);
create table child (middle_id {} references middle);
select setval('parent_id_seq', {})"""
# As Hibernate does it: the application asks the sequence, the table knows nothing of it.
_ASKED = """create table t (id {} primary key);
create sequence {} increment 50; select setval('{}', 2147483000)"""
_BIG = """create table big (id int primary key, u int, t text);
insert into big select n, n, repeat('x', 3000) from generate_series(1, 100) n;
create unique index big_u on big (u)"""
# As a `reindex concurrently` leaves it that was interrupted.
_LEFT = """create unique index {0}_ccnew on big (u);
update pg_index set indisvalid = false where indexrelid = '{0}_ccnew'::regclass"""
_FKS = """create table up (id int primary key);
create table down (up_id int references up, at int) partition by range (at);
create table down_1 partition of down for values from (0) to (90000);
insert into up select n from generate_series(1, 20000) n;
insert into down select n, n from generate_series(1, 20000) n; analyze down_1"""


@pytest.fixture
def reader(role: Dsn, run: Run) -> Dsn:
    """A monitoring role that may read everything in the schema public, also what comes later."""
    run(f"grant pg_monitor to {name_of(role)}")
    for kind in ("tables", "sequences"):
        run(f"alter default privileges grant select on {kind} to {name_of(role)}")
    return role


def prepare(run: Run, setup: str) -> None:
    for statement in setup.split(";"):
        run(statement)


@pytest.mark.parametrize(
    ("check", "setup", "expected"),
    [
        ("vacuum", _DOCS.format("autovacuum_enabled = off"), "1 of 1 tables with autovacuum off"),
        ("vacuum", _DOCS.format("toast.autovacuum_enabled = off"), "the TOAST table of"),
        (
            "vacuum",
            _DOCS.format("autovacuum_vacuum_threshold = 2000000000"),
            "vacuum begins at 2,000,000,000 rows",
        ),
        (
            "vacuum",
            _DOCS.format("autovacuum_analyze_threshold = 2000000000"),
            "analyze begins at 2,000,000,000 rows",
        ),
        ("vacuum", _ROWS.format("autovacuum_vacuum_scale_factor = 50"), "vacuum begins at"),
        (
            "vacuum",
            _DOCS.format("autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_cost_delay = 100"),
            "vacuum may write 0.5 pages a second",
        ),
        (
            "vacuum",
            _DOCS.format("vacuum_index_cleanup = off"),
            "vacuum removes no dead row from its indexes",
        ),
        ("vacuum", f"{_EVENTS}; vacuum analyze events_1, events_2", "no-statistics: 1 of 3"),
        ("indexes", f"{_EVENTS}; create index on events (at); create index own on events_1 (at)",
         "public.own"),
        ("indexes", f"{_SLOTS}; create unique index twice on slots (doc, pos)",
         "drop index concurrently public.twice;"),
        ("indexes", f"{_SLOTS}; create index plain on slots (doc, pos)",
         "drop index concurrently public.plain;"),
        ("indexes", _FKS, "foreign-keys: 1 of 1"),
        ("indexes",
         f"{_FKS}; alter table down add constraint again foreign key (up_id) references up",
         "the index for again serves it, too"),
        ("invalid-indexes", f"{_BIG}; {_LEFT.format('big_u')}",
         "drop index concurrently public.big_u_ccnew;"),
        ("invalid-indexes", f"{_EVENTS}; create index events_at on only events (at)",
         "CREATE INDEX events_at ON public.events"),
        ("sequence-exhaustion", _SEQUENCE.format("int", "'s'"), "public.s at 2147483000"),
        ("sequence-exhaustion", _SEQUENCE.format("int", "'public.s'::text"), "of what t.id"),
        ("sequence-exhaustion", _ASKED.format("int", "t_seq", "t_seq"),
         "public.t_seq at 2147483000 (100.0% of what t.id integer (by its name) takes)"),
        ("sequence-exhaustion",
         _ASKED.format("int", "hibernate_sequence", "hibernate_sequence"), "of what t.id integer"),
        ("sequence-exhaustion", _PARENT.format("int", 2147483000),
         "references: Used share of the fullest column"),
    ],
)  # fmt: skip
def test_obeying_mends(reader: Dsn, run: Run, check: str, setup: str, expected: str) -> None:
    prepare(run, setup)
    subject = database(reader)
    said = missed(judged(check, subject))
    assert expected in said
    if "of what t.id" in said:  # rewriting a table is no statement of a message
        said = "alter table t alter column id type bigint;"
    obey(said, run)
    assert missed(judged(check, subject)) == ""


@pytest.mark.parametrize(
    ("check", "setup"),
    [
        ("vacuum", _DOCS.format("autovacuum_vacuum_threshold = 5000000")),
        ("vacuum", _DOCS.format("autovacuum_vacuum_insert_threshold = -1")),
        ("vacuum", _DOCS.format("vacuum_index_cleanup = auto, vacuum_truncate = off")),
        ("vacuum", _ROWS.format("autovacuum_vacuum_scale_factor = 0")),
        ("vacuum", f"{_EVENTS}; vacuum analyze events"),
        ("indexes", _SLOTS),
        ("indexes", f"{_EVENTS}; create index on events (at); create index on events_1 (id)"),
        ("indexes", f"{_FKS}; create index on down_1 (up_id)"),
        ("invalid-indexes", f"{_EVENTS}; create index on events (at)"),
        ("sequence-exhaustion", _SEQUENCE.format("bigint", "'s'")),
        ("sequence-exhaustion", _ASKED.format("bigint", "t_id_seq", "t_id_seq")),
        ("sequence-exhaustion", _ASKED.format("int", "tickets", "tickets")),
        ("sequence-exhaustion", _PARENT.format("bigint", 2147483000)),
        ("sequence-exhaustion", _PARENT.format("int", 2000)),
    ],
)
def test_what_is_well_passes(reader: Dsn, run: Run, check: str, setup: str) -> None:
    prepare(run, setup)
    assert missed(judged(check, database(reader))) == ""


def test_leftovers_of_a_real_reindex_are_dropped(reader: Dsn, run: Run, dsn: Dsn) -> None:
    """It waits for a transaction that is older, is cancelled, and leaves an index of TOAST, too."""
    prepare(run, f"{_BIG}; create table other (n int)")
    with psycopg.connect(dsn.reveal()) as holder:
        holder.execute("select count(*) from big")
        with (
            psycopg.connect(dsn.reveal(), autocommit=True) as worker,
            contextlib.suppress(psycopg.errors.QueryCanceled),
        ):
            worker.execute("set statement_timeout = '500ms'")
            worker.execute("reindex table concurrently big")
    subject = database(reader)
    said = missed(judged("invalid-indexes", subject))
    assert "drop index concurrently public.big_u_cc" in said
    assert "of the TOAST table of public.big: drop index pg_toast.pg_toast_" in said
    obey(said, run)
    assert missed(judged("invalid-indexes", subject)) == ""
    assert missed(judged("indexes", subject)) == ""


def test_collations_are_those_of_each_server(
    reader: Dsn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby holds the indexes of the primary, and sorts by a library of its own."""
    run("create table names (name text primary key)")
    standbys = {"replica": {"name": "replica", "dsn": reader}}
    subject = database(reader, standbys=standbys)
    versions = iter(["153.120", "153.120", "153.14"])
    monkeypatch.setattr(
        integrity, "_collations", lambda _: [Collation("de", "153.120", next(versions), 1)]
    )
    found = judged("corruption", subject).failed["collations"]
    assert len(found) == 1
    assert "de (recorded 153.120, now 153.14 on the standby replica, 1 indexes)" in found[0]
