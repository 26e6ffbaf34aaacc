"""Writes a backup with a manifest of what is in it, taken in the very snapshot of the dump.

python -m readiness.areas.backup.manifest --dsn-env DATABASE_URL --folder /backups
"""

import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import click
import psycopg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from readiness.lib.files import FORMAT, LARGEST_MANIFEST, manifest_path, sha256_of
from readiness.lib.postgres import Connection, connect, fetch, fetch_value
from readiness.lib.postgres.batches import in_snapshot, last_values, need_room_for_backup
from readiness.lib.postgres.contents import TableContent, table_contents
from readiness.lib.postgres.fingerprint import Fingerprint, fingerprint
from readiness.lib.postgres.session import settings_for_a_copy
from readiness.lib.postgres.unrecorded import untracked
from readiness.model.errors import CouldNotMeasure, NotPermitted, ReadinessError, UsageError
from readiness.model.measurement import now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, Ended, find_binaries, run_program

_LONGEST_S: Final = 6 * 3600.0
COMMAND: Final = "python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER"
"""The command that writes a backup with a manifest, for a message."""

# A sequence that was never used has no value; neither has one that may not be read.
_SEQUENCES: Final = """
    select format('%s.%s', n.nspname, c.relname), c.oid::bigint, p.seqincrement > 0, p.seqcycle,
        has_sequence_privilege(c.oid, 'select,usage')
    from pg_sequence p join pg_class c on c.oid = p.seqrelid
        join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence <> 't' and not exists (select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    order by 1"""
_SYSTEM: Final = "select system_identifier from pg_control_system()"
# One after the other: the server never holds more than one of them.
_LARGE_OBJECTS: Final = """
    select count(*), coalesce(sum((('x' || substr(md5(oid || md5(lo_get(oid))), 1, 16))
        ::bit(64)::bigint)::numeric), 0)::text
    from pg_largeobject_metadata"""
# None on a primary. A standby that has replayed all that the primary has written is as new as the
# primary's last message, however long ago the last commit was; that takes pg_read_all_stats.
_REPLAYED: Final = """
    select case when pg_is_in_recovery() then greatest(
        coalesce(pg_last_xact_replay_timestamp(), (pg_control_checkpoint()).checkpoint_time),
        (select last_msg_receipt_time from pg_stat_wal_receiver
            where status = 'streaming' and latest_end_lsn <= pg_last_wal_replay_lsn())) end"""
# Who owns anything in this database or is granted anything there. The superuser that made the
# server is not listed in pg_shdepend, and owns everything else.
_ROLES: Final = """
    select r.rolname from pg_roles r where r.oid = 10 or exists (
        select from pg_shdepend d where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid
        and d.dbid = (select oid from pg_database where datname = current_database()))
    order by 1"""


@dataclass(frozen=True, slots=True)
class SequenceState:
    """The last value that a sequence issued, None before the first.

    One that cycles begins again at its end, so that its values cannot be compared.
    """

    value: int | None
    rising: bool = True
    cycles: bool = False

    def lags(self, other: "SequenceState") -> bool:
        """Whether it would issue values again that the other one has issued."""
        if self.cycles or other.value is None:
            return False
        if self.value is None:
            return True
        return self.value < other.value if self.rising else self.value > other.value


@dataclass(frozen=True, slots=True)
class LargeObjects:
    """The large objects of a database: how many, and a checksum over numbers and contents."""

    number: int
    checksum: str


class Manifest(BaseModel):
    """What a backup holds, as the database was in the snapshot of the dump.

    Fields that are None were not written by older releases.

    Attributes:
        dump: the name of the dump's file, which lies beside the manifest.
        started_at: when the snapshot was taken: the backup holds nothing younger.
        finished_at: when the dump was complete.
        sha256: of the dump's file.
        bytes: size of the dump's file.
        roles: owners and grantees of the objects; they must exist where the dump is restored.
        tables: rows and checksum of every table, by `schema.table`.
        objects: every object of the schema with its definition.
        sequences: the state of each before the dump began.
        database_bytes: size of the database with its indexes.
        settings: of the server, such as the number of locks, which a copy needs as well.
        system: the identifier of the server, which its standbys and physical copies share.
        replayed_until: of a standby, the last commit that it had replayed: the backup holds nothing
            younger; None of a primary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["readiness-backup/1"] = FORMAT
    database: str
    server_version: str
    dump: str
    started_at: AwareDatetime
    finished_at: AwareDatetime
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    roles: list[str]
    tables: dict[str, TableContent]
    objects: Fingerprint | None = None
    sequences: dict[str, SequenceState] | None = None
    large_objects: LargeObjects | None = None
    database_bytes: Annotated[int, Field(ge=0)] | None = None
    settings: dict[str, str] | None = None
    system: str | None = None
    replayed_until: AwareDatetime | None = None

    @property
    def data_at(self) -> datetime:
        """The backup holds nothing that was committed later."""
        return min(self.started_at, self.replayed_until or self.started_at)


def write_backup(
    dsn: str, folder: Path, *, binaries: Binaries | None = None, name: str | None = None
) -> Path:
    """Dump a database with `pg_dump -Fc`, and write the manifest beside it.

    Both are of one snapshot, so that the manifest describes the dump exactly, whatever is written
    meanwhile. Neither file has its name before it is complete, and the manifest comes first.

    Args:
        dsn: the database, as a role that may read all of it.
        folder: where the files go; it is created if it does not exist.
        binaries: where `pg_dump` is; by default those that `find_binaries` finds.
        name: of the files, without an ending. Default: the database, the time, and a few random
            characters, so that two writers never use the same one.

    Returns:
        The path of the dump.

    Raises:
        UsageError: a backup of that name exists already.
        CouldNotMeasure: pg_dump failed, the role may not read a table, or the server has too few
            locks left.
    """
    binaries = binaries or find_binaries()
    where = Dsn(dsn)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        connect(where, timeout_s=_LONGEST_S, total_s=_LONGEST_S) as connection,
        connect(where, timeout_s=_LONGEST_S, total_s=_LONGEST_S) as keeper,
    ):
        if warning := need_room_for_backup(connection):
            click.echo(f"Warning: {warning}", err=True)
        dump = folder / f"{name or _name(connection)}.dump"
        partial = _reserve(dump)
        try:
            # Before the snapshot: what is replayed later is not in it.
            ((replayed,),) = fetch(connection, _REPLAYED)
            with _snapshot(keeper) as snapshot:
                manifest = _dump(connection, snapshot, where, binaries, partial, dump)
            manifest = manifest.model_copy(update={"replayed_until": replayed})
            _write_whole(manifest_path(dump), manifest.model_dump_json(indent=1))
            partial.rename(dump)
        except BaseException:  # an interrupt too must leave no partial backup
            partial.unlink(missing_ok=True)
            raise
    return dump


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        CouldNotMeasure: there is none, it cannot be read, or it is not of this format.
    """
    command = COMMAND.replace("FOLDER", shlex.quote(str(path.parent)))
    remedy = f"write the backup together with a manifest: {command}"
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_MANIFEST + 1)
    except FileNotFoundError:
        raise CouldNotMeasure(
            "the backup has no manifest", where=str(path), remedy=remedy
        ) from None
    except OSError as error:
        raise CouldNotMeasure(
            f"the manifest cannot be read: {error.strerror}", where=str(path)
        ) from None
    if len(text) > LARGEST_MANIFEST:
        raise CouldNotMeasure("the manifest is larger than 64 MiB", where=str(path))
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise CouldNotMeasure(
            f"not a manifest of format {FORMAT}: {f'{key}: ' if key else ''}{first['msg']}",
            where=str(path),
            remedy=remedy,
        ) from None


def sequences(connection: Connection) -> dict[str, SequenceState]:
    """The state of every sequence, by `schema.sequence`.

    Snapshots do not hold sequences: what is read before a dump is made is never ahead of the dump.
    """
    found: dict[str, SequenceState] = {}
    values = last_values(connection)
    for name, oid, rising, cycles, may in fetch(connection, _SEQUENCES):
        if not may:
            raise NotPermitted(
                f"permission denied for the sequence {name}",
                where="pg_sequence_last_value",
                remedy=f"grant select on sequence {name} to the role that makes the backups",
            )
        found[name] = SequenceState(values.get(oid), rising, cycles)
    return found


def lagging(expected: dict[str, SequenceState], found: dict[str, SequenceState]) -> list[str]:
    """Sequences that are missing, or that would issue values again, in words."""
    behind = []
    for name, before in sorted(expected.items()):
        after = found.get(name)
        if after is None:
            behind.append(f"{name} is missing")
        elif after.lags(before):
            behind.append(f"{name} is at {after.value or 'its start'}, was at {before.value}")
    return behind


def identity(connection: Connection) -> tuple[str, str | None]:
    """The database's own name, and the identifier of its server; None where it is not permitted.

    A pooler may serve a database under another name than its own.
    """
    name = str(fetch_value(connection, "select current_database()"))
    try:
        return name, str(fetch_value(connection, _SYSTEM))
    except NotPermitted:
        return name, None


def large_objects(connection: Connection) -> LargeObjects:
    """The large objects, in the caller's snapshot."""
    number, checksum = fetch(connection, _LARGE_OBJECTS)[0]
    return LargeObjects(number, checksum)


def _name(connection: Connection) -> str:
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    # A database may be named anything; a file, and a pattern that finds it, may not.
    database = "".join(c if c.isalnum() else "_" for c in connection.info.dbname)
    return f"{database}-{time}-{secrets.token_hex(3)}"


def _reserve(dump: Path) -> Path:
    partial = dump.with_name(f"{dump.name}.partial")
    taken = UsageError(
        "a backup of that name exists already, or is being written",
        where=str(dump),
        remedy=f"choose another name; if no backup is running: rm '{partial}'",
    )
    if dump.exists():
        raise taken
    try:
        partial.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise taken from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(dump)) from error
    return partial


@contextmanager
def _snapshot(keeper: Connection) -> Iterator[str]:
    """A snapshot that others may read in as long as this lasts; its session locks no table."""
    keeper.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    keeper.read_only = True
    with keeper.transaction():
        # While others work we are idle in the transaction that keeps their snapshot.
        fetch(keeper, "set local idle_in_transaction_session_timeout = 0")
        yield str(fetch_value(keeper, "select pg_export_snapshot()"))


def _dump(
    connection: Connection,
    snapshot: str,
    where: Dsn,
    binaries: Binaries,
    partial: Path,
    dump: Path,
) -> Manifest:
    started = now()
    values = sequences(connection)  # before the dump: these keep to no snapshot
    _pg_dump(binaries, where, snapshot, partial, untracked(connection))
    finished = now()
    with in_snapshot(connection, snapshot):
        roles = [role for (role,) in fetch(connection, _ROLES)]
        objects = large_objects(connection)
    name, system = identity(connection)
    return Manifest(
        database=name,
        server_version=fetch_value(connection, "show server_version"),
        dump=dump.name,
        started_at=started,
        finished_at=finished,
        sha256=sha256_of(partial),
        bytes=partial.stat().st_size,
        roles=roles,
        tables=table_contents(connection, snapshot),
        objects=fingerprint(connection, snapshot),
        sequences=values,
        large_objects=objects,
        database_bytes=fetch_value(connection, "select pg_database_size(current_database())"),
        settings=settings_for_a_copy(connection),
        system=system,
    )


def _pg_dump(
    binaries: Binaries, where: Dsn, snapshot: str, file: Path, settings: Mapping[str, str]
) -> None:
    arguments = ["--format=custom", f"--snapshot={snapshot}", f"--file={file}"]
    before = os.environ.get("PGOPTIONS", "")
    options = [before, *(f"-c {name}={value}" for name, value in settings.items())]

    def run(options: str) -> Ended:
        return run_program(
            binaries, "pg_dump", arguments, timeout_s=_LONGEST_S, dsn=where,
            environ={"PGOPTIONS": options},
        )  # fmt: skip

    ended = run(" ".join(filter(None, options)))
    if settings and not ended.clean and "startup parameter" in str(ended):
        ended = run(before)  # a pooler refuses them
    if not ended.clean:
        raise CouldNotMeasure(
            f"pg_dump {binaries.version} failed: {ended}",
            where=where.address,
            remedy="the role must read every table (pg_read_all_data), and pg_dump must not be"
            " older than the server",
        )


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen in part."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(3)}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.rename(path)
    finally:
        with suppress(OSError):
            partial.unlink()


@click.command(help="Write a PostgreSQL backup and a manifest of what is in it.")
@click.option("--dsn-env", required=True, help="the variable that holds the connection string")
@click.option("--folder", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="of the files, without an ending")
def main(dsn_env: str, folder: Path, name: str | None) -> None:
    """The command: prints the path of the dump."""
    dsn = os.environ.get(dsn_env)
    if not dsn:
        raise click.UsageError(f"the variable {dsn_env} is not set")
    try:
        click.echo(write_backup(dsn, folder, name=name))
    except ReadinessError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
