"""Whether the application can write, and whether what it commits is kept."""

import json
from fnmatch import fnmatchcase

from readiness import Evidence, Measurement, at_least, check
from readiness.areas.database.config import Database
from readiness.areas.database.probes import application, replication, writing
from readiness.areas.database.probes.application import Role, Settings, is_on
from readiness.lib.findings import none_of
from readiness.lib.postgres import Connection
from readiness.lib.postgres.session import in_recovery, looking
from readiness.lib.text import listed

_DAY_S = 86400.0
_READ_ONLY = "default_transaction_read_only"
_TRIGGERS = "session_replication_role"
_WAITING = "synchronous_commit"


@check(
    "database.writable",
    title="The server accepts the application's writes, checks them and keeps them",
    failure_title="Writes of the application are refused, wait for ever, or may be lost",
    each="database",
    severity="blocker",
    core=True,
    explains=("database.replication-lag",),
    why="""A database that refuses every write answers each health check and each read. It happens
    after a migration or failover that left it read-only, with a password that ended overnight, or
    when commits wait for a standby that was renamed.""",
    fix="""The message has the statement for each; run one at a time, in a session that may write:
    set default_transaction_read_only = off;
read-only: it is the default: alter database NAME reset default_transaction_read_only;
    alter role ROLE reset default_transaction_read_only;
password: it has ended, or soon will: alter role ROLE valid until 'infinity' password 'NEW';
synchronous-standby: commits wait for one: the names are the `application_name` of each
    select application_name, state, sync_state from pg_stat_replication;
    alter system set synchronous_standby_names = 'STANDBY'; select pg_reload_conf();
replica-identity: UPDATE and DELETE fail on a published table:
    alter table TABLE replica identity using index UNIQUE_INDEX;   -- or: replica identity full
denied: the role may insert, but not use the schema or the sequence of a default:
    grant usage on schema SCHEMA to ROLE;
    grant usage on sequence SEQUENCE to ROLE;
discarded: a rule discards each new row without an error: drop rule RULE on TABLE;
triggers-skipped: foreign keys are not checked: alter role ROLE reset session_replication_role;
unlogged: rewrite the table under a lock: alter table TABLE set logged;
    or accept the loss: unlogged = ["SCHEMA.TABLE"]   in [databases.NAME]""",
    judgements=(
        "read-only",
        "password",
        "synchronous-standby",
        "triggers-skipped",
        "denied",
        "discarded",
        "replica-identity",
        "unlogged",
    ),
)
def test_writable(database: Database, evidence: Evidence) -> None:
    """Of the roles in `statements.roles`; without it, of those that may write its tables.

    Of several that may write, a role that is read-only is a warning: it may be a person's.
    """
    with looking(database) as connection:
        if in_recovery(connection):
            raise replication.is_standby(database)
        roles = application.roles(connection, database)
        settings = application.settings(connection)
        writers = [role for role in roles if role.writes]
        _judge_read_only(writers, settings, evidence)
        _judge_triggers(writers, settings, evidence)
        _judge_passwords(database, roles, evidence)
        with evidence.attempt():
            _judge_standbys(connection, writers, settings, evidence)
        _judge_rights(connection, writers, evidence)
        _judge_rules(connection, writers, evidence)
        _judge_tables(database, connection, evidence)


def _judge_read_only(roles: list[Role], settings: Settings, evidence: Evidence) -> None:
    if settings.hidden(_READ_ONLY):
        name = "default_transaction_read_only of the server, hidden by that of our own role"
        evidence.record(Measurement(name, "not visible", "text", "pg_settings"))
    found = {role: settings.of(_READ_ONLY, role) for role in roles or (None,)}
    refused = {role: held for role, held in found.items() if is_on(held.value)}
    # One of several may be a person's or a report's, and be read-only on purpose.
    doubtful = {
        role
        for role, held in refused.items()
        if held.of_role and role and not role.certain and len(refused) < len(found)
    }
    name, source = "roles of the application read-only by default", "pg_db_role_setting"
    for some, warn_only in ((refused.keys() - doubtful, False), (doubtful, True)):
        said = [
            f"{role.name if role else 'every role'}, by a setting of {held.where}: {held.unset}"
            for role, held in refused.items()
            if role in some
        ]
        none_of(evidence, "read-only", name, said, len(found), source, warn_only=warn_only)


def _judge_triggers(roles: list[Role], settings: Settings, evidence: Evidence) -> None:
    """A role that applies the changes of another database has the setting on purpose."""
    found = {role: settings.of(_TRIGGERS, role) for role in roles or (None,)}
    skipped = [
        f"{role.name if role else 'every role'}, by a setting of {held.where}: {held.unset}"
        for role, held in found.items()
        if held.value == "replica" and (role is None or role.certain or not held.of_role)
    ]
    name = "roles of the application run no triggers and check no foreign keys"
    none_of(evidence, "triggers-skipped", name, skipped, len(found), "session_replication_role")


def _judge_rights(connection: Connection, roles: list[Role], evidence: Evidence) -> None:
    """A schema may be closed on purpose; who may insert and not take a number was forgotten."""
    known = {role.oid: role for role in roles}
    found = writing.denied(connection, [*known])
    name, source = "roles of the application cannot insert where they may", "pg_class"
    for warn_only in (False, True):
        said = [
            f"{one.table}: grant {one.right} to {known[one.role].name};"
            for one in found
            if warn_only is (one.of_schema and not known[one.role].certain)
        ]
        none_of(evidence, "denied", name, said, len(known), source, warn_only=warn_only)


def _judge_rules(connection: Connection, roles: list[Role], evidence: Evidence) -> None:
    """A table that is closed on purpose is closed to the role, which then sees an error."""
    found = writing.discarded(connection, [role.oid for role in roles])
    name = "tables discard each row that the application inserts, by a rule"
    none_of(evidence, "discarded", name, found, writing.tables(connection), "pg_rewrite")


def _judge_passwords(database: Database, roles: list[Role], evidence: Evidence) -> None:
    """A role that nothing uses may have ended on purpose, and Vault renews its own."""
    known = [role for role in roles if role.certain or role.connected or role.ran]
    ends = {role: role.ends_in_s for role in known if not role.ends_alone}
    ended = [
        f"{role.name}, on {role.ends} UTC:"
        f" alter role {role.name} valid until 'infinity' password 'NEW';"
        for role, left in ends.items()
        if left is not None and left <= 0
    ]
    ended += [f"{role.name} (nologin): alter role {role.name} login;"
              for role in known if not role.usable]  # fmt: skip
    name, source = "roles of the application cannot log in, by their password", "pg_roles"
    none_of(evidence, "password", name, ended, len(roles), source)
    days = database.limits.password_warn_days
    soon = [
        f"{role.name}, on {role.ends} UTC"
        for role, left in ends.items()
        if left is not None and 0 < left < days * _DAY_S and role.name.strip('"')[:2] != "v-"
    ]
    name = f"passwords of the application end within {days} days"
    none_of(evidence, "password", name, soon, len(roles), source, warn_only=True)


def _judge_standbys(
    connection: Connection, roles: list[Role], settings: Settings, evidence: Evidence
) -> None:
    """Whoever commits with `local` or `off` waits for no standby."""
    commits = [settings.of(_WAITING, role).value for role in roles or (None,)]
    waits = [value for value in commits if value not in ("off", "local")]
    found = replication.synchronous(connection)
    if not waits:
        found = replication.Synchronous("", 0, 0, found.connected)
    there = listed(found.connected) or "none"
    because = f"synchronous_standby_names is '{found.names}'; connected standbys: {there}"
    if found.connected:
        names = ", ".join(f'"{name}"' for name in found.connected)
        because += (
            f"; alter system set synchronous_standby_names = '{names}'; select pg_reload_conf();"
        )
    measured = Measurement(
        "Standbys that confirm a commit", found.confirming, "count", "pg_stat_replication"
    )
    says = f"Every commit waits: {found.confirming} of {found.asked} synchronous standbys are there"
    evidence.judge("synchronous-standby", measured, at_least(found.asked), because, says=says)


def _judge_tables(database: Database, connection: Connection, evidence: Evidence) -> None:
    """Nobody is granted to change the rows of a log: without an identity, only its owner fails."""
    tables = writing.tables(connection)
    published = writing.without_identity(connection) + writing.published_partly(connection)
    name, source = (
        "published tables refuse UPDATE and DELETE, without a replica identity that fits",
        "pg_class",
    )
    for changes in (True, False):
        some = [str(table) for table in published if table.changes is changes]
        none_of(evidence, "replica-identity", name, some, tables, source, warn_only=not changes)
    lost = [
        one
        for one in writing.unlogged(connection)
        if not any(fnmatchcase(one.name, accepted) for accepted in database.unlogged)
    ]
    name = "tables unlogged, so that a crash or a failover empties them"
    for filled in (True, False):
        emptied = [one for one in lost if bool(one.size or one.is_sequence) is filled]
        accept = ", ".join(json.dumps(one.name) for one in emptied)
        none_of(
            evidence, "unlogged", name, [*map(str, emptied)], tables, source,
            commands=[
                *(one.fix for one in emptied if one.fix),
                f"-- or accept the loss, in [{database.place}]: unlogged = [{accept}]",
            ],
            warn_only=not filled,
        )  # fmt: skip
