"""Levers on the health of the database: settings, vacuum, replication, collations."""

import contextlib
import re
from collections.abc import Iterator
from typing import Final

from readiness.areas.database.reference.parts import STANDBY
from readiness.areas.database.reference.session_levers import (
    Connection,
    SessionLevers,
    await_true,
    execute,
    fetch_one,
    session,
)
from readiness.lib.postgres import is_at_least
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.postgres import PrivateStandby

_LIMITS: Final = "[databases.shop.limits]\n"
_GID: Final = "readiness_forgotten"
_BURN: Final = """
create temp table burned ();
do $$ begin
  for i in 1..{count} loop
    begin insert into burned default values; exception when others then raise; end;
  end loop;
end $$"""
_OLDEST: Final = "select max(age(datfrozenxid)) from pg_database"
_FORCED: Final = """
select least(checkpoints_req, wal_bytes / (pg_size_bytes(current_setting('max_wal_size'))
             / (1 + current_setting('checkpoint_completion_target')::numeric)))
       > 0.6 * greatest(checkpoints_req + checkpoints_timed, 20)
from pg_stat_bgwriter, pg_stat_wal"""
_FORCED_17: Final = (
    _FORCED.replace("checkpoints_req", "num_requested")
    .replace("checkpoints_timed", "num_timed")
    .replace("pg_stat_bgwriter", "pg_stat_checkpointer")
)
_MOST_WRITES: Final = 300
_LOCKS: Final = 40
_STREAMS: Final = "select count(*) {} 1 from pg_stat_replication where application_name = '{}'"
_STANDBYS_CAUGHT_UP: Final = """
select coalesce(bool_and(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) < 1000000), true)
from pg_replication_slots where active"""
_SLOT_LOST: Final = f"""
select wal_status in ('unreserved', 'lost') from pg_replication_slots where slot_name = '{_GID}'"""  # noqa: S608


class HealthLevers(SessionLevers):
    """What can go wrong with a database, while everything around it is well."""

    @contextlib.contextmanager
    def limits(self, **limits: float | str) -> Iterator[None]:
        """Judge the database by other limits than the usual ones."""
        lines = "".join(
            f'{name} = "{value}"\n' if isinstance(value, str) else f"{name} = {value}\n"
            for name, value in limits.items()
        )
        path = self._parts.config
        before = path.read_text(encoding="utf-8")
        if _LIMITS not in before:
            raise ReferenceSystemError(f"there is no {_LIMITS.strip()}", where="readiness.toml")
        with kept(path):
            write_whole(path, before.replace(_LIMITS, _LIMITS + lines).encode())
            yield

    @contextlib.contextmanager
    def server_setting(self, name: str, value: str) -> Iterator[None]:
        """Change a setting of the server that needs no restart."""
        admin = self._parts.shop.admin
        before = fetch_one(admin, f"select current_setting('{name}')")
        execute(admin, f"alter system set {name} = '{value}'", "select pg_reload_conf()")
        try:
            await_true(admin, f"select current_setting('{name}') <> '{before}'")
            yield
        finally:
            execute(admin, f"alter system reset {name}", "select pg_reload_conf()")
            await_true(admin, f"select current_setting('{name}') = '{before}'")

    @contextlib.contextmanager
    def forced_checkpoints(self) -> Iterator[None]:
        """Have more WAL written than there is room for between two checkpoints."""
        admin = self._parts.shop.admin
        with self.server_setting("max_wal_size", "32MB"), session(admin) as connection:
            forced = _FORCED_17 if is_at_least(connection, 17) else _FORCED
            for _ in range(_MOST_WRITES):
                if connection.execute(forced.encode()).fetchone() == (True,):
                    break
                _write_wal(connection, 20)
            await_true(admin, forced)
            yield

    @contextlib.contextmanager
    def transactions_used_up(self) -> Iterator[None]:
        """Use up transaction numbers, beyond what is then allowed."""
        admin = self._parts.shop.admin
        allowed = int(str(fetch_one(admin, _OLDEST))) + 1000
        execute(admin, _BURN.format(count=5000))
        with self.limits(wraparound_max_age=allowed):
            yield

    @contextlib.contextmanager
    def multixacts_used_up(self) -> Iterator[None]:
        """Use up multixact IDs, and transaction IDs with them, beyond what is then allowed."""
        dsn = self._parts.shop.superuser
        with session(dsn) as one, session(dsn) as other:
            for _ in range(_LOCKS):
                for connection in (one, other):
                    connection.execute("begin; select from shop.products limit 1 for share")
                one.execute("commit")
                other.execute("commit")
        with self.limits(wraparound_max_age=_LOCKS // 2):
            yield

    @contextlib.contextmanager
    def vacuum_held_back(self, transactions: int) -> Iterator[None]:
        """Have a transaction open that sees rows of so many transactions ago."""
        with session(self._parts.shop.owner, "begin isolation level repeatable read; select 1"):
            execute(self._parts.shop.admin, _BURN.format(count=transactions))
            yield

    @contextlib.contextmanager
    def vacuum_locked_out(self, table: str) -> Iterator[None]:
        """Have a transaction open whose lock, that of a migration, keeps vacuum from a table."""
        lock = f"begin; lock table {table} in share update exclusive mode"
        with session(self._parts.shop.superuser, lock):
            yield

    @contextlib.contextmanager
    def transaction_prepared(self, seconds: float) -> Iterator[None]:
        """Have a transaction that was prepared that long ago, and more, and never ends."""
        admin = self._parts.shop.admin
        execute(admin, "begin; select txid_current()", f"prepare transaction '{_GID}'")
        try:
            await_true(
                admin,
                f"select clock_timestamp() - prepared > interval '{seconds} s'"  # noqa: S608
                f" from pg_prepared_xacts where gid = '{_GID}'",
            )
            yield
        finally:
            execute(admin, f"rollback prepared '{_GID}'")

    @contextlib.contextmanager
    def slot_forgotten(self, megabytes: int) -> Iterator[None]:
        """Have a slot without a consumer, that retains so much WAL."""
        admin = self._parts.shop.admin
        create = f"select pg_create_physical_replication_slot('{_GID}', true)"
        execute(admin, create)
        try:
            with session(admin) as connection:
                _write_wal(connection, megabytes)
            yield
        finally:
            execute(admin, f"select pg_drop_replication_slot('{_GID}')")

    @contextlib.contextmanager
    def slot_lost(self) -> Iterator[None]:
        """Have a slot without a consumer, whose WAL the server has removed."""
        admin = self._parts.shop.admin
        with (
            self.slot_forgotten(megabytes=64),
            self.server_setting("max_slot_wal_keep_size", "1MB"),
        ):
            # The standby's own slot must not be lost with it.
            await_true(admin, _STANDBYS_CAUGHT_UP)
            execute(admin, "select pg_switch_wal()", "checkpoint")
            await_true(admin, _SLOT_LOST)
            yield

    @contextlib.contextmanager
    def replay_paused(self) -> Iterator[None]:
        """Have the standby receive everything and replay nothing."""
        standby = self._standby().dsn()
        execute(standby, "select pg_wal_replay_pause()")
        try:
            await_true(standby, "select pg_is_wal_replay_paused()")
            yield
        finally:
            execute(standby, "select pg_wal_replay_resume()")

    @contextlib.contextmanager
    def standby_renamed(self) -> Iterator[None]:
        """Have the standby stream under another name."""
        name = "replica_2"
        with self._standby_connects("application_name=[^ ]*", f"application_name={name}"):
            await_true(self._parts.shop.admin, _STREAMS.format(">=", name))
            yield

    @contextlib.contextmanager
    def standby_cut_off(self) -> Iterator[None]:
        """Have the standby look for its primary on a port where no server listens."""
        with self._standby_connects(r"\bport=\d+", "port=1"):
            await_true(self._parts.shop.admin, _STREAMS.format("<", STANDBY))
            yield

    @contextlib.contextmanager
    def collation_changed(self, recorded: str | None) -> Iterator[None]:
        """Have an index in a collation whose recorded version is not the system's."""
        with session(self._parts.shop.superuser) as connection:
            row = connection.execute(
                "select oid::text, quote_ident(collname), collversion from pg_collation"
                " where collversion is not null and collencoding in (-1, 6) limit 1"
            ).fetchone()
            if row is None:
                raise ReferenceSystemError("this PostgreSQL records no version of a collation")
            oid, name, version = map(str, row)
            connection.execute("create schema readiness_moved")
            try:
                connection.execute(
                    "create table readiness_moved.names"
                    f" (name text collate pg_catalog.{name} primary key)".encode()
                )
                _set_version(connection, oid, recorded)
                yield
            finally:
                _set_version(connection, oid, version)
                connection.execute("drop schema readiness_moved cascade")

    def _standby(self) -> PrivateStandby:
        if self._parts.standby is None:
            raise ReferenceSystemError("this system has no standby")
        return self._parts.standby

    @contextlib.contextmanager
    def _standby_connects(self, old: str, new: str) -> Iterator[None]:
        """Change how the standby connects to its primary."""
        standby = self._standby().dsn()
        before = str(fetch_one(standby, "show primary_conninfo"))
        _connect_by(standby, re.sub(old, new, before))
        try:
            yield
        finally:
            _connect_by(standby, before)
            await_true(self._parts.shop.admin, _STREAMS.format(">=", STANDBY))


def _connect_by(standby: str, conninfo: str) -> None:
    quoted = conninfo.replace("'", "''")
    execute(standby, f"alter system set primary_conninfo = '{quoted}'", "select pg_reload_conf()")


def _write_wal(connection: Connection, megabytes: int) -> None:
    """Write so much WAL, and nothing else."""
    connection.execute(
        "select count(pg_logical_emit_message(false, 'readiness', repeat('x', 1 << 20)))"
        " from generate_series(1, %s)",
        [megabytes],
    )
    connection.execute("select pg_logical_emit_message(true, 'readiness', 'flushed')")


def _set_version(connection: Connection, oid: str, version: str | None) -> None:
    connection.execute(
        "update pg_collation set collversion = %s where oid = %s::oid", [version, oid]
    )
