"""Is everything there that the database must consist of, and is it as it was meant to be?"""

from pathlib import Path

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.schema.manifest import read
from readiness.areas.schema.probes.rows import age_of_newest, rows_up_to
from readiness.areas.schema.subjects import SchemaOf
from readiness.lib.postgres import connect
from readiness.lib.postgres.fingerprint import Fingerprint, differences, fingerprint, kind_of
from readiness.lib.text import listed
from readiness.model.suggest import did_you_mean

_SOURCE = "pg_catalog, as `readiness schema save` reads it"


@check(
    "schema.expected-objects",
    title="Every table, view and function that the database must have is there",
    each="listed_schema",
    severity="blocker",
    why="""A schema that was erased by a script that ran in the wrong place answers every health
    check: the server is up, and connections are accepted. Only asking for the objects tells.""",
    fix="""Find out when it went, before anything is restored:
      the server's log (log_statement = ddl), and the history of deployments
    Restore only what is missing from the newest good backup:
      pg_restore --list FILE > list;  (keep the lines you need)  pg_restore -L list -d DATABASE FILE
    An object that was renamed on purpose: `objects` in [databases.NAME.schema].""",
)
def test_expected_objects(listed_schema: SchemaOf, evidence: Evidence) -> None:
    """Names are compared as `readiness schema save` writes them."""
    expected = listed_schema.schema.objects or []
    found = _fingerprint(listed_schema)
    missing = [name for name in expected if name not in found]
    hints = [f"{name}. {did_you_mean(name, _like(name, found))}".strip() for name in missing]
    evidence.record(Measurement("objects asked for", len(expected), "count", "readiness.toml"))
    evidence.judge(
        "objects-missing",
        Measurement("objects that are missing", len(missing), "count", _SOURCE),
        equal_to(0),
        listed(hints, between="; "),
    )


@check(
    "schema.row-floors",
    title="Tables that must have rows have them, and new ones",
    each="floored_schema",
    severity="blocker",
    why="""A table that was erased and made again is there, is healthy and is empty. And a table
    whose newest row is from last week says that something stopped writing.""",
    fix="""Empty: stop the writers and see what made the table
      select * from pg_stat_user_tables where relname = 'TABLE';   (n_tup_del, n_tup_ins)
    then restore its rows from the newest good backup:
      pg_restore --data-only -t TABLE -d DATABASE FILE
    Old: look at the job or service that writes it. Another floor: `min_rows`, `max_age_h` in
    [databases.NAME.schema.rows."TABLE"].""",
)
def test_row_floors(floored_schema: SchemaOf, evidence: Evidence) -> None:
    """Counted up to the floor and no further."""
    database = floored_schema.database
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        for table, floor in floored_schema.schema.rows.items():
            rows = rows_up_to(connection, table, floor.min_rows)
            enough = evidence.judge(
                "rows", rows, at_least(floor.min_rows), f"{table} was erased, or never filled"
            )
            if enough and floor.newest_by:
                evidence.judge(
                    "age-newest",
                    age_of_newest(connection, table, floor.newest_by),
                    at_most(floor.max_age_h),
                    f"nothing has written to {table} since",
                )


@check(
    "schema.fingerprint",
    title="The schema is the one that was saved with the code",
    each="saved_schema",
    severity="blocker",
    why="""What somebody changed by hand at night is in no migration: an index that only this
    server has, a policy that lets everybody in, a constraint that was dropped to get an import
    through. The next deployment, or the restored copy, is then another system.""",
    fix="""The message names each object. What was changed by hand and is to stay: write a
    migration for it. What is not to stay: undo it with the definition in the manifest.
    After a change that was meant:
      readiness schema save NAME     (and commit the file with the migration)
    What may come and go, such as partitions by day: `ignore` in [databases.NAME.schema].""",
)
def test_fingerprint(saved_schema: SchemaOf, evidence: Evidence) -> None:
    """Object by object, by definition: a policy's name tells nothing of what it lets through."""
    path = Path(saved_schema.schema.manifest or "")
    manifest = read(path)
    found = _fingerprint(saved_schema)
    changes = differences(manifest.objects, found, ignore=saved_schema.schema.ignore)
    evidence.record(Measurement("objects compared", len(manifest.objects), "count", str(path)))
    evidence.record(
        Measurement("saved", manifest.saved_at.isoformat(), "time", f"PostgreSQL {manifest.server}")
    )
    evidence.judge(
        "objects-differ",
        Measurement("objects that differ", len(changes), "count", f"{_SOURCE}, against {path}"),
        equal_to(0),
        listed(map(str, changes), between="; "),
    )


@check(
    "schema.extensions",
    title="The extensions that the database needs are there, in the agreed version",
    each="extended_schema",
    why="""A dump names an extension without its version, and another server creates the version
    that it has. A function that then works otherwise, or an index that cannot be read, is found
    by users.""",
    fix="""Missing:    create extension NAME;      (install its package on the server first)
    Too old:    alter extension NAME update to 'VERSION';
    After an upgrade of the server, do the latter for all of them:
      select name, installed_version, default_version from pg_available_extensions
      where installed_version <> default_version;
    Another version was agreed: `extensions` in [databases.NAME.schema].""",
)
def test_extensions(extended_schema: SchemaOf, evidence: Evidence) -> None:
    """`*` stands for any version, but not for none."""
    found = _fingerprint(extended_schema)
    for name, version in (extended_schema.schema.extensions or {}).items():
        definition = found.get(f"extension {name}") or found.get(f'extension "{name}"') or ""
        installed = definition.removeprefix("version ").partition(" in ")[0] or "none"
        good = installed if version == "*" and installed != "none" else version
        evidence.judge(
            "version",
            Measurement(f"version of {name}", installed, "text", "pg_extension"),
            equal_to(good),
            f"create extension {name}" if installed == "none" else f"alter extension {name} update",
        )


def _fingerprint(subject: SchemaOf) -> Fingerprint:
    with connect(subject.database.dsn, timeout_s=subject.database.timeout_s) as connection:
        return fingerprint(connection)


def _like(name: str, found: Fingerprint) -> list[str]:
    return [other for other in found if kind_of(other) == kind_of(name)]
