"""What is promised of backups, and the probes and guards under it, against real things."""

import gzip
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from readiness.areas.backup.config import Backup
from readiness.areas.backup.config_policy import Application, Copy, Immutable, Layer
from readiness.areas.backup.probes import guard, sweep
from readiness.areas.backup.probes.application import failed, try_application
from readiness.areas.backup.probes.contents import Format, content_of, known_as
from readiness.areas.backup.probes.copies import newest_copied, sizes
from readiness.areas.backup.probes.filtered import sight_of
from readiness.areas.backup.probes.guard import check_space, refuse_source
from readiness.areas.backup.probes.immutable import try_to_delete
from readiness.areas.backup.probes.secrecy import pieces_of, readable
from readiness.areas.backup.probes.sound import amcheck
from readiness.areas.database.config import Database
from readiness.lib.files import BackupFile
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, SafetyRefusal
from readiness.model.evidence import CheckFailed, Evidence, NotApplicable, Outcome
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.client import run_program
from suites.backup import test_files as files

pytestmark = pytest.mark.contract

Run = Callable[[str], None]


def backup(folder: Path, **changes: object) -> Backup:
    return Backup.model_validate(
        {"name": "shop", "database": "shop", "path": str(folder), **changes}
    )


def dump(dsn: Dsn, path: Path, *options: str) -> Path:
    arguments = [f"--file={path}", *options]
    assert run_program(find_binaries(), "pg_dump", arguments, timeout_s=60, dsn=dsn).clean
    return path


def layer(holds: str, pattern: str) -> dict[str, Layer]:
    return {"it": Layer.model_validate({"name": "it", "holds": holds, "pattern": pattern})}


def judge_layers(found: Backup) -> Outcome:
    evidence = Evidence()
    files.test_layers(found, evidence)
    return evidence.conclude()


def test_the_source_is_never_the_scratch_server(dsn: Dsn) -> None:
    with pytest.raises(SafetyRefusal, match="host and port"):
        refuse_source(dsn, dsn)
    other_name = Dsn(dsn.reveal().replace("127.0.0.1", "localhost"))
    with pytest.raises(SafetyRefusal):
        refuse_source(other_name, dsn)


def test_one_of_several_hosts_is_enough_to_be_the_source(dsn: Dsn) -> None:
    """A scratch address with a host more than the source's is refused before anybody is asked."""
    host, port = dsn.places[0]
    several = Dsn(make_conninfo(dsn.reveal(), host=f"192.0.2.1,{host}", port=f"5432,{port}"))
    with pytest.raises(SafetyRefusal, match="host and port"):
        refuse_source(several, dsn)


def test_another_way_to_the_same_instance_is_seen(
    dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As through a pooler, whose port is another one."""
    addresses = iter([{("pooler", "6432")}, {("database", "5432")}])
    monkeypatch.setattr(guard, "_addresses", lambda _: next(addresses))
    with pytest.raises(SafetyRefusal, match="by another address"):
        refuse_source(dsn, dsn)


def test_a_source_that_is_away_is_not_the_scratch_server(dsn: Dsn) -> None:
    refuse_source(dsn, Dsn("postgresql://me@127.0.0.1:1/shop"))


def test_what_does_not_fit_is_not_restored(tmp_path: Path) -> None:
    check_space(tmp_path, 1000, "a dump")
    with pytest.raises(CouldNotMeasure, match=r"needs .* GB, and .* are free"):
        check_space(tmp_path, 1e18, "a dump")


def test_a_schema_of_ours_goes_and_no_other(dsn: Dsn, run: Run) -> None:
    with Guardian() as guardian, connect(dsn, timeout_s=5) as connection:
        with sweep.own_schema(connection, dsn, "readiness_point_1", guardian):
            fetch(connection, "create table readiness_point_1.t ()")
        left = fetch(connection, "select 1 from pg_namespace where nspname ~ '^readiness_'")
    assert left == []
    with pytest.raises(Exception, match="not a schema of ours"):
        sweep.drop(dsn, "public")


@pytest.mark.parametrize(
    ("statements", "bypasses", "tables"),
    [
        ("", False, ()),
        ("alter role {role} bypassrls", True, ("public.t",)),
        ("alter table t enable row level security", False, ("public.t",)),
        ("alter table t owner to {role}; alter table t enable row level security", False, ()),
    ],
)
def test_what_a_role_sees(
    dsn: Dsn, role: Dsn, run: Run, statements: str, bypasses: bool, tables: tuple[str, ...]
) -> None:
    name = role.reveal().partition("//")[2].partition(":")[0]
    run("create table t ()")
    if "bypassrls" in statements:
        run("alter table t enable row level security")
    run(statements.format(role=name) or "select")
    found = sight_of(name, Database(name="shop", dsn=dsn))
    assert (found.bypasses, found.tables) == (bypasses, tables)


def test_a_role_that_is_not_there(dsn: Dsn) -> None:
    with pytest.raises(NoData, match="no role 'ghost'"):
        sight_of("ghost", Database(name="shop", dsn=dsn))


def commands(store: Path, delete: str) -> Immutable:
    path = f"{store}/{{object}}"
    return Immutable(
        put=["touch", path], exists=["test", "-e", path], let_in=["test", "-r", path],
        delete=["sh", "-c", delete, path], remove=["rm", "-f", path],
    )  # fmt: skip


def test_what_is_there_counts_and_not_what_the_store_answers(tmp_path: Path) -> None:
    with Guardian() as guardian:
        refused = try_to_delete(commands(tmp_path, "echo AccessDenied >&2; exit 1"), guardian)
        silent = try_to_delete(commands(tmp_path, "exit 0"), guardian)
        deleted = try_to_delete(commands(tmp_path, 'rm "$0"; exit 1'), guardian)
    assert (refused.survived, refused.said) == (True, "AccessDenied")
    assert (silent.survived, deleted.survived) == (True, False)
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_never_was_there_proves_nothing(tmp_path: Path) -> None:
    plan = commands(tmp_path, "exit 1").model_copy(update={"put": ["true"]})
    with Guardian() as guardian, pytest.raises(CouldNotMeasure, match="not there after"):
        try_to_delete(plan, guardian)


def test_credentials_that_nobody_lets_in_prove_nothing(tmp_path: Path) -> None:
    plan = commands(tmp_path, "exit 1").model_copy(update={"let_in": ["false"]})
    with Guardian() as guardian, pytest.raises(CouldNotMeasure, match="be let in"):
        try_to_delete(plan, guardian)
    assert list(tmp_path.iterdir()) == []


def listed(text: str) -> dict[str, int]:
    copy = Copy(name="far", list_command=["printf", text])
    return sizes(backup(Path("/nowhere")), copy)


def test_a_listed_copy() -> None:
    assert listed("12\\ta.dump\\n7\\tdeep/b.dump\\n") == {"a.dump": 12, "b.dump": 7}
    with pytest.raises(CouldNotMeasure, match="prints something else"):
        listed("a.dump 12\\n")


def test_a_copy_counts_with_its_whole_size() -> None:
    day = [datetime(2026, 1, n, tzinfo=UTC) for n in (1, 2)]
    old, new = (BackupFile(Path(f"{n}.dump"), at, 10, "") for n, at in enumerate(day))
    assert newest_copied([new, old], {"0.dump": 10, "1.dump": 9}) is old
    assert newest_copied([new, old], {}) is None


@pytest.mark.clients
def test_layers_are_what_they_say(shop: Dsn, folder: Path) -> None:
    dump(shop, folder / "all.dump", "--format=custom")
    dump(shop, folder / "schema.sql", "--schema-only")
    dump(shop, folder / "rows.dump", "--format=custom", "--data-only")
    with tarfile.open(folder / "files.tar.gz", "w:gz") as archive:
        archive.add(folder / "schema.sql", arcname="schema.sql")
    for holds, pattern in (
        ("full", "all.dump"), ("schema", "schema.sql"), ("data", "rows.dump"), ("volume", "*.gz"),
    ):  # fmt: skip
        assert judge_layers(backup(folder, layers=layer(holds, pattern))) is Outcome.PASS
    for holds, pattern in (
        ("full", "schema.sql"), ("data", "schema.sql"), ("schema", "rows.dump"),
        ("globals", "schema.sql"), ("volume", "all.dump"), ("full", "nothing.*"),
    ):  # fmt: skip
        with pytest.raises(CheckFailed):
            judge_layers(backup(folder, layers=layer(holds, pattern)))


@pytest.mark.clients
def test_a_plain_dump_that_is_cut_off_is_seen(shop: Dsn, folder: Path) -> None:
    path = dump(shop, folder / "all.sql")
    plain = backup(folder, pattern="*.sql")
    evidence = Evidence()
    files.test_dump_complete(plain, evidence)
    assert evidence.conclude() is Outcome.PASS
    path.write_bytes(path.read_bytes()[:-400])
    evidence = Evidence()
    files.test_dump_complete(plain, evidence)
    with pytest.raises(CheckFailed, match="cut off"):
        evidence.conclude()


@pytest.mark.clients
def test_a_plain_dump_that_gzip_has_packed_is_read_too(shop: Dsn, folder: Path) -> None:
    whole = dump(shop, folder / "all.sql").read_bytes()
    (folder / "all.sql").unlink()
    packed = backup(folder, pattern="*.sql.gz")
    for content, says in (
        (gzip.compress(whole), ""),
        (gzip.compress(whole[:-400]), "cut off"),
        (gzip.compress(whole)[:-100], "cannot be read to its end"),
    ):
        (folder / "all.sql.gz").write_bytes(content)
        evidence = Evidence()
        files.test_dump_complete(packed, evidence)
        assert says in "".join(evidence.failures)
        assert bool(evidence.failures) == bool(says)


def test_what_cannot_be_looked_into_is_no_pass(folder: Path) -> None:
    (folder / "all.dump").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(range(256)))
    with pytest.raises(NoData, match="cannot be looked into"):
        files.test_dump_complete(backup(folder), Evidence())


@pytest.mark.clients
def test_where_nothing_is_plain_it_does_not_apply(shop: Dsn, folder: Path) -> None:
    dump(shop, folder / "all.dump", "--format=custom")
    with pytest.raises(NotApplicable):
        files.test_dump_complete(backup(folder), Evidence())


@pytest.mark.clients
def test_the_bytes_tell_who_can_read_them(shop: Dsn, folder: Path) -> None:
    dump(shop, folder / "all.dump", "--format=custom")
    clear = readable(pieces_of(backup(folder)))
    assert [str(found) for found in clear] == ["all.dump shows a pg_dump archive"]
    (folder / "all.dump").write_bytes(b"Salted__" + bytes(range(256)))
    assert readable(pieces_of(backup(folder))) == []
    page = b"\1\2\3" + bytes(600)
    (folder / "all.dump").write_bytes(page)
    assert [found.shows for found in readable(pieces_of(backup(folder)))] == ["bytes in the clear"]
    assert known_as(b"age-encryption.org/v1\n-> X25519 abc\n") == ""
    assert known_as(b"-- PostgreSQL database dump\n") == "plain text"


def test_bytes_that_are_nothing_are_no_layer(folder: Path) -> None:
    path = folder / "noise"
    path.write_bytes(bytes(range(256)) * 10)
    found = content_of(path, find_binaries(), timeout_s=5)
    assert (found.format, bool(found.problem)) == (Format.UNKNOWN, True)


@pytest.mark.clients
def test_amcheck_finds_nothing_on_a_sound_database_and_leaves_nothing(shop: Dsn) -> None:
    found = amcheck(shop, find_binaries(), timeout_s=60)
    assert found.corrupt == ()
    assert found.relations > 50
    with connect(shop, timeout_s=5) as connection:
        assert fetch(connection, "select 1 from pg_extension where extname = 'amcheck'") == []


@pytest.mark.clients
def test_amcheck_sees_an_index_in_another_order(shop: Dsn, run: Run) -> None:
    """No checksum sees it: every page is as it was written."""
    run(
        """
        create function backwards(int, int) returns int language sql immutable as
            'select btint4cmp($1, $2)';
        create operator class backwards for type int using btree as
            operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
            function 1 backwards(int, int);
        create index odd on shop.orders (customer_id backwards);
        create or replace function backwards(int, int) returns int language sql immutable as
            'select btint4cmp($2, $1)';
        """
    )
    found = amcheck(shop, find_binaries(), timeout_s=60)
    assert "invariant violated" in found.corrupt[0]


@pytest.mark.clients
def test_amcheck_without_the_right_is_no_corruption(shop: Dsn, role: Dsn, run: Run) -> None:
    run("create extension amcheck")
    name = role.reveal().partition("//")[2].partition("@")[0]
    database = shop.address.rpartition("/")[2]
    poor = Dsn(f"postgresql://{name}@{shop.address.partition('/')[0]}/{database}")
    with pytest.raises(NotPermitted, match="permission denied"):
        amcheck(poor, find_binaries(), timeout_s=60)


def test_the_application_writes_and_leaves_nothing(shop: Dsn, run: Run) -> None:
    run("create role shopper; grant usage on schema shop to shopper")
    run("grant select, insert on shop.orders to shopper; grant usage on all sequences in schema"
        " shop to shopper")  # fmt: skip
    try:
        application = Application(
            role="shopper",
            reads=["select 1 from shop.orders limit 1", "select 1 from shop.customers limit 1"],
            writes=["insert into shop.orders (customer_id, amount) values (1, 1)"],
        )
        tried = try_application(shop, application)
        assert [one.problem for one in failed(tried)] == ["permission denied for table customers"]
        with connect(shop, timeout_s=5) as connection:
            assert fetch(connection, "select count(*)::int from shop.orders") == [(500,)]
    finally:
        run("drop owned by shopper; drop role shopper")
