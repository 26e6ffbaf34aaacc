"""TimescaleDB: the extension and its jobs, and what it does to each hypertable."""

from collections.abc import Sequence

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.database import ExpectedHypertable
from readiness.areas.database.config import Database, Hypertable, Timescale
from readiness.areas.database.probes import hypertables, timescale_jobs
from readiness.areas.database.probes.hypertables import Chunk, Policy, Scheduled, Table
from readiness.lib.findings import none_of
from readiness.lib.postgres import Connection, timescale
from readiness.lib.postgres.session import looking
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Limit

_DAY_S = 86_400
_GB = 1e9
_CHUNKS = "timescaledb_information.chunks"
_JOBS = "timescaledb_information.jobs"


@check(
    "database.timescale",
    title="TimescaleDB is installed, in one release, and its jobs run",
    failure_title="TimescaleDB is missing, of a wrong release, or its jobs do not run",
    each="database",
    needs="timescale",
    severity="blocker",
    why="""With a missing library or a mixed release, every query on a hypertable is refused. After
    a restore that was not ended, no row can be written, and nothing is compressed or dropped any
    more; a job that fails is retried silently until the disk is full.""",
    fix="""See what is there:
    select extversion from pg_extension where extname = 'timescaledb';
    show shared_preload_libraries; show timescaledb.license;
extension: not loaded: add timescaledb to shared_preload_libraries, and restart.
The package is newer: psql -X -c 'alter extension timescaledb update'
The catalog is of another release: restore with exactly the version of the dump, then update.
jobs: one failed, is late or paused; as the owner of the database:
    select job_id, err_message from timescaledb_information.job_errors order by start_time desc;
    call run_job(JOB);      select alter_job(JOB, scheduled => true);   select delete_job(JOB);
Late jobs: raise timescaledb.max_background_workers and max_worker_processes, and restart.
restoring: a restore was not ended: select timescaledb_post_restore();
scheduler: it is missing: select _timescaledb_functions.start_background_workers();""",
    judgements=("extension", "jobs", "restoring", "scheduler"),
)
def test_timescale(database: Database, evidence: Evidence) -> None:
    """All jobs but telemetry, by job_stats: job_errors shows a role its own jobs only.

    The restoring mode is a setting, which is looked for on the server, the database and its roles.
    """
    if database.timescale is None:
        raise NoData("not configured", where=f"[databases.{database.name}.timescale]")
    if not _judge_extension(database, database.timescale, evidence):
        return
    with timescale.connected(database) as (connection, _):
        places, source = timescale_jobs.restoring(connection), "pg_db_role_setting, pg_settings"
        name = "Settings that keep timescaledb.restoring on"
        measured = Measurement(name, len(places), "count", source)
        says = "timescaledb.restoring is on, so no row can be written"
        evidence.judge("restoring", measured, equal_to(0), f"set by {listed(places)}", says=says)
        with evidence.attempt():
            running = timescale_jobs.schedulers(connection)
            evidence.judge(
                "scheduler",
                Measurement("Schedulers in this database", running, "count", "pg_stat_activity"),
                equal_to(1),
                says=f"{running} schedulers run in this database, so nothing starts its jobs",
            )
        with evidence.attempt():
            _judge_jobs(timescale_jobs.jobs(connection), database, evidence)


def _judge_extension(database: Database, expected: Timescale, evidence: Evidence) -> bool:
    """Judge the extension; returns whether its views can be queried."""
    with looking(database) as connection:
        found = timescale.installed(connection)
        package = found.package if found else timescale.on_disk(connection)
        catalog = timescale.catalog_version(connection) if found else ""
    if found is None:
        evidence.judge(
            "extension",
            Measurement("Extension timescaledb", "absent", "text", "pg_extension"),
            equal_to("installed"),
            f"the server could install {package}" if package else "the server has no package of it",
            says="The extension timescaledb is not installed",
        )
        return False
    source = "current_setting('timescaledb.license', true)"
    measured = Measurement("Library timescaledb is loaded", bool(found.license), "truth", source)
    says = "The library timescaledb is not loaded, so every query on a hypertable is refused"
    loaded = evidence.judge("extension", measured, equal_to(value=True), says=says)
    _judge_releases(evidence, found, catalog, expected)
    if loaded and any(h.compressed or h.keep_d for h in expected.hypertables.values()):
        measured = Measurement("License", found.license, "text", "show timescaledb.license")
        says = f"The license is {found.license}, without compression and policies"
        evidence.judge("extension", measured, equal_to("timescale"), says=says)
    return loaded


def _judge_releases(
    evidence: Evidence, found: timescale.Extension, catalog: str, expected: Timescale
) -> None:
    if catalog:
        source = "_timescaledb_catalog.metadata"
        measured = Measurement("Release that wrote the catalog", catalog, "text", source)
        because = "a restore mixed the two"
        says = f"Release {catalog} wrote the catalog, and the extension is {found.version}"
        evidence.judge("extension", measured, equal_to(found.version), because, says=says)
    if expected.min_version:
        enough = found.release >= timescale.version_of(expected.min_version)
        evidence.judge(
            "extension",
            Measurement(f"At least {expected.min_version}", enough, "truth", "pg_extension"),
            Limit("==", value=True, setting=expected.deciding("min_version")),
            says=f"TimescaleDB is {found.version}; at least {expected.min_version} required",
        )
    if found.package:
        evidence.judge(
            "extension",
            Measurement("Release of the package", found.package, "text", "pg_available_extensions"),
            equal_to(found.version),
            "alter extension timescaledb update",
            says=f"The package is {found.package}, and the extension still {found.version}",
            warn_only=True,
        )


def _judge_jobs(
    found: Sequence[timescale_jobs.Job], database: Database, evidence: Evidence
) -> None:
    ended = sum(bool(job.last_run) for job in found)
    if not ended and not any(job.is_overdue or not job.scheduled for job in found):
        raise NoData(
            f"none of {len(found)} jobs has ended a run yet",
            where=database.dsn.address,
            remedy="run the gate once they have",
        )
    for name, wrong in (
        ("jobs failed in their last run", [job for job in found if job.has_failed]),
        ("jobs overdue, as no worker started them", [job for job in found if job.is_overdue]),
        ("jobs switched off", [job for job in found if not job.scheduled]),
    ):
        source = "timescaledb_information.job_stats"
        none_of(evidence, "jobs", name, [str(job) for job in wrong], len(found), source)


@check(
    "database.hypertables",
    title="Hypertables are compressed, pruned and growing as planned",
    failure_title="A hypertable is not compressed, pruned or growing as planned",
    each="hypertable",
    severity="major",
    why="""Created again by a migration, a hypertable becomes a plain table: every query still
    works, and nothing is compressed or dropped ever again. A paused policy does the same: the disk
    fills, and rows stay that had to be deleted by contract or law.""",
    fix="""hypertable: it is a plain table:
    select create_hypertable('TABLE', 'TIME_COLUMN', migrate_data => true);
chunk-interval: of new chunks only:
    select set_chunk_time_interval('TABLE', interval '1 day');
compression-policy, retention-policy: there is none, or it is off:
    select add_compression_policy('TABLE', interval '7 days');
    select add_retention_policy('TABLE', drop_after => interval '90 days');
    select alter_job(JOB, scheduled => true);
compression-coverage, expired-chunks: chunks are overdue (the message names them):
    select compress_chunk('CHUNK');
    select drop_chunks('TABLE', older_than => interval '90 days');
compression-ratio: segment by what queries filter by
    alter table TABLE set (timescaledb.compress, timescaledb.compress_segmentby = 'device',
                           timescaledb.compress_orderby = 'time');
growth: write less, drop unused indexes, or keep aggregates instead of rows
    select chunk_name, pg_size_pretty(total_bytes) from chunks_detailed_size('TABLE')
    order by total_bytes desc limit 10;
It is intended: change the key that the message names.""",
    judgements=(
        "hypertable",
        "chunk-interval",
        "compression-policy",
        "compression-coverage",
        "compression-ratio",
        "retention-policy",
        "expired-chunks",
        "growth",
    ),
)
def test_hypertables(hypertable: ExpectedHypertable, evidence: Evidence) -> None:
    """Policies, and the chunks themselves: the record of a policy does not show what it left.

    The chunk interval is that of new chunks. Growth is judged by the newest month of complete
    chunks, compressed where they have to be.
    """
    expected = hypertable.expected
    with timescale.connected(hypertable.database) as (connection, extension):
        table = hypertables.look(connection, expected.table)
        measured = Measurement(
            expected.table, table.kind, "text", "timescaledb_information.hypertables"
        )
        says = f"{expected.table} {f'is a {table.kind}' if table.oid else 'does not exist'}"
        if not evidence.judge("hypertable", measured, equal_to("hypertable"), says=says):
            return
        if expected.chunk_interval_h is not None:
            with evidence.attempt():
                _judge_interval(table, expected, expected.chunk_interval_h, evidence)
        with evidence.attempt():
            _judge_chunks(connection, extension, table, expected, evidence)


def _judge_interval(
    table: Table, expected: Hypertable, interval_h: float, evidence: Evidence
) -> None:
    if table.chunk_interval_h is None:
        raise CouldNotMeasure(
            "its time is a number or a UUID: its chunks have no interval in hours",
            where=expected.table,
            remedy="remove `chunk_interval_h`",
        )
    source = "timescaledb_information.dimensions"
    evidence.judge(
        "chunk-interval",
        Measurement(f"Chunk interval of {expected.table}", table.chunk_interval_h, "h", source),
        equal_to(interval_h, expected.deciding("chunk_interval_h")),
    )


def _judge_chunks(
    connection: Connection,
    extension: timescale.Extension,
    table: Table,
    expected: Hypertable,
    evidence: Evidence,
) -> None:
    chunks = hypertables.chunks(connection, table)
    if expected.keep_d is not None:
        with evidence.attempt():
            retention = hypertables.scheduled(connection, table, Policy.RETENTION)
            _judge_retention(chunks, retention, expected, expected.keep_d, evidence)
    compression = hypertables.scheduled(connection, table, Policy.COMPRESSION)
    if expected.compressed:
        saved = hypertables.saved(connection, extension, table)
        with evidence.attempt():
            _judge_compression(chunks, compression, saved, expected, evidence)
    on_disk = hypertables.on_disk(connection, extension, table)
    after_s = max((each.overdue_s for each in compression), default=0.0)
    grown = hypertables.growth(hypertables.settled(chunks, after_s), on_disk, expected.table)
    evidence.judge(
        "growth",
        Measurement(
            f"30 days of {expected.table} on disk",
            grown.bytes_per_month / _GB,
            "GB",
            f"chunks_detailed_size, of {grown.span_s / _DAY_S:.3g} days",
            samples=grown.chunks,
        ),
        at_most(expected.growth_max_gb, expected.deciding("growth_max_gb")),
        f"by {grown.chunks} complete chunks",
    )


def _judge_compression(
    chunks: Sequence[Chunk],
    policy: Sequence[Scheduled],
    saved: hypertables.Saved,
    expected: Hypertable,
    evidence: Evidence,
) -> None:
    if _judge_policy(evidence, "compression-policy", policy, expected.table):
        _judge_coverage(chunks, policy, expected, evidence)
    source = "chunk_compression_stats"
    if evidence.judge(
        "compression-ratio",
        Measurement("Compressed chunks", saved.chunks, "count", source),
        Limit("!=", 0),
        says=f"None of {len(chunks)} chunks of {expected.table} is compressed",
    ):
        least = expected.compression_min_ratio
        evidence.judge(
            "compression-ratio",
            Measurement(
                f"Share of the bytes saved in {expected.table}",
                saved.ratio,
                "ratio",
                f"{source}: {saved.before} bytes before, {saved.after} after",
                samples=saved.known,
            ),
            at_least(least, expected.deciding("compression_min_ratio")),
            f"of {saved.known} compressed chunks",
        )


def _judge_policy(evidence: Evidence, key: str, policy: Sequence[Scheduled], table: str) -> bool:
    name = key.replace("-", " ")
    measured = Measurement(f"Active {name}, jobs", len(policy), "count", _JOBS)
    return evidence.judge(key, measured, Limit("!=", 0), says=f"No {name} is active for {table}")


def _judge_coverage(
    chunks: Sequence[Chunk],
    policy: Sequence[Scheduled],
    expected: Hypertable,
    evidence: Evidence,
) -> None:
    due = [chunk for chunk in chunks if any(each.is_overdue(chunk) for each in policy)]
    evidence.record(Measurement("Chunks due for compression", len(due), "count", _CHUNKS))
    if not due:
        return
    left = [chunk for chunk in due if not chunk.compressed]
    least = expected.compression_min_coverage
    evidence.judge(
        "compression-coverage",
        Measurement(
            f"Compressed share of the due chunks of {expected.table}",
            1 - len(left) / len(due),
            "ratio",
            _CHUNKS,
            samples=len(due),
        ),
        at_least(least, expected.deciding("compression_min_coverage")),
        f"not compressed: {_oldest(left)}",
    )


def _judge_retention(
    chunks: Sequence[Chunk],
    policy: Sequence[Scheduled],
    expected: Hypertable,
    keep_d: float,
    evidence: Evidence,
) -> None:
    if _judge_policy(evidence, "retention-policy", policy, expected.table):
        measured = Measurement(
            f"The policy keeps {expected.table} for",
            min(each.after_s for each in policy) / _DAY_S,
            "days",
            _JOBS,
        )
        evidence.judge("retention-policy", measured, equal_to(keep_d, expected.deciding("keep_d")))
    # The agreement decides what is too old, at the pace of the policy or, without one, of a day.
    every_s = max((each.every_s for each in policy), default=_DAY_S)
    agreed = Scheduled(job=0, every_s=every_s, after_s=keep_d * _DAY_S)
    expired = [chunk for chunk in chunks if agreed.is_overdue(chunk)]
    measured = Measurement(
        f"Expired chunks of {expected.table}",
        len(expired),
        "count",
        _CHUNKS,
        samples=max(1, len(chunks)),
    )
    because = _oldest(expired)
    evidence.judge("expired-chunks", measured, Limit("==", 0, expected.deciding("keep_d")), because)


def _oldest(chunks: Sequence[Chunk]) -> str:
    """The oldest ones, by name and age."""
    oldest = sorted(chunks, key=lambda chunk: -chunk.age_s)
    return listed(
        f"{chunk.schema}.{chunk.name} ({chunk.age_s / _DAY_S:.3g} days)" for chunk in oldest
    )
