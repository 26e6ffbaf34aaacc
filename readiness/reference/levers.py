"""Levers: each breaks the reference system in one way and restores it exactly."""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from readiness.areas.alerting.reference.levers import AlertingLevers
from readiness.areas.backup.reference import levers
from readiness.areas.backup.reference.levers import BackupLevers, backup_levers
from readiness.areas.backup.reference.wal_archive import ArchiveLevers, archive_levers
from readiness.areas.configuration.reference.levers import ConfigurationLevers
from readiness.areas.database.reference.health_levers import HealthLevers
from readiness.areas.database.reference.statistics_levers import StatisticsLevers
from readiness.areas.database.reference.timescale import TimescaleLevers
from readiness.areas.deployment.reference.levers import FleetLevers, ReleaseLevers
from readiness.areas.manifests.reference import target as manifests
from readiness.areas.manifests.reference.target import ManifestLevers
from readiness.areas.monitoring.reference.levers import MonitoringLevers
from readiness.areas.performance.reference import LOADED_BY_K6, run_before, summary_of_k6
from readiness.areas.scaling.reference.target import ScalingLevers
from readiness.areas.schema.reference.levers import SchemaLevers
from readiness.areas.security.reference.cache import CacheLevers
from readiness.areas.security.reference.edge import EdgeLevers
from readiness.areas.security.reference.target import AuditLevers
from readiness.areas.signoff.reference import SignoffLevers
from readiness.config.loading import load
from readiness.model.errors import ReferenceSystemError
from readiness.reference import drill
from readiness.reference.running import Running
from readiness.reference.service.settings import Behaviour
from readiness.servers.files import kept, write_whole
from readiness.servers.levers import Lever

# Counts how often the session has executed this expression.
_COUNTED: Final = (
    "set_config('readiness.executions', (coalesce(nullif("
    "current_setting('readiness.executions', true), ''), '0')::int + 1)::text, false)::int"
)
_ENDPOINTS: Final = "[[performance.endpoints]]"


class Levers(
    HealthLevers,
    SchemaLevers,
    StatisticsLevers,
    ConfigurationLevers,
    FleetLevers,
    ReleaseLevers,
    ScalingLevers,
    ManifestLevers,
    MonitoringLevers,
    AlertingLevers,
    EdgeLevers,
    CacheLevers,
    AuditLevers,
):
    """Everything that can be broken. Every method returns a context manager; they may be nested."""

    _parts: Running

    def __init__(self, running: Running) -> None:
        super().__init__(running.monitoring.running, running.config.parent)
        self._migrations = running.migrations
        self._manifests = running.cluster
        self._files = running.config.parent / manifests.FOLDER
        self._fleet = running.fleet
        self._released = running.released
        self._configuration = running.configuration
        self._edge = running.edge
        self._catalog = running.catalog
        self._audited = running.audited
        self._parts = running

    @property
    def timescale(self) -> TimescaleLevers:
        """Levers of the TimescaleDB server.

        Raises:
            ReferenceSystemError: this system has none, when one is used.
        """
        metrics = self._parts.metrics
        return TimescaleLevers(metrics.superuser if metrics else None)

    @contextlib.contextmanager
    def behave(self, **switches: Any) -> Iterator[None]:
        """Add faults of the service to those that it already has: see `Behaviour`.

        Raises:
            pydantic.ValidationError: a switch does not exist.
        """
        path = self._parts.behaviour
        with kept(path):
            text = path.read_text(encoding="utf-8") if path.exists() else "{}"
            now = Behaviour.model_validate_json(text).model_dump(exclude_unset=True)
            for name, value in switches.items():
                now[name] = {**now.get(name, {}), **value} if isinstance(value, dict) else value
            write_whole(path, Behaviour(**now).model_dump_json(exclude_unset=True).encode())
            yield

    @contextlib.contextmanager
    def database_away(self) -> Iterator[None]:
        """Refuse all connections to the shop's database."""
        drill.away(self._parts.shop.admin)
        try:
            yield
        finally:
            drill.back(self._parts.shop.admin)

    @contextlib.contextmanager
    def stop_database(self) -> Iterator[None]:
        """Stop the PostgreSQL server."""
        self._parts.server.halt()
        try:
            yield
        finally:
            self._parts.server.restart()

    @property
    def service_url(self) -> str:
        """The address of the order service."""
        return self._parts.service.url

    def stop_service(self) -> Lever:
        """Stop the order service: connections are refused."""
        return self._parts.service.stopped()

    def pause_service(self) -> Lever:
        """Make the order service hang: connections are accepted, and nothing answers."""
        return self._parts.service.paused()

    @contextlib.contextmanager
    def sql(self, do: str, undo: str) -> Iterator[None]:
        """Run statements as superuser in the shop's database, and others to undo them."""
        self._execute(do)
        try:
            yield
        finally:
            self._execute(undo)

    def slow_insert(self, table: str, ms: float) -> Lever:
        """Make each row inserted into `schema.table` take `ms` longer, 1 at least."""
        return self._insert_trigger(table, f"perform pg_sleep({ms / 1000})")

    def busy_insert(self, table: str, kib: int) -> Lever:
        """Make each row inserted into `schema.table` work: some 2 microseconds per KiB."""
        return self._insert_trigger(table, f"perform md5(repeat('x', {1024 * kib}) || new)")

    @contextlib.contextmanager
    def _insert_trigger(self, table: str, statement: str) -> Iterator[None]:
        name = sql.Identifier(*table.split("."))
        do = sql.SQL(
            "create function public.readiness_slow() returns trigger language plpgsql as"
            " {body};"
            "create trigger readiness_slow before insert on {name}"
            " for each row execute function public.readiness_slow()"
        ).format(body=sql.Literal(f"begin {statement}; return new; end"), name=name)
        undo = sql.SQL(
            "drop trigger readiness_slow on {name}; drop function public.readiness_slow()"
        ).format(name=name)
        with self.statements_forgotten(f"%insert into {table}%"), self.sql(_text(do), _text(undo)):
            yield

    @contextlib.contextmanager
    def slow_view(self, view: str, ms: float, *, every: int = 1) -> Iterator[None]:
        """Make each query of `schema.view` take `ms` longer, or every n-th query of a session."""
        definition = str(self._value("select pg_get_viewdef(%s::regclass)", view)).rstrip(";")
        name = _text(sql.Identifier(*view.split(".")))
        slowly = (
            f"create or replace view {name} as with pause as materialized"  # noqa: S608 - our own
            f" (select case when {_COUNTED} % {every} = 0 then pg_sleep({ms / 1000}) end)"
            f" select v.* from ({definition}) v, pause"
        )
        as_before = f"create or replace view {name} as {definition}"
        with self.statements_forgotten(f"%{view}%"), self.sql(slowly, as_before):
            yield

    def drop_index(self, name: str) -> Lever:
        """Drop the index `schema.name`."""
        definition = str(self._value("select pg_get_indexdef(%s::regclass)", name))
        return self.sql(f"drop index {_text(sql.Identifier(*name.split('.')))}", definition)

    def revoke(self, privilege: str, *, of: str, on: str = "") -> Lever:
        """Take a privilege `on` something, or membership of a role, away from the role `of`."""
        what = f"{privilege} on {on}" if on else privilege
        return self.sql(f"revoke {what} from {of}", f"grant {what} to {of}")

    @contextlib.contextmanager
    def set_environment_marker(self, value: str) -> Iterator[None]:
        """Change the environment that the target reports, in its database and over HTTP."""
        before = str(self._value("select environment from public.readiness_marker"))
        change = "update public.readiness_marker set environment = "
        do, undo = (change + _text(sql.Literal(name)) for name in (value, before))
        with self.sql(do, undo), self.behave(environment=value):
            yield

    @contextlib.contextmanager
    def edit_config(self, edit: Callable[[str], str]) -> Iterator[None]:
        """Change the system's readiness.toml."""
        path = self._parts.config
        with kept(path):
            write_whole(path, edit(path.read_text(encoding="utf-8")).encode())
            yield

    def replace_in_config(self, old: str, new: str) -> Lever:
        """Replace a text in the system's readiness.toml, everywhere.

        Raises:
            ReferenceSystemError: the file does not contain the text.
        """
        return self.edit_config(lambda text: _replaced(text, old, new))

    @contextlib.contextmanager
    def judged_before(self) -> Iterator[None]:
        """Compare with a READY run of the release before, which is measured now."""
        with (
            tempfile.TemporaryDirectory(prefix="readiness-before-") as folder,
            self._declared(f'[performance.baseline]\nrecords = "{folder}"\n'),
        ):
            environ = self._parts.environ(self._parts.config.parent)
            record = run_before(load(self._parts.config, os.environ | environ).config)
            (Path(folder) / "record.json").write_text(record.to_json(), encoding="utf-8")
            yield

    @contextlib.contextmanager
    def release_beside(self) -> Iterator[None]:
        """Run one more service, without the faults of this one, as the release before."""
        service = self._parts.service
        beside = replace(
            service,
            name="service-before",
            environ={**service.environ, "SERVICE_BEHAVIOUR": ""},
            port=0,
            process=None,
        )
        try:
            before = f'before = {{url = "{beside.start().url}"}}'
            with self.replace_in_config(_ENDPOINTS, f"{_ENDPOINTS}\n{before}"):
                yield
        finally:
            beside.stop()

    @contextlib.contextmanager
    def loaded_by_k6(self, p95_ms: float) -> Iterator[None]:
        """Declare a load that k6 has sent, whose summary says so."""
        with tempfile.TemporaryDirectory(prefix="readiness-k6-") as folder:
            path = Path(folder) / "summary.json"
            path.write_text(summary_of_k6(p95_ms), encoding="utf-8")
            with self._declared(LOADED_BY_K6.format(summary=path)):
                yield

    @contextlib.contextmanager
    def declared(self, check: str, tables: str) -> Iterator[None]:
        """Declare, at the end of the load `customers`, the tables of a check that is left out."""
        left_out = rf'\n# .*\n\[\[not_applicable\]\]\nwhat = "{re.escape(check)}"\n(\w.*\n)+'
        with self.edit_config(lambda text: re.sub(left_out, "", text)), self._declared(tables):
            yield

    def _declared(self, tables: str) -> Lever:
        return self.replace_in_config(_ENDPOINTS, f"{tables}\n{_ENDPOINTS}")

    @property
    def signoff(self) -> SignoffLevers:
        """Levers of what people sign."""
        return SignoffLevers(self._parts.signed)

    def age_backup(self, hours: float) -> Lever:
        """Make the backups older: their files and the times in their manifests."""
        return levers.aged(self._backups(), hours)

    def truncate_backup(self) -> Lever:
        """Cut off the last two fifths of the newest dump."""
        return levers.truncated(self._backups())

    def remove_backups(self) -> Lever:
        """Remove all backups."""
        return levers.removed(self._backups())

    def drop_rows_from_backup(self) -> Lever:
        """Replace the newest dump by a complete one of a database that lacks some rows."""
        return self.backups.replaced("delete from shop.order_items where order_id % 97 = 0")

    def dump_without_role(self) -> Lever:
        """Replace the newest dump by one with a grant to a role that no manifest names."""
        return self.backups.replaced_by_one_for("readiness_ghost")

    @property
    def backups(self) -> BackupLevers:
        """More levers of the backups.

        Raises:
            ReferenceSystemError: this system has none.
        """
        return backup_levers(self._parts.backups, self._parts.server, self._parts.shop)

    @property
    def archive(self) -> ArchiveLevers:
        """Levers of the WAL archive.

        Raises:
            ReferenceSystemError: this system has none.
        """
        backups = self._parts.backups
        return archive_levers(backups.archive if backups else None, self._parts.shop)

    def _backups(self) -> Path:
        if self._parts.backups is None:
            raise ReferenceSystemError("this system has no backups")
        return self._parts.backups.folder

    def _execute(self, statements: str) -> None:
        with psycopg.connect(self._parts.shop.superuser, connect_timeout=5) as connection:
            connection.execute("set lock_timeout = '10s'")
            connection.execute(statements.encode())

    def _admin(self, statement: str) -> None:
        with psycopg.connect(
            self._parts.shop.admin, autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(statement.encode())

    def _value(self, query: str, *parameters: str) -> object:
        with psycopg.connect(self._parts.shop.superuser, connect_timeout=5) as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        if row is None:
            raise ReferenceSystemError("no row", where=query)
        return row[0]


def _text(composable: sql.Composable) -> str:
    return composable.as_string(None)


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise ReferenceSystemError(f"{old!r} not found", where="readiness.toml")
    return text.replace(old, new)
