"""The levels of the proof of restore, each judged as its own check judges it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from readiness.areas.backup.beside_tables import lagging
from readiness.areas.backup.config import Backup
from readiness.areas.backup.dump_objections import accepted
from readiness.areas.backup.manifest import read_manifest
from readiness.areas.backup.probes.application import failed, try_application
from readiness.areas.backup.probes.cluster import RestoredCluster
from readiness.areas.backup.probes.controls import dump_controls
from readiness.areas.backup.probes.restore import Restored
from readiness.areas.backup.restore_ladder import Step
from readiness.areas.backup.tools.tool import physical_of
from readiness.lib.files import age_of
from readiness.lib.postgres import connect, fetch_value
from readiness.lib.postgres.contents import differences
from readiness.lib.postgres.fingerprint import differences as schema_differences
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement, now

_TIMEOUT_S: Final = 60.0


def data_loss(backup: Backup, restore: Restored | RestoredCluster) -> Measurement:
    """How much would be lost: the time since the moment that the restored copy is of.

    Raises:
        CouldNotMeasure: it was not restored, or the heartbeat gives no time.
    """
    restore.restore_time()
    if isinstance(restore, Restored):
        taken = read_manifest(restore.file.manifest).started_at
        source = f"snapshot of {restore.where}"
        return Measurement("writes that would be lost", _since(taken, now()), "s", source)
    sql = physical_of(backup).heartbeat_sql or ""
    with connect(restore.database(), timeout_s=_TIMEOUT_S) as connection:
        last = fetch_value(connection, sql)
    if not isinstance(last, datetime) or last.tzinfo is None:
        raise NoData(f"gave {last!r}, and no time with a zone", where=sql)
    return Measurement("writes that would be lost", _since(last, restore.began), "s", sql)


def steps_of(backup: Backup, restore: Restored) -> list[Step]:
    """Every level from 1 on; a problem at one of them does not hide those above it."""
    judged: list[Callable[[Backup, Restored], str]] = [
        _is_there, _is_readable, _restores, _is_the_same, _is_sound, _serves, _in_time, _rejects,
    ]  # fmt: skip
    return [Step(level, _tell(judge, backup, restore)) for level, judge in enumerate(judged, 1)]


def _tell(judge: Callable[[Backup, Restored], str], backup: Backup, restore: Restored) -> str:
    try:
        return judge(backup, restore)
    except CouldNotMeasure as error:
        return error.sentence


def _is_there(backup: Backup, restore: Restored) -> str:
    age = age_of(restore.file)
    if float(age.value) > backup.max_age_h:
        return f"{age}, must be <= {backup.max_age_h:g}"
    small = restore.file.size < backup.min_bytes
    return f"{restore.file.size} bytes are no backup" if small else ""


def _is_readable(_: Backup, restore: Restored) -> str:
    return "" if restore.reading.clean else str(restore.reading)


def _restores(_: Backup, restore: Restored) -> str:
    return "; ".join(said for errors, said in restore.errors() if errors.value)


def _is_the_same(_: Backup, restore: Restored) -> str:
    return next(_what_differs(restore), "")


def _what_differs(restore: Restored) -> Iterator[str]:
    manifest = read_manifest(restore.file.manifest)
    if not (manifest.tables and manifest.objects) or manifest.sequences is None:
        yield "the manifest does not say what it should hold"
        return
    yield from map(str, differences(manifest.tables, restore.contents()))
    yield from map(str, schema_differences(manifest.objects, restore.objects()))
    yield from lagging(manifest.sequences, restore.sequences())
    if manifest.large_objects != restore.large_objects():
        yield "the large objects differ"


def _is_sound(_: Backup, restore: Restored) -> str:
    return "; ".join(restore.sound().corrupt[:1])


def _serves(backup: Backup, restore: Restored) -> str:
    if backup.application is None:
        return f"[backup.{backup.name}.application] is not declared"
    for tried in failed(try_application(restore.database(), backup.application)):
        return f"{tried.rows.source}: {tried.problem or 'no row'}"
    return ""


def _in_time(backup: Backup, restore: Restored) -> str:
    if backup.rpo_s is None:
        return f"[backup.{backup.name}] has no rpo_s"
    for figure, limit in (
        (data_loss(backup, restore), backup.rpo_s),
        (restore.restore_time(), backup.rto_s),
    ):
        if float(figure.value) > limit:
            return f"{figure}, must be <= {limit:g}"
    return ""


def _rejects(backup: Backup, restore: Restored) -> str:
    passed = accepted(dump_controls(backup, restore))
    return f"{passed[0]} would have passed" if passed else ""


def _since(moment: datetime, until: datetime) -> float:
    return max(0.0, (until - moment).total_seconds())
