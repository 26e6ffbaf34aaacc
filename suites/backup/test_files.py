"""Is there a backup: fresh, as large as it should be, of every layer, and whole?"""

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.backup.config import Backup
from readiness.areas.backup.config_policy import Layer
from readiness.areas.backup.probes import layers
from readiness.areas.backup.probes.contents import Content
from readiness.areas.backup.probes.files import number_of, size_of
from readiness.areas.backup.probes.sizes import size_of_tables
from readiness.areas.backup.probes.taken import newest_taken, whole
from readiness.config.models import Config
from readiness.lib.files import age_of
from readiness.lib.text import listed, worst
from readiness.model.errors import NoData
from readiness.model.evidence import NotApplicable


@check(
    "backup.backup-fresh",
    title="The newest backup is younger than the agreed loss of data",
    each="backup",
    severity="blocker",
    why="""What was written since the newest backup is lost in a disaster. Backup jobs stop
    without a sound: a full disk, an expired password, a cron entry that went with its host.""",
    fix="""Look at the last run of the job, then make a backup now:
      systemctl list-timers --all | grep -i backup;  journalctl -u UNIT --since -3d
      df -h FOLDER
      python -m readiness.areas.backup.manifest --dsn-env VARIABLE --folder FOLDER
      pgbackrest --stanza=NAME backup;  barman backup SERVER
    Let the job alert when it does not end well, and not only when it says so.""",
)
def test_backup_fresh(backup: Backup, evidence: Evidence) -> None:
    """Judged by the newest good one; none at all is a failure, not an unknown."""
    newest = newest_taken(backup)
    if newest is None:
        evidence.judge("number", number_of(backup, 0), at_least(1), "there is no backup at all")
        return
    evidence.judge("age", age_of(newest), at_most(backup.max_age_h), "no backup was made since")
    evidence.judge(
        "size", size_of(newest), at_least(backup.min_bytes), "so small a file holds no database"
    )


@check(
    "backup.size-sane",
    title="The newest backup is about as large as the one before it, and as the database",
    each="backup",
    severity="major",
    why="""A full disk, a filter or an empty database behind the right name leave a file that is
    fresh, whole and far too small. Its size is the first thing that tells, long before somebody
    needs what is not in it.""",
    fix="""Compare the list of contents of the two, and what the database says of itself:
      ls -l FOLDER;  pg_restore --list FILE | grep -c 'TABLE DATA'
      psql -c "select relname, pg_size_pretty(pg_table_size(oid)) from pg_class
               where relkind = 'r' order by pg_table_size(oid) desc limit 10"
    Rows that were deleted on purpose: the next backup is judged against the smaller one.
    Very well compressed: set `database_share_min` in [backup.NAME].""",
)
def test_size_sane(backup: Backup, target: Config, evidence: Evidence) -> None:
    """Whole ones: against the one before it, if there is one, and the tables' size on disk."""
    found = whole(backup)
    if not found:
        raise NoData("there is no backup", where=backup.path, remedy="see backup.backup-fresh")
    newest, before = found[0], found[1:2]
    for previous in before:
        evidence.judge(
            "size-share-backup-before",
            Measurement(
                "size as share of the backup before",
                newest.size / max(previous.size, 1),
                "ratio",
                f"{newest.size} bytes of {newest.where}, {previous.size} of {previous.where}",
            ),
            at_least(backup.previous_share_min),
            "the backup shrank, and nobody can say what it lacks",
        )
    tables = size_of_tables(target.databases[backup.database])
    evidence.record(tables)
    evidence.judge(
        "size-share-database-s",
        Measurement(
            "size as share of the database's tables",
            newest.size / float(tables.value),
            "ratio",
            f"{newest.size} bytes of {newest.where}; {tables.source}",
        ),
        at_least(backup.database_share_min),
        "too small to hold these tables",
    )


@check(
    "backup.layers",
    title="Every layer is backed up: fresh, of the right kind, and readable to its end",
    each="layered_backup",
    severity="major",
    why="""A dump of the tables is not the system: roles and their passwords, the bare schema,
    and the files on the volumes come back from backups of their own, or not at all.""",
    fix="""Make the layer again, and let the job that makes it alert when it does not end well:
      pg_dumpall --globals-only > FOLDER/globals.sql
      pg_dump --schema-only > FOLDER/schema.sql;  pg_dump -Fc --data-only > FOLDER/data.dump
      tar -czf FOLDER/files.tar.gz --directory /srv uploads
    A layer that this system does not have: take its table out of [backup.NAME.layers].""",
)
def test_layers(layered_backup: Backup, evidence: Evidence) -> None:
    """Each by its newest file; what it holds is told by the bytes, not by its name."""
    for layer in layered_backup.layers.values():
        _judge_layer(layered_backup, layer, evidence)


def _judge_layer(backup: Backup, layer: Layer, evidence: Evidence) -> None:
    file = layers.newest(backup, layer)
    place = layers.place_of(backup, layer)
    there = Measurement(f"files of layer {layer.name}", int(file is not None), "count", place)
    if (
        not evidence.judge("there", there, at_least(1), "this layer is in no backup")
        or file is None
    ):
        return
    limit = at_most(layer.newest_max_h or backup.max_age_h)
    evidence.judge("age", age_of(file, f"age of layer {layer.name}"), limit, "nobody made it since")
    content = layers.content(file.path, backup)
    held = layers.held(content, layer)
    name = f"{held.what} in layer {layer.name}"
    evidence.judge(
        "name",
        Measurement(name, held.number, "count", str(file.path)),
        at_least(1),
        f"this is no backup of kind `{layer.holds}`{_problem(content)}",
    )
    evidence.judge(
        "errors-reading-layer",
        Measurement(
            f"errors reading layer {layer.name}",
            int(bool(content.problem)),
            "count",
            str(file.path),
        ),
        equal_to(0),
        content.problem,
    )


def _problem(content: Content) -> str:
    return f" ({content.problem})" if content.problem else ""


@check(
    "backup.dump-complete",
    title="Every plain SQL dump is there to its last line",
    each="dump_backup",
    severity="blocker",
    why="""`psql -f` of a dump that was cut off ends with status 0: half of the rows are there, the
    foreign keys are not, and nobody is told. Only the last lines of the file show it.""",
    fix="""Look at the end of the file, and take the one before it if the last line is missing:
      tail -n 12 FILE     (`-- PostgreSQL database dump complete` must be there)
      df -h FOLDER
    Let the job fail with its parts: `set -o pipefail`, write to FILE.partial, rename at the end.
    Better: pg_dump -Fc, which also can be read in parallel and in part.""",
)
def test_dump_complete(dump_backup: Backup, evidence: Evidence) -> None:
    """Of the newest dump and of each layer's newest file: those that are plain SQL."""
    plain = layers.plain_dumps(dump_backup)
    if closed := layers.closed(dump_backup):
        raise NoData(
            f"cannot be looked into: {listed(file.path.name for file in closed)}",
            where=dump_backup.path,
            remedy="compress with gzip, or with pg_dump -Fc, which says itself when it is cut off",
        )
    if not plain:
        raise NotApplicable("no file of this backup is plain SQL")
    for file, dump in plain:
        evidence.judge(
            "signs-damage",
            Measurement(
                f"signs of damage in {file.path.name}", len(dump.problems), "count", str(file.path)
            ),
            equal_to(0),
            worst(dump.problems),
        )
