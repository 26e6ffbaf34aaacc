"""The part of the reference system's readiness.toml that tells of its schema and migrations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.servers.toml import quoted


@dataclass(frozen=True, slots=True)
class Facts:
    """What the file tells of the schema.

    Attributes:
        manifest: the file that says what it is to be.
        migrations: the folder of the migrations.
    """

    manifest: Path
    migrations: Path


def schema(facts: Facts) -> str:
    """[databases.shop.schema], .migrations and .transfers."""
    return (
        _SCHEMA.replace("@MANIFEST@", quoted(str(facts.manifest)))
        + _MIGRATIONS.replace("@FOLDER@", quoted(str(facts.migrations))).replace(
            "@SEED@", quoted(str(facts.migrations / "seed.sql"))
        )
        + _TRANSFERS
    )


_SCHEMA: Final = """
# What the shop's database must consist of.
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

# Each depot sees its own delivery notes alone.
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
"""

_TRANSFERS: Final = """
# Customers become accounts; triggers keep both while it lasts.
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
