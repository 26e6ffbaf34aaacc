"""Is TimescaleDB there, and does it do its work in the background?"""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.database.subjects_timescale import ExpectedHypertable, TimescaleDatabase
from readiness.areas.database.timescale import hypertables
from readiness.areas.database.timescale import jobs as background
from readiness.areas.database.timescale import restoring as restore_mode
from readiness.lib import postgres
from readiness.lib.postgres import timescale
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData


@check(
    "database.timescale-extension",
    title="TimescaleDB is there, loaded, and the release that the data was written with",
    why="""A server that was upgraded or restored without its library, or with another release of
    it, refuses every query on a hypertable. With the Apache license alone, compression and
    retention policies do not exist, and nothing says so until the disk is full.""",
    fix="""See what is there:
    select extversion from pg_extension where extname = 'timescaledb';
    select default_version from pg_available_extensions where name = 'timescaledb';
    show shared_preload_libraries; show timescaledb.license;
Not loaded: shared_preload_libraries = 'timescaledb', and restart.
The package is newer: psql -X -c 'alter extension timescaledb update' as the first statement.
The catalog is of another release: restore again with exactly the version of the dump, and update
    afterwards.""",
    severity="major",
    effect="observe",
    each="timescale_database",
)
def test_timescale_extension(timescale_database: TimescaleDatabase, evidence: Evidence) -> None:
    """Present, loaded, one and the same release everywhere; a package that waits is a warning."""
    database, expected = timescale_database.database, timescale_database.timescale
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = timescale.installed(connection)
        package = found.package if found else timescale.on_disk(connection)
        catalog = timescale.catalog_version(connection) if found else ""
    present = evidence.judge(
        "text",
        _text("extension timescaledb", "installed" if found else "absent", "pg_extension"),
        equal_to("installed"),
        f"the server could install {package}" if package else "the server has no package of it",
    )
    if not found or not present:
        return
    loaded = evidence.judge(
        "text",
        _text(
            "library timescaledb",
            "loaded" if found.license else "not loaded",
            "current_setting('timescaledb.license', true)",
        ),
        equal_to("loaded"),
        "every query on a hypertable is refused",
    )
    _judge_versions(evidence, found, catalog, expected.min_version)
    if loaded and any(h.compressed or h.keep_d for h in expected.hypertables.values()):
        evidence.judge(
            "text",
            _text("license", found.license, "show timescaledb.license"),
            equal_to("timescale"),
            "without it there is no compression and no policy",
        )


def _judge_versions(
    evidence: Evidence, found: timescale.Extension, catalog: str, least: str | None
) -> None:
    if catalog:
        evidence.judge(
            "text",
            _text("release that wrote the catalog", catalog, "_timescaledb_catalog.metadata"),
            equal_to(found.version),
            "the release in pg_extension is another one: a restore mixed them",
        )
    if least:
        evidence.judge(
            "release-least",
            Measurement(
                f"release {found.version} is at least {least}",
                found.release >= timescale.version_of(least),
                "text",
                "pg_extension",
            ),
            equal_to(value=True),
            "the target needs what older releases do not have",
        )
    if not found.package:
        return
    evidence.judge(
        "text",
        _text("release of the package", found.package, "pg_available_extensions"),
        equal_to(found.version),
        "the update of the extension was left out: alter extension timescaledb update",
        warn_only=True,
    )


@check(
    "database.timescale-hypertables",
    title="The tables that must be hypertables are, with the chunks that were planned",
    why="""Created again by a migration or a restore, a hypertable becomes a plain table: every
    query still works, and nothing is compressed or dropped ever again. Chunks that are too large
    no longer fit into memory; thousands of small ones slow down the planning of every query.""",
    fix="""See what there is:
    select hypertable_schema, hypertable_name, num_chunks from timescaledb_information.hypertables;
    select hypertable_name, time_interval from timescaledb_information.dimensions;
A plain table: select create_hypertable('TABLE', 'TIME_COLUMN', migrate_data => true);
Another interval: select set_chunk_time_interval('TABLE', interval '1 day');  (new chunks only)
It was meant: change `chunk_interval_h`.""",
    severity="major",
    effect="observe",
    each="hypertable",
)
def test_timescale_hypertables(hypertable: ExpectedHypertable, evidence: Evidence) -> None:
    """The interval is that of the chunks to come."""
    expected = hypertable.expected
    with timescale.connected(hypertable.database) as (connection, _):
        table = hypertables.look(connection, expected.table)
    is_one = evidence.judge(
        "text",
        _text(f"{expected.table} is", table.kind, "timescaledb_information.hypertables"),
        equal_to("hypertable"),
        "nothing of it is compressed or dropped",
    )
    if not is_one or expected.chunk_interval_h is None:
        return
    if table.chunk_interval_h is None:
        raise CouldNotMeasure(
            "its time is a number or a UUID: its chunks have no interval in hours",
            where=expected.table,
            remedy="leave out `chunk_interval_h`",
        )
    evidence.judge(
        "chunk-interval",
        Measurement(
            f"chunk interval of {expected.table}",
            table.chunk_interval_h,
            "h",
            "timescaledb_information.dimensions",
        ),
        equal_to(expected.chunk_interval_h),
        "new chunks have another size than was planned",
    )


@check(
    "database.timescale-jobs",
    title="TimescaleDB's background jobs are on, run in time, and end well",
    why="""Compression, retention and the refresh of continuous aggregates are background jobs.
    Where all workers are taken they do not run at all, and a job that fails is tried again in
    silence: job_errors shows a monitoring role nothing of it.""",
    fix="""As the owner of the database, see what went wrong:
    select job_id, err_message from timescaledb_information.job_errors order by start_time desc;
    select job_id, next_start, last_successful_finish from timescaledb_information.job_stats;
Late ones: raise timescaledb.max_background_workers and max_worker_processes, and restart.
Try one by hand: call run_job(JOB);   a paused one: select alter_job(JOB, scheduled => true);
One that nobody needs: select delete_job(JOB);""",
    severity="major",
    effect="observe",
    each="timescale_database",
)
def test_timescale_jobs(timescale_database: TimescaleDatabase, evidence: Evidence) -> None:
    """All but telemetry, by job_stats."""
    with timescale.connected(timescale_database.database) as (connection, _):
        jobs = background.jobs(connection)
    ended = sum(bool(job.last_run) for job in jobs)
    if not ended and not any(job.is_overdue or not job.scheduled for job in jobs):
        raise NoData(
            f"none of {len(jobs)} jobs has ended a run yet",
            where=timescale_database.database.dsn.address,
            remedy="judge it once they have",
        )
    for name, found, because in (
        ("jobs whose last run failed", [j for j in jobs if j.has_failed], "failed"),
        ("jobs that are overdue", [j for j in jobs if j.is_overdue], "no worker came to them"),
        ("jobs that are switched off", [j for j in jobs if not j.scheduled], "paused"),
    ):
        source = "timescaledb_information.job_stats"
        evidence.judge(
            "name",
            Measurement(name, len(found), "count", source, samples=len(jobs)),
            equal_to(0),
            f"{because}: {listed(map(str, found))}",
        )


@check(
    "database.timescale-restoring",
    title="The database is out of the mode that a restore needs, and its jobs are driven",
    why="""timescaledb_pre_restore() switches a setting of the database on and stops the scheduler.
    Where timescaledb_post_restore() was forgotten, or failed, rows can be read, no row can be
    written, and nothing is compressed, dropped or refreshed any more.""",
    fix="""In that database, as its owner or a superuser:
    select timescaledb_post_restore();
It says that the catalog is of another release: see database.timescale-extension.
Only the scheduler is missing: it may have started before the change was committed, or somebody
stopped it; in either case nobody starts it again:
    select _timescaledb_functions.start_background_workers();
It does not stay: raise max_worker_processes (one for each database, and as many as
timescaledb.max_background_workers), and restart.""",
    severity="blocker",
    effect="observe",
    each="timescale_database",
)
def test_timescale_restoring(timescale_database: TimescaleDatabase, evidence: Evidence) -> None:
    """The setting wherever it may be kept, and the process that starts the jobs."""
    with timescale.connected(timescale_database.database) as (connection, _):
        places = restore_mode.restoring(connection)
        evidence.judge(
            "settings-keep-timescaledb-restoring",
            Measurement(
                "settings that keep timescaledb.restoring on",
                len(places),
                "count",
                "pg_db_role_setting, pg_settings",
            ),
            equal_to(0),
            f"set by {listed(places)}",
        )
        evidence.judge(
            "schedulers-timescaledb-this-database",
            Measurement(
                "schedulers of TimescaleDB in this database",
                restore_mode.schedulers(connection),
                "count",
                "pg_stat_activity",
            ),
            equal_to(1),
            "nothing starts its jobs",
        )


def _text(name: str, value: str, source: str) -> Measurement:
    return Measurement(name, value, "text", source)
