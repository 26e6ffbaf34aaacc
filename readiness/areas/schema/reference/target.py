"""The part of the reference system's readiness.toml about its schema and migrations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.servers.files import quoted


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
