"""This area's part of the reference system, and what breaks it."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib.migrations.files import flyway_checksum
from readiness.model.fault import Fault, broken_by
from readiness.servers.files import kept, quoted, replace_in, write_whole

_Misses = Mapping[str, Iterable[str]]
_TABLE: Final = 'table = "public.schema_migrations"'
_HISTORY: Final = """
    create schema readiness_away; grant usage on schema readiness_away to shop_monitor;
    create table readiness_away.history ({columns});
    grant select on readiness_away.history to shop_monitor;
    insert into readiness_away.history values {rows}"""
_FLYWAY: Final = (
    "installed_rank int, version text, description text, type text, checksum int, success boolean"
)


def sql_fault(name: str, story: str, misses: _Misses, *, do: str, undo: str) -> Fault:
    """A fault of statements in the shop's database, and of others that undo them."""
    return broken_by(name, story, misses, lambda levers: levers.sql(do, undo))


class SchemaLevers:
    """What can be broken about the migrations; a part of `Levers`."""

    _migrations: Path

    @abstractmethod
    def sql(self, do: str, undo: str) -> AbstractContextManager[None]:
        """Run statements in the shop's database, and others to undo them."""

    @abstractmethod
    def replace_in_config(self, old: str, new: str) -> AbstractContextManager[None]:
        """Replace a text in the system's readiness.toml, everywhere."""

    @contextlib.contextmanager
    def add_migration(self, name: str, script: str) -> Iterator[None]:
        """Add a file to the migrations, and do not apply it."""
        with kept(self._migrations):
            write_whole(self._migrations / name, script.encode())
            yield

    @contextlib.contextmanager
    def edit_migration(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the migrations."""
        with kept(self._migrations):
            replace_in(self._migrations / name, old, new)
            yield

    @contextlib.contextmanager
    def flyway_with_an_altered_file(self) -> Iterator[None]:
        """Keep the migrations as flyway does; the newest has another checksum than was applied."""
        with kept(self._migrations):
            rows = []
            for up in sorted(self._migrations.glob("*.up.sql")):
                number = int(up.name.partition("_")[0])
                file = self._migrations / f"V{number}__step.sql"
                write_whole(file, up.read_bytes())
                down = up.with_name(up.name.replace(".up.", ".down."))
                write_whole(self._migrations / f"U{number}__step.sql", down.read_bytes())
                rows.append((number, int(flyway_checksum(file))))
            newest, checksum = rows.pop()
            rows.append((newest, checksum ^ 1))
            values = ", ".join(f"({n}, '{n}', 'step', 'SQL', {c}, true)" for n, c in rows)
            with self._as_tool('tool = "flyway"', _FLYWAY, values):
                yield

    @contextlib.contextmanager
    def alembic_with_two_heads(self) -> Iterator[None]:
        """Keep the migrations as alembic does, with two heads; both were applied."""
        with kept(self._migrations):
            versions = [
                up.name.removesuffix(".up.sql") for up in sorted(self._migrations.glob("*.up.sql"))
            ]
            pairs = [*zip(versions, [None, *versions], strict=False), ("0005_other", versions[-2])]
            for version, down in pairs:
                text = f"revision = {version!r}\ndown_revision = {down!r}\n"
                write_whole(self._migrations / f"{version}.py", text.encode())
            for way in ("up", "down"):
                text = "set lock_timeout = '1s';\nset statement_timeout = '30s';\nselect 1;\n"
                write_whole(self._migrations / f"0005_other.{way}.sql", text.encode())
            folder = self._migrations
            tool = "\n".join([
                'tool = "alembic"',
                f'up = ["cat", "{folder}/{{version}}.up.sql"]',
                f'down = ["cat", "{folder}/{{version}}.down.sql"]',
            ])  # fmt: skip
            with self._as_tool(tool, "version_num text", f"('{versions[-1]}'), ('0005_other')"):
                yield

    @contextlib.contextmanager
    def _as_tool(self, tool: str, columns: str, rows: str) -> Iterator[None]:
        """Let the target name another tool, with a table of what was applied."""
        ignored = 'ignore = ["* public.schema_migrations"]'
        with (
            self.sql(
                _HISTORY.format(columns=columns, rows=rows), "drop schema readiness_away cascade"
            ),
            self.replace_in_config('tool = "sql"', f"{tool}\n{ignored}"),
            self.replace_in_config(_TABLE, 'table = "readiness_away.history"'),
        ):
            yield


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the files of the schema are.

    Attributes:
        has_squawk: whether this machine has the linter of migrations.
    """

    manifest: Path
    migrations: Path
    has_squawk: bool = True


def schema(facts: Facts) -> str:
    """[databases.shop.schema], .migrations and .transfers."""
    values = {
        "@MANIFEST@": quoted(str(facts.manifest)),
        "@FOLDER@": quoted(str(facts.migrations)),
        "@SEED@": quoted(str(facts.migrations / "seed.sql")),
        "@LINT@": str(facts.has_squawk).lower(),
    }
    text = _SCHEMA + _MIGRATIONS + _TRANSFERS
    for name, value in values.items():
        text = text.replace(name, value)
    return text


_SCHEMA: Final = """
# The schema that the shop's database must have.
[databases.shop.schema]
manifest = @MANIFEST@
objects = ["table shop.customers", "table shop.orders", "table shop.order_items",
    "table shop.products", "view shop.recent_orders"]
extensions = { plpgsql = "*" }
row_security = ["shop.delivery_notes"]
app_dsn = "${REFERENCE_APP_DSN}"

[databases.shop.schema.rows."shop.orders"]
min_rows = 25000
newest_by = "created_at"

[databases.shop.schema.rows."shop.customers"]
min_rows = 4000

[databases.shop.schema.rows."shop.delivery_notes"]
min_rows = 40

# Each depot sees only its own delivery notes.
[databases.shop.schema.tenancy."shop.delivery_notes"]
column = "depot"
tenants = ["north", "south"]
setting = "shop.depot"
"""

_MIGRATIONS: Final = """
[databases.shop.migrations]
tool = "sql"
folder = @FOLDER@
table = "public.schema_migrations"
seed = @SEED@
lint = @LINT@
# The shop is small: a table of 1 MB is one of its large ones.
rewrite_max_mb = 1
"""

_TRANSFERS: Final = """
# Customers become accounts; until the move is done, triggers keep both tables equal.
[databases.shop.transfers.accounts]
strategy = "dual-write"
write_dsn = "${REFERENCE_APP_DSN}"

[databases.shop.transfers.accounts.tables."shop.customers"]
to = "shop.accounts"
key = { customer_id = "account_id" }
columns = { email = "email", name = "full_name", country = "country", created_at = "created_at" }
changed = "created_at"
new_changed = "created_at"
canary = '''
insert into shop.accounts (account_id, email, full_name, country, created_at)
values (2000000000, 'readiness@example.com', 'Readiness', 'DE', now()) returning account_id'''
"""
