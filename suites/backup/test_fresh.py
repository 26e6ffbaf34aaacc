"""Backups in store: fresh, complete, large enough, and kept as long as agreed."""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.config import Backup, Layer
from readiness.areas.backup.probes import stored
from readiness.areas.backup.probes.origin import left_out, origin_of, source_of
from readiness.areas.backup.probes.stored import taken
from readiness.areas.backup.tools.tool import no_backup
from readiness.config.models import Config
from readiness.lib.files import age_of
from readiness.lib.text import listed, worst
from readiness.model.errors import NoData
from readiness.model.measurement import now


@check(
    "backup.fresh",
    title="Backups are fresh, complete and large enough",
    failure_title="Backups are old, incomplete or too small",
    each="backup",
    severity="blocker",
    core=True,
    explains=("backup.recovery-objectives", "backup.retention"),
    why="""What was written since the newest backup is lost in a disaster, and so is what it lacks:
    the roles, the uploaded files, the second half of a dump on a full disk. Backup jobs stop
    without an alert: an expired password, a cron entry that went with its host. A dump of a standby
    that stands still, or of another database, has today's date too.""",
    fix="""exists, age: look at the last run of the job, then make a backup now:
      systemctl list-timers --all | grep -i backup;  journalctl -u UNIT --since -3d;  df -h FOLDER
      python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER
      pgbackrest --stanza=STANZA backup;  barman backup SERVER
    age of a standby's last commit: dump the primary, or see why the standby does not replay; one
    that nobody writes to looks the same without the right to see that it has all:
      psql -c 'select * from pg_stat_wal_receiver' -c 'select pg_is_wal_replay_paused()'
      psql -c 'grant pg_read_all_stats to BACKUP_ROLE'
    source: correct the job's connection string, `path` or `pattern`, then make a backup; dumped
    from a logical replica on purpose: name its [databases.NAME] as `dumped_from`:
      grep -rn pg_dump /etc/cron* /etc/systemd/system;  pg_restore --list --create FILE | head -30
    size, previous-size, database-size: compare the contents with the backup before and with the
    database; rows deleted on purpose: the next backup is compared with the smaller one:
      pg_restore --list FILE | grep -c 'TABLE DATA'
      psql -c "select relname, pg_size_pretty(pg_table_size(oid)) from pg_class
               where relkind = 'r' order by pg_table_size(oid) desc limit 10"
    layer-exists, layer-age, layer-contents, layer-readable: make the layer again:
      pg_dumpall --globals-only > FOLDER/globals.sql;  pg_dump --schema-only > FOLDER/schema.sql
      pg_dump -Fc --data-only > FOLDER/data.dump
      tar -czf FOLDER/files.tar.gz --directory /srv uploads
    complete: use the dump before it; let the job fail with its parts (`set -o pipefail`), write to
    FILE.partial and rename it at the end:
      tail -n 12 FILE     (`-- PostgreSQL database dump complete` must be there)
    role-sees-all, unfiltered: remove --enable-row-security from the job, then make a backup:
      psql -c 'alter role BACKUP_ROLE bypassrls'
      grep -rn 'enable-row-security\\|row_security' /etc/cron* /etc/systemd/system""",
    judgements=(
        "exists",
        "age",
        "source",
        "size",
        "previous-size",
        "database-size",
        "layer-exists",
        "layer-age",
        "layer-contents",
        "layer-readable",
        "complete",
        "role-sees-all",
        "unfiltered",
    ),
)
def test_fresh(backup: Backup, target: Config, evidence: Evidence) -> None:
    """By the newest backup that did not fail. No backup at all is a failure, not an unknown."""
    with evidence.attempt():
        _judge_newest(backup, target, evidence)
    for layer in backup.layers.values():
        with evidence.attempt():
            _judge_layer(backup, layer, evidence)
    if backup.tool == "dump":
        with evidence.attempt():
            _judge_plain_dumps(backup, evidence)
        if backup.role:
            with evidence.attempt():
                _judge_role(backup, backup.role, target, evidence)
    with evidence.attempt():
        if lacking := left_out(backup, target.databases[backup.database]):
            source = f"{backup.path}, and the catalog of [databases.{backup.database}]"
            evidence.record(Measurement("in no backup", "; ".join(lacking), "text", source))


def _judge_newest(backup: Backup, target: Config, evidence: Evidence) -> None:
    newest = stored.latest(backup)
    place = f"{backup.path}/{backup.pattern}"
    there = Measurement("backups found", int(newest is not None), "count", place)
    says = f"No backup found in {place}"
    if not evidence.judge("exists", there, at_least(1), says=says) or newest is None:
        return
    with evidence.attempt():
        limit = at_most(backup.max_age_h, backup.deciding("max_age_h"))
        evidence.judge("age", age_of(newest), limit, newest.where)
    limit = at_least(backup.min_bytes, backup.deciding("min_bytes"))
    size = Measurement("size of the newest backup", newest.size, "bytes", newest.where)
    evidence.judge("size", size, limit, newest.where)
    with evidence.attempt():
        _judge_source(backup, target, evidence)
    _judge_sizes(backup, target, evidence)


def _judge_source(backup: Backup, target: Config, evidence: Evidence) -> None:
    """By what the backup itself says, against the database as it is now."""
    origin = origin_of(backup)
    if origin is None:
        return  # what cannot be read is reported by the restore
    source = source_of(target.databases[backup.origin])
    if origin.databases:
        held = source.name if source.name in origin.databases else listed(origin.databases)
        evidence.judge(
            "source",
            Measurement("database of the newest backup", held, "text", origin.source),
            equal_to(source.name),
            says=f"{origin.where} is of the database {held}, and [databases.{backup.origin}] is"
            f" {source.name}",
        )
    elif origin.tables and source.tables:
        shared = len(origin.tables & source.tables)
        evidence.judge(
            "source",
            Measurement("tables that it shares", shared, "count", origin.source),
            at_least(1),
            says=f"{origin.where} has none of the {len(source.tables)} tables of"
            f" [databases.{backup.origin}]",
        )
    if origin.system and source.system:
        evidence.judge(
            "source",
            Measurement("server of the newest backup", origin.system, "text", origin.source),
            equal_to(source.system),
            says=f"{origin.where} is of the server with the system identifier {origin.system}, and"
            f" that of [databases.{backup.origin}] is {source.system}",
        )


def _judge_sizes(backup: Backup, target: Config, evidence: Evidence) -> None:
    found = taken(backup, whole=True)
    if not found:
        raise NoData(
            "no full backup found to compare sizes with",
            where=backup.path,
            remedy="make one, such as: pgbackrest --stanza=STANZA --type=full backup",
        )
    newest, before = found[0], found[1:2]
    for previous in before:
        evidence.judge(
            "previous-size",
            Measurement(
                "size as a share of the backup before",
                newest.size / max(previous.size, 1),
                "ratio",
                f"{newest.size} bytes of {newest.where}, {previous.size} of {previous.where}",
            ),
            at_least(backup.previous_share_min, backup.deciding("previous_share_min")),
            f"{newest.size} bytes after {previous.size}",
        )
    with evidence.attempt():
        tables = stored.size_of_tables(target.databases[backup.database])
        evidence.record(tables)
        evidence.judge(
            "database-size",
            Measurement(
                "size as a share of the database's tables",
                newest.size / float(tables.value),
                "ratio",
                f"{newest.size} bytes of {newest.where}; {tables.source}",
            ),
            at_least(backup.database_share_min, backup.deciding("database_share_min")),
            f"{newest.size} bytes for {tables.value} bytes of tables",
        )


def _judge_layer(backup: Backup, layer: Layer, evidence: Evidence) -> None:
    file = next(iter(stored.layer_files(backup, layer)), None)
    place = f"{layer.folder or backup.path}/{layer.pattern}"
    there = Measurement(f"files of layer {layer.name}", int(file is not None), "count", place)
    says = f"Layer {layer.name} is not backed up: no file {place}"
    if not evidence.judge("layer-exists", there, at_least(1), says=says) or file is None:
        return
    limit = (
        at_most(layer.newest_max_h, layer.deciding("newest_max_h"))
        if layer.newest_max_h
        else at_most(backup.max_age_h, backup.deciding("max_age_h"))
    )
    with evidence.attempt():
        evidence.judge("layer-age", age_of(file, f"age of layer {layer.name}"), limit, file.where)
    content = stored.content(file.path, backup)
    number, what = stored.held(content, layer)
    evidence.judge(
        "layer-contents",
        Measurement(f"{what} in layer {layer.name}", number, "count", str(file.path)),
        at_least(1),
        content.problem,
        says=f"{file.path} is not a `{layer.holds}` backup: it holds no {what}",
    )
    evidence.judge(
        "layer-readable",
        Measurement(
            f"errors reading layer {layer.name}",
            int(bool(content.problem)),
            "count",
            str(file.path),
        ),
        equal_to(0),
        content.problem,
        says=f"{file.path} cannot be read to its end",
    )


def _judge_plain_dumps(backup: Backup, evidence: Evidence) -> None:
    """The newest dump and each layer's newest file: those that are plain SQL."""
    for file, dump in stored.plain_dumps(backup):
        problems = len(dump.damage)
        evidence.judge(
            "complete",
            Measurement(f"signs of damage in {file.path.name}", problems, "count", file.where),
            equal_to(0),
            worst(dump.damage),
            says=f"The plain dump {file.path} is damaged",
        )
        if backup.role:
            filtered = dump.plain is not None and dump.plain.filtered
            evidence.judge(
                "unfiltered",
                Measurement(
                    f"{file.path.name} sets row_security = on", filtered, "text", file.where
                ),
                equal_to(False),
                "it holds only the rows that the policies show",
                says=f"{file.path} was made with --enable-row-security",
            )
    if closed := stored.closed(backup):
        raise NoData(
            f"these cannot be read here: {listed(f.path.name for f in closed)}",
            where=backup.path,
            remedy="compress with gzip, or with pg_dump -Fc, which reports a file that is cut off;"
            " encrypted on purpose: set `encrypted = true`",
        )


def _judge_role(backup: Backup, role: str, target: Config, evidence: Evidence) -> None:
    sight = stored.sight_of(role, target.databases[backup.database])
    tables = len(sight.tables)
    evidence.record(Measurement("tables whose rows would be hidden", tables, "count", sight.source))
    evidence.judge(
        "role-sees-all",
        Measurement(f"{role} bypasses row security", sight.bypasses, "text", sight.source),
        equal_to(True),
        listed(sight.tables) or "no table yet; the first policy will hide rows",
        says=f"Row security hides rows from the role {role} that makes the dumps",
    )


@check(
    "backup.retention",
    title="Backups cover the agreed retention",
    failure_title="The oldest backup is younger than the agreed retention",
    each="backup",
    needs="retention_days",
    severity="major",
    why="""A mistake is often found weeks after it was made. Where the older backups were removed to
    make room, the state before it cannot be restored.""",
    fix="""See which backups there are, and what removes them:
      ls -l --time-style=full-iso FOLDER | head -3;  pgbackrest --stanza=STANZA info
      repo1-retention-full, repo1-retention-full-type=time;  barman: RECOVERY WINDOW OF 30 DAYS
    A system that is younger than its retention: waive this check until it is old enough.""",
    judgements=("oldest",),
)
def test_retention(backup: Backup, evidence: Evidence) -> None:
    """By the oldest backup that did not fail and has a size."""
    found = [one for one in taken(backup) if one.size >= backup.min_bytes]
    if not found:
        raise no_backup(backup)
    oldest = min(found, key=lambda one: one.taken_at)
    days = (now() - oldest.taken_at).total_seconds() / 86_400
    evidence.judge(
        "oldest",
        Measurement(
            "age of the oldest backup",
            days,
            "d",
            f"{oldest.where}, {oldest.dated_by}",
            samples=len(found),
        ),
        at_least(backup.retention_days or 0, backup.deciding("retention_days")),
        oldest.where,
    )
