"""Levers on the health of the database: its server, sessions, vacuum, standby and pooler."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import psycopg

from readiness.areas.database.config_health import Pooler as PoolerSettings
from readiness.areas.database.probes import sessions
from readiness.areas.database.reference import scratch_levers, session_levers, standby
from readiness.areas.database.reference.parts import DatabaseParts
from readiness.areas.database.reference.pooler import SIZE
from readiness.areas.database.reference.session_levers import await_true
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import Dsn
from readiness.servers.files import kept, write_whole
from readiness.servers.levers import Lever
from readiness.servers.shop import NAME

if TYPE_CHECKING:
    from readiness.servers.postgres import PrivateStandby

_LIMITS: Final = "[databases.shop.limits]\n"
_GID: Final = "readiness_forgotten"
_MB: Final = 1 << 20
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
_FROM_17: Final = 170000
_MOST_WRITES: Final = 300
_LOCKS: Final = 40
_STANDBYS_CAUGHT_UP: Final = """
select coalesce(bool_and(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) < 1000000), true)
from pg_replication_slots where active"""
_SLOT_LOST: Final = f"""
select wal_status in ('unreserved', 'lost') from pg_replication_slots where slot_name = '{_GID}'"""  # noqa: S608


class HealthLevers:
    """What can go wrong with a database, while everything around it is well."""

    _parts: DatabaseParts

    @contextlib.contextmanager
    def limits(self, **limits: float | str) -> Iterator[None]:
        """Hold the database against other limits than the usual ones."""
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
        before = self._shown(name)
        self._superuser(f"alter system set {name} = '{value}'", "select pg_reload_conf()")
        try:
            self._until_true(f"select current_setting('{name}') <> '{before}'")
            yield
        finally:
            self._superuser(f"alter system reset {name}", "select pg_reload_conf()")
            self._until_true(f"select current_setting('{name}') = '{before}'")

    def connections_taken(self, *, left: float) -> Lever:
        """Take connections until only that share of them is left."""
        return session_levers.many(self._parts.shop.app, left)

    @contextlib.contextmanager
    def transaction_open(self, seconds: float) -> Iterator[None]:
        """Have a transaction open for that long, and longer; it does something all the time."""
        with session_levers.busy_transaction(self._parts.shop.owner):
            self._await_session("xact_start", seconds)
            yield

    @contextlib.contextmanager
    def transaction_forgotten(self, seconds: float) -> Iterator[None]:
        """Have a transaction open that does nothing for that long, and longer."""
        with session_levers.idle_transaction(self._parts.shop.owner):
            self._await_session("state_change", seconds)
            yield

    def lock_forgotten(self) -> Lever:
        """Have sessions wait for a lock that another one holds and does not give back."""
        return session_levers.waiting(self._parts.shop.owner)

    def deadlocks(self) -> Lever:
        """Have some deadlocks counted, in a database of their own."""
        return scratch_levers.deadlocks(self._parts.server)

    def spilled_sort(self) -> Lever:
        """Have a large sort written to disk, in a database of its own."""
        return scratch_levers.spilled(self._parts.server)

    def uncached_reads(self) -> Lever:
        """Have so much read past the cache that most reads miss, in a database of its own."""
        return scratch_levers.uncached(self._parts.server)

    def damaged_page(self) -> Lever:
        """Have a page damaged on the disk, in a database of its own."""
        return scratch_levers.damaged(self._parts.server)

    @contextlib.contextmanager
    def forced_checkpoints(self) -> Iterator[None]:
        """Have more WAL written than there is room for between two checkpoints."""
        with self.server_setting("max_wal_size", "32MB"), self._as_admin() as connection:
            forced = _FORCED_17 if connection.info.server_version >= _FROM_17 else _FORCED
            for _ in range(_MOST_WRITES):
                if connection.execute(forced.encode()).fetchone() == (True,):
                    break
                _write_wal(connection, 20)
            await_true(self._parts.shop.admin, forced)
            yield

    @contextlib.contextmanager
    def transactions_used_up(self) -> Iterator[None]:
        """Use up transaction numbers, beyond what is then allowed."""
        with self._as_admin() as connection:
            row = connection.execute(_OLDEST.encode()).fetchone()
            allowed = int(str(row[0])) + 1000 if row else 0
            connection.execute(_BURN.format(count=5000).encode())
        with self.limits(wraparound_max_age=allowed):
            yield

    @contextlib.contextmanager
    def multixacts_used_up(self) -> Iterator[None]:
        """Use up multixact IDs, and transaction IDs with them, beyond what is then allowed."""
        dsn = self._parts.shop.superuser
        with session_levers.connected(dsn) as one, session_levers.connected(dsn) as other:
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
        with session_levers.old_snapshot(self._parts.shop.owner):
            with self._as_admin() as connection:
                connection.execute(_BURN.format(count=transactions).encode())
            yield

    def vacuum_locked_out(self, table: str) -> Lever:
        """Have a transaction open whose lock keeps vacuum and analyze from a table."""
        return session_levers.locking(self._parts.shop.superuser, table)

    @contextlib.contextmanager
    def transaction_prepared(self, seconds: float) -> Iterator[None]:
        """Have a transaction prepared that long ago, and more, that nobody ends."""
        with self._as_admin() as connection:
            connection.execute("begin; select txid_current()")
            connection.execute(f"prepare transaction '{_GID}'".encode())
            try:
                self._until_true(
                    f"select clock_timestamp() - prepared > interval '{seconds} s'"  # noqa: S608
                    f" from pg_prepared_xacts where gid = '{_GID}'"
                )
                yield
            finally:
                self._superuser(f"rollback prepared '{_GID}'")

    @contextlib.contextmanager
    def slot_forgotten(self, megabytes: int) -> Iterator[None]:
        """Have a slot without a consumer, that holds so much WAL back."""
        self._superuser(f"select pg_create_physical_replication_slot('{_GID}', true)")
        try:
            with self._as_admin() as connection:
                _write_wal(connection, megabytes)
            yield
        finally:
            self._superuser(f"select pg_drop_replication_slot('{_GID}')")

    @contextlib.contextmanager
    def slot_lost(self) -> Iterator[None]:
        """Have a slot without a consumer, whose WAL the server has removed."""
        with (
            self.slot_forgotten(megabytes=64),
            self.server_setting("max_slot_wal_keep_size", "1MB"),
        ):
            # The standby's own slot must not be lost with it.
            self._until_true(_STANDBYS_CAUGHT_UP)
            self._superuser("select pg_switch_wal()", "checkpoint")
            self._until_true(_SLOT_LOST)
            yield

    @contextlib.contextmanager
    def pool_exhausted(self) -> Iterator[None]:
        """Have a client of the pooler wait while others hold all of its connections."""
        if self._parts.pooler is None:
            raise ReferenceSystemError("this system has no pooler")
        settings = PoolerSettings(dsn=Dsn(self._parts.pooler.console))

        def waits() -> bool:
            waited = sessions.pools(settings).longest_wait.value
            return float(waited) > 2 * settings.wait_warn_s

        with session_levers.full_pool(self._parts.pooler.client, SIZE, waits):
            yield

    @contextlib.contextmanager
    def pool_paused(self) -> Iterator[None]:
        """Have the pooler hold back the statements of all clients."""
        if self._parts.pooler is None:
            raise ReferenceSystemError("this system has no pooler")
        with psycopg.connect(self._parts.pooler.admin, autocommit=True) as connection:
            connection.execute(f"PAUSE {NAME}".encode())
            try:
                yield
            finally:
                connection.execute(f"RESUME {NAME}".encode())

    def replay_paused(self) -> Lever:
        """Have the standby receive everything and replay nothing."""
        return standby.paused(self._standby())

    def standby_renamed(self) -> Lever:
        """Have the standby call itself by another name."""
        return standby.renamed(self._standby(), self._parts.shop.admin)

    def standby_cut_off(self) -> Lever:
        """Have the standby look for its primary where there is none."""
        return standby.cut_off(self._standby(), self._parts.shop.admin)

    @contextlib.contextmanager
    def collation_changed(self, recorded: str | None) -> Iterator[None]:
        """Have an index in a collation whose recorded version is not that of the system."""
        with psycopg.connect(self._parts.shop.superuser, autocommit=True) as connection:
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

    def _standby(self) -> "PrivateStandby":
        if self._parts.standby is None:
            raise ReferenceSystemError("this system has no standby")
        return self._parts.standby

    def _await_session(self, since: str, seconds: float) -> None:
        self._until_true(
            f"select coalesce(max(clock_timestamp() - {since}) > interval '{seconds} s', false)"  # noqa: S608
            f" from pg_stat_activity where application_name = '{session_levers.NAME}'"
        )

    def _until_true(self, query: str) -> None:
        await_true(self._parts.shop.admin, query)

    def _shown(self, name: str) -> str:
        with self._as_admin() as connection:
            row = connection.execute("select current_setting(%s)", [name]).fetchone()
            return str(row[0]) if row else ""

    def _superuser(self, *statements: str) -> None:
        with self._as_admin() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _as_admin(
        self,
    ) -> "contextlib.AbstractContextManager[psycopg.Connection[tuple[object, ...]]]":
        return psycopg.connect(self._parts.shop.admin, autocommit=True, connect_timeout=5)


def _write_wal(connection: "psycopg.Connection[tuple[object, ...]]", megabytes: int) -> None:
    """Write so much WAL, and nothing else."""
    connection.execute(
        "select count(pg_logical_emit_message(false, 'readiness', repeat('x', %s)))"
        " from generate_series(1, %s)",
        [_MB, megabytes],
    )
    connection.execute("select pg_logical_emit_message(true, 'readiness', 'flushed')")


def _set_version(
    connection: "psycopg.Connection[tuple[object, ...]]", oid: str, version: str | None
) -> None:
    connection.execute(
        "update pg_collation set collversion = %s where oid = %s::oid", [version, oid]
    )
