"""Does the database have the schema of the release, and nothing that was changed by hand?"""

from collections.abc import Mapping
from pathlib import Path

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.schema.config import Database, DatabaseSchema
from readiness.areas.schema.manifest import read
from readiness.lib.postgres import connect
from readiness.lib.postgres.fingerprint import Fingerprint, differences, fingerprint, kind_of
from readiness.lib.text import listed
from readiness.model.suggest import did_you_mean

_SOURCE = "pg_catalog, as `readiness schema save` reads it"


@check(
    "schema.fingerprint",
    title="The schema has every expected object, and equals the saved one",
    failure_title="The schema lacks expected objects, or differs from the saved one",
    each="database",
    needs="schema.lists_objects",
    severity="blocker",
    judgements=("objects-missing", "objects-differ", "extensions"),
    why="""A database whose tables were dropped by a script still accepts connections and passes
    every health check. A change made by hand, such as a policy that lets everybody in, is in no
    migration: the next deployment or a restored copy behaves differently.""",
    fix="""Missing object:     find out when it was dropped (server log, log_statement = ddl), then
      pg_restore --list FILE > list      # keep the lines of what is missing
      pg_restore -L list -d DATABASE FILE
    Changed by hand:    write a migration for it, or undo it with the definition in the manifest
    Changed on purpose: readiness schema save DATABASE      # commit the file with the migration
    Objects that come and go, such as daily partitions: `ignore` in [databases.NAME.schema]
    Missing extension:  create extension NAME;      # install its package on the server first
    Old extension:      alter extension NAME update to 'VERSION';""",
)
def test_fingerprint(database: Database, evidence: Evidence) -> None:
    """Compares definitions, not only names: a policy's name does not say what it allows."""
    schema = database.schema or DatabaseSchema()
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = fingerprint(connection)
    if schema.objects:
        _judge_objects(schema.objects, found, evidence)
    for name, version in (schema.extensions or {}).items():
        _judge_extension(name, version, found, schema, evidence)
    if schema.manifest:
        with evidence.attempt():
            _judge_manifest(Path(schema.manifest), found, schema, evidence)


def _judge_objects(expected: list[str], found: Fingerprint, evidence: Evidence) -> None:
    missing = [name for name in expected if name not in found]
    hints = [f"{name}. {did_you_mean(name, _like(name, found))}".strip() for name in missing]
    evidence.judge(
        "objects-missing",
        Measurement("missing objects", len(missing), "count", _SOURCE, samples=len(expected)),
        equal_to(0),
        listed(hints, between="; "),
        says=f"{len(missing)} of {len(expected)} expected objects are missing",
    )


def _judge_extension(
    name: str, version: str, found: Mapping[str, str], schema: DatabaseSchema, evidence: Evidence
) -> None:
    """`*` allows any version, but the extension must be installed."""
    definition = found.get(f"extension {name}") or found.get(f'extension "{name}"') or ""
    installed = definition.removeprefix("version ").partition(" in ")[0] or "none"
    allowed = installed if version == "*" and installed != "none" else version
    absent = installed == "none"
    evidence.judge(
        "extensions",
        Measurement(f"version of extension {name}", installed, "text", "pg_extension"),
        equal_to(allowed, schema.deciding("extensions")),
        f"create extension {name}"
        if absent
        else f"version {version} required; alter extension {name} update to '{version}'",
        says=f"Extension {name} is not installed" if absent else f"Extension {name} is {installed}",
    )


def _judge_manifest(
    path: Path, found: Fingerprint, schema: DatabaseSchema, evidence: Evidence
) -> None:
    manifest = read(path)
    changes = differences(manifest.objects, found, ignore=schema.ignore)
    saved = manifest.saved_at
    evidence.record(
        Measurement("schema saved", saved.isoformat(), "time", f"PostgreSQL {manifest.server}")
    )
    evidence.judge(
        "objects-differ",
        Measurement(
            "objects that differ from the saved schema",
            len(changes),
            "count",
            f"{_SOURCE}, compared with {path}",
            samples=len(manifest.objects),
        ),
        equal_to(0),
        listed(map(str, changes), between="; "),
        says=f"{len(changes)} objects differ from the schema saved on {saved:%Y-%m-%d}",
    )


def _like(name: str, found: Fingerprint) -> list[str]:
    return [other for other in found if kind_of(other) == kind_of(name)]
