"""The tables [backup.NAME] of the reference system's readiness.toml."""

import os
import sys
from typing import Final

from readiness.areas.backup.reference import vault
from readiness.areas.backup.reference.backups import Backups
from readiness.areas.backup.reference.wal_archive import WalArchive
from readiness.servers.files import quoted

_ALL: Final = 8
_WITHOUT_AMCHECK: Final = 4


def backup(backups: Backups) -> str:
    """[backup.NAME], one for each."""
    text = _BACKUP.format(
        folder=quoted(str(backups.folder)),
        layers=quoted(str(backups.layers)),
        offsite=quoted(str(backups.offsite)),
        vault=vault.__name__,
        python=quoted(sys.executable),
        level=_ALL if backups.has_amcheck else _WITHOUT_AMCHECK,
    )
    level = "" if backups.has_amcheck else f"restore_level = {_WITHOUT_AMCHECK}\n"
    return text + (_archive(backups.archive, level) if backups.archive else "")


def _archive(archive: WalArchive, level: str) -> str:
    words = ", ".join(map(quoted, archive.command))
    # PostgreSQL never runs as root, and neither does what reads its files.
    account = 'account = "nobody"\n' if os.geteuid() == 0 else ""
    return _ARCHIVE.format(
        repository=quoted(str(archive.repository)), command=words, account=account, level=level
    )


_BACKUP: Final = """
# The newest of these dumps is restored into a private server and compared with its manifest.
[backup.shop]
database = "shop"
path = {folder}
role = "shop_backup"
retention_days = 7
# What was written since the newest dump is lost; the WAL archive below covers the time between.
rpo_s = 93600
restore_level = {level}

# What the application does, tried in the restored copy and rolled back.
[backup.shop.application]
role = "shop_app"
reads = [
  "select order_id from shop.orders order by created_at desc limit 5",
  "select customer from shop.recent_orders limit 1",
]
writes = ["insert into shop.orders (customer_id, total_cents) values (1, 100) returning order_id"]

[backup.shop.layers.roles]
holds = "globals"
folder = {layers}
pattern = "globals.sql"

[backup.shop.layers.schema]
holds = "schema"
folder = {layers}
pattern = "schema.sql"

[backup.shop.layers.rows]
holds = "data"
folder = {layers}
pattern = "rows.dump"

[backup.shop.layers.uploads]
holds = "volume"
folder = {layers}
pattern = "uploads.tar.gz"

# Only a reference system has its second copy on the same machine.
[backup.shop.copies.offsite]
folder = {offsite}
other_device = false

[backup.shop.immutable]
put = [{python}, "-m", "{vault}", "backup", "put", "{{object}}"]
exists = [{python}, "-m", "{vault}", "backup", "exists", "{{object}}"]
access = [{python}, "-m", "{vault}", "application", "exists", "{{object}}"]
delete = [{python}, "-m", "{vault}", "application", "delete", "{{object}}"]
remove = [{python}, "-m", "{vault}", "keeper", "delete", "{{object}}"]
"""

_ARCHIVE: Final = """
# The server's files and every change since: any moment can be restored.
[backup.shop-wal]
database = "shop"
tool = "pgbackrest"
path = {repository}
encrypted = true
rpo_s = 93600
{level}
[backup.shop-wal.physical]
command = [{command}]
{account}# May create a schema, pg_create_restore_point and pg_switch_wal; nothing else.
dsn = "${{REFERENCE_DRILL_DSN}}"
archived_within_s = 20
# The shop writes orders all the time: the newest shows how much would be lost.
heartbeat_sql = "select max(created_at) from shop.orders"
"""
