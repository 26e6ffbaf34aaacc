"""Faults of backups: each makes exactly the named judgements miss, and is undone."""

from typing import Final

from readiness.areas.backup.reference.wal_archive import PART
from readiness.model.fault import broken_by

_FRESH: Final = "backup.fresh[shop]"
_RESTORES: Final = "backup.restores[shop]"
_OBJECTIVES: Final = "backup.recovery-objectives[shop]"
_OFF_SITE: Final = "backup.off-site[shop]"
_RETENTION: Final = "backup.retention[shop]"
_WAL: Final = "backup.wal[shop-wal]"
_ARRIVES: Final = "backup.archive-end-to-end[shop-wal]"
_POINT: Final = "backup.point-in-time[shop-wal]"
_WAL_OBJECTIVES: Final = "backup.recovery-objectives[shop-wal]"


backup_job_stopped: Final = broken_by(
    "backup_job_stopped",
    "The backup job has not run for three days, and no alert fired.",
    {_FRESH: {"age"}, _OBJECTIVES: {"data-loss"}},
    lambda levers: levers.age_backup(hours=72),
)
standby_stands_still: Final = broken_by(
    "standby_stands_still",
    "The dumps are made every night, of a standby that has replayed nothing for three days.",
    {_FRESH: {"age"}, _OBJECTIVES: {"data-loss"}},
    lambda levers: levers.backups.of_a_standby_that_stands_still(hours=72),
)
dump_of_another_database: Final = broken_by(
    "dump_of_another_database",
    "The job dumps a copy of the database that was made for a test, under the name of the backup.",
    {_FRESH: {"source"}},
    lambda levers: levers.backups.made_of(renamed=True),
)
dump_of_another_server: Final = broken_by(
    "dump_of_another_server",
    "The job dumps the database of the same name on the server that was replaced last year.",
    {_FRESH: {"source"}},
    lambda levers: levers.backups.of_another_server(),
)
no_backup: Final = broken_by(
    "no_backup",
    "The folder of the backups was emptied.",
    {_FRESH: {"exists"}, _RESTORES: (), _OBJECTIVES: (), _OFF_SITE: (), _RETENTION: ()},
    lambda levers: levers.remove_backups(),
)
backup_empty: Final = broken_by(
    "backup_empty",
    "The disk was full before the dump began: the newest file has no byte in it.",
    {
        _FRESH: {"size", "previous-size", "database-size"},
        _RESTORES: {"readable"},
        _OBJECTIVES: (),
        _OFF_SITE: {"behind"},
    },
    lambda levers: levers.backups.newest_emptied(),
)
truncated_backup: Final = broken_by(
    "truncated_backup",
    "The disk filled up while the dump was written; its list of contents is complete.",
    {_RESTORES: {"readable"}, _OBJECTIVES: (), _OFF_SITE: {"behind"}},
    lambda levers: levers.truncate_backup(),
)
backup_shrank: Final = broken_by(
    "backup_shrank",
    "The dump is a third of what it was yesterday; it is fresh, and equal to its own manifest.",
    {_FRESH: {"previous-size"}},
    lambda levers: levers.backups.shrunk(),
)
roles_not_backed_up: Final = broken_by(
    "roles_not_backed_up",
    "pg_dumpall was never run: the roles are in no backup.",
    {_FRESH: {"layer-exists"}},
    lambda levers: levers.backups.layer_missing("globals.sql"),
)
layer_job_stopped: Final = broken_by(
    "layer_job_stopped",
    "The dumps are made every night, and the roles were backed up three days ago.",
    {_FRESH: {"layer-age"}},
    lambda levers: levers.backups.layer_aged("globals.sql", hours=72),
)
layer_of_another_kind: Final = broken_by(
    "layer_of_another_kind",
    "The job for the roles runs pg_dumpall on a server without any.",
    {_FRESH: {"layer-contents"}},
    lambda levers: levers.backups.layer_edited("globals.sql", b"CREATE ROLE ", b"-- ROLE "),
)
volume_cut_off: Final = broken_by(
    "volume_cut_off",
    "The archive of the uploaded files was cut off; it still lists the first of them.",
    {_FRESH: {"layer-readable"}},
    lambda levers: levers.backups.layer_cut_off("uploads.tar.gz"),
)
plain_dump_cut_off: Final = broken_by(
    "plain_dump_cut_off",
    "A plain SQL dump was cut off; `psql -f` of it ends with 0.",
    {_FRESH: {"complete"}},
    lambda levers: levers.backups.layer_cut_off("schema.sql"),
)
dump_filtered: Final = broken_by(
    "dump_filtered",
    "A dump was made with --enable-row-security, and holds what the policies show.",
    {_FRESH: {"unfiltered"}},
    lambda levers: levers.backups.layer_edited(
        "schema.sql", b"SET row_security = off;", b"SET row_security = on;"
    ),
)
backup_role_sees_a_part: Final = broken_by(
    "backup_role_sees_a_part",
    "Row security applies to the role that makes the dumps: the next one fails or lacks rows.",
    {_FRESH: {"role-sees-all"}},
    lambda levers: levers.sql(
        "alter role shop_backup nobypassrls", "alter role shop_backup bypassrls"
    ),
)
old_backups_removed: Final = broken_by(
    "old_backups_removed",
    "All dumps but the newest were removed to make room.",
    {_RETENTION: {"oldest"}},
    lambda levers: levers.backups.without_old(),
)
copy_stopped: Final = broken_by(
    "copy_stopped",
    "The job that copies the dumps has stopped: the second copy is a week behind.",
    {_OFF_SITE: {"behind"}},
    lambda levers: levers.backups.copy_stopped(),
)
copy_cut_off: Final = broken_by(
    "copy_cut_off",
    "The newest dump was copied in part, under its full name.",
    {_OFF_SITE: {"behind"}},
    lambda levers: levers.backups.copy_cut_off(),
)
copy_emptied: Final = broken_by(
    "copy_emptied",
    "The second copy was emptied.",
    {_OFF_SITE: {"complete"}},
    lambda levers: levers.backups.copy_emptied(),
)
copy_on_the_same_disk: Final = broken_by(
    "copy_on_the_same_disk",
    "The second copy is on the disk of the backups.",
    {_OFF_SITE: {"apart"}},
    lambda levers: levers.replace_in_config("other_device = false", "other_device = true"),
)
vault_opened: Final = broken_by(
    "vault_opened",
    "The application's credentials may delete from the store of the backups.",
    {"backup.immutable[shop]": {"undeletable"}},
    lambda levers: levers.backups.vault_opened(),
)
backup_replaced: Final = broken_by(
    "backup_replaced",
    "Another job wrote its dump over the one that the manifest describes.",
    {_RESTORES: {"unaltered"}},
    lambda levers: levers.backups.replaced(options=["--compress=1"], known=False),
)
backup_lacks_rows: Final = broken_by(
    "backup_lacks_rows",
    "The dump lacks rows that the database had, and restores without an error.",
    {_RESTORES: {"rows"}},
    lambda levers: levers.drop_rows_from_backup(),
)
backup_without_role: Final = broken_by(
    "backup_without_role",
    "A role that the dump grants rights to is in no backup; every other right on that table is"
    " lost with it.",
    {_RESTORES: {"restored", "schema", "application-reads", "application-writes"}},
    lambda levers: levers.dump_without_role(),
)
backup_lacks_an_index: Final = broken_by(
    "backup_lacks_an_index",
    "The dump lacks an index that the database had: every row is there, and everything is slow.",
    {_RESTORES: {"schema"}},
    lambda levers: levers.backups.replaced("drop index shop.orders_note_idx"),
)
backup_lacks_a_sequence: Final = broken_by(
    "backup_lacks_a_sequence",
    "A sequence begins again in the restored copy: the first new customer gets a used number.",
    {_RESTORES: {"sequences"}},
    lambda levers: levers.backups.replaced(
        "select setval(pg_get_serial_sequence('shop.customers', 'customer_id'), 1)"
    ),
)
backup_lacks_large_objects: Final = broken_by(
    "backup_lacks_large_objects",
    "The dump was made without large objects: every table is equal, and the receipts are gone.",
    {_RESTORES: {"large-objects"}},
    lambda levers: levers.backups.replaced(options=["--no-blobs"]),
)
backup_cannot_be_written: Final = broken_by(
    "backup_cannot_be_written",
    "The sequence of the orders was behind when the backup was made, and its manifest with it:"
    " the application cannot write in the restored copy.",
    {_RESTORES: {"application-writes"}},
    lambda levers: levers.backups.made_of(
        "select setval(pg_get_serial_sequence('shop.orders', 'order_id'), 1)"
    ),
)
age_limit_too_wide: Final = broken_by(
    "age_limit_too_wide",
    "The limit on the age of a backup is so wide that one of last month is accepted.",
    {_RESTORES: {"damaged-copies"}},
    lambda levers: levers.replace_in_config(
        'role = "shop_backup"\n', 'role = "shop_backup"\nmax_age_h = 100000\n'
    ),
)
restore_slower_than_agreed: Final = broken_by(
    "restore_slower_than_agreed",
    "The restore takes longer than the contract allows.",
    {_OBJECTIVES: {"restore-time"}},
    lambda levers: levers.replace_in_config(
        "rpo_s = 93600\nrestore_level", "rpo_s = 93600\nrto_s = 0.001\nrestore_level"
    ),
)
archived_to_nowhere: Final = broken_by(
    "archived_to_nowhere",
    "archive_command is /bin/true: every view of the server reports success.",
    {_ARRIVES: {"arrival"}, _POINT: {"restored"}},
    lambda levers: levers.archive.to_nowhere(),
    needs=PART,
)
archiver_fails: Final = broken_by(
    "archiver_fails",
    "archive_command fails: the files stay on the server's own disk.",
    {_WAL: {"archiver"}, _ARRIVES: {"arrival"}, _POINT: {"restored"}},
    lambda levers: levers.archive.failing(),
    needs=PART,
)
archiver_falls_behind: Final = broken_by(
    "archiver_falls_behind",
    "archive_command has failed for so long that more files wait than agreed.",
    {_WAL: {"archiver", "backlog"}, _ARRIVES: {"arrival"}, _POINT: {"restored"}},
    lambda levers: levers.archive.behind(levers.replace_in_config),
    needs=PART,
)
wal_file_lost: Final = broken_by(
    "wal_file_lost",
    "One WAL file is missing in the repository: a restore to the end of the archive stops there,"
    " without an error.",
    {_WAL: {"continuous"}, _POINT: {"restored"}},
    lambda levers: levers.archive.file_lost(),
    needs=PART,
)
old_backup_damaged: Final = broken_by(
    "old_backup_damaged",
    "Three bytes of an older backup are damaged: `pgbackrest verify` prints it, and ends with 0.",
    {"backup.tool-verified[shop-wal]": {"verified"}},
    lambda levers: levers.archive.old_backup_damaged(),
    needs=PART,
)
repository_unencrypted: Final = broken_by(
    "repository_unencrypted",
    "The repository was made again without encryption.",
    {"backup.encrypted[shop-wal]": {"encrypted"}},
    lambda levers: levers.archive.unencrypted(),
    needs=PART,
)
restored_copy_rots: Final = broken_by(
    "restored_copy_rots",
    "An index of the restored copy is damaged: the server starts, and every row is there.",
    {"backup.restores[shop-wal]": {"sound", "checksums"}},
    lambda levers: levers.archive.restore_rots(levers.replace_in_config),
    needs=PART,
)
restore_ends_too_early: Final = broken_by(
    "restore_ends_too_early",
    "A restore to a point in time ends at the end of the backup.",
    {_POINT: {"row-before"}},
    lambda levers: levers.archive.restore_misses("early", levers.replace_in_config),
    needs=PART,
)
restore_goes_on_too_far: Final = broken_by(
    "restore_goes_on_too_far",
    "A restore to a point in time goes on to a later point.",
    {_POINT: {"row-after"}},
    lambda levers: levers.archive.restore_misses("late", levers.replace_in_config),
    needs=PART,
)
more_is_lost_than_agreed: Final = broken_by(
    "more_is_lost_than_agreed",
    "The contract allows the loss of one second, and WAL is archived less often.",
    {_WAL_OBJECTIVES: {"data-loss"}},
    lambda levers: levers.replace_in_config(
        "encrypted = true\nrpo_s = 93600", "encrypted = true\nrpo_s = 1"
    ),
    needs=PART,
)
recovery_slower_than_agreed: Final = broken_by(
    "recovery_slower_than_agreed",
    "The restore of the server's files takes longer than the contract allows.",
    {_WAL_OBJECTIVES: {"restore-time"}, _POINT: {"restore-time"}},
    lambda levers: levers.replace_in_config(
        "encrypted = true\nrpo_s = 93600", "encrypted = true\nrto_s = 0.001\nrpo_s = 93600"
    ),
    needs=PART,
)
