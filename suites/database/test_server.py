"""Is the server set up so that what it stores stays, and that its state can be seen?"""

from datetime import UTC, datetime

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import server
from readiness.areas.database.probes.releases import Release, newest_minor, supported_until
from readiness.lib.text import listed
from readiness.model.measurement import Limit


@check(
    "database.privileges",
    title="The monitoring role sees what it has to judge, and may do no more than that",
    each="database",
    severity="major",
    why="""Of what a role may not see, PostgreSQL shows nothing: no sessions, no figures, NULL for
    a sequence. That looks like a healthy system, and most tools take it for one. And the
    password of the monitoring role lies on many machines: a superuser's must not.""",
    fix="""As superuser, in the database:
      grant pg_monitor to ROLE;
      grant usage on schema SCHEMA to ROLE;
      grant select on all sequences in schema SCHEMA to ROLE;
      alter default privileges for role OWNER in schema SCHEMA grant select on sequences to ROLE;
      alter role ROLE nosuperuser;""",
)
def test_privileges(database: Database, evidence: Evidence) -> None:
    """The other checks of this suite say `error` for what they cannot see; this one says why."""
    found = server.rights(database)
    source = f"pg_roles, {found.role}"
    evidence.judge(
        "parts-pg-monitor-lacks",
        Measurement("parts of pg_monitor that it lacks", len(found.lacking), "count", source),
        equal_to(0),
        f"grant pg_monitor to {found.role}; it lacks {listed(found.lacking)}",
    )
    hidden = found.hidden_sequences
    evidence.judge(
        "sequences-cannot-read",
        Measurement("sequences that it cannot read", len(hidden), "count", "pg_class"),
        equal_to(0),
        f"grant select on them to {found.role}: {listed(hidden)}",
    )
    evidence.judge(
        "monitoring-role-superuser",
        Measurement("the monitoring role is a superuser", found.superuser, "truth", source),
        equal_to(False),
        f"alter role {found.role} nosuperuser; pg_monitor is enough",
    )


@check(
    "database.settings-durability",
    title="What was committed survives a crash: no setting trades it for speed",
    each="database",
    severity="blocker",
    why="""`fsync` or `full_page_writes` off make a test quick, and a power cut fatal: the
    database is damaged, and says so weeks later. `zero_damaged_pages` deletes what it cannot
    read. With `autovacuum` off, tables grow until the server stops to protect itself.""",
    fix="""Put back what the message names, and find who changed it:
      select name, setting, sourcefile, sourceline from pg_settings where name = 'SETTING';
      alter system reset SETTING; select pg_reload_conf();
    For one role or database: alter role ROLE reset SETTING; alter database NAME reset SETTING;
    After a time without fsync or full_page_writes and a crash in it: restore from a backup.""",
)
def test_settings_durability(database: Database, evidence: Evidence) -> None:
    """`synchronous_commit` off loses the last moments only, and no consistency: a warning."""
    for setting in server.settings(database):
        scope = f" of {setting.where}" if setting.where else ""
        evidence.judge(
            "value",
            Measurement(f"{setting.name}{scope}", setting.value, "text", "pg_settings"),
            _other_than(setting),
            "the last commits before a crash are lost"
            if setting.name == "synchronous_commit"
            else f"alter system reset {setting.name}; select pg_reload_conf()",
            warn_only=setting.name == "synchronous_commit",
        )


def _other_than(setting: server.Setting) -> Limit:
    return Limit("!=", setting.unsafe)


@check(
    "database.data-checksums",
    title="Damage on the disk would be noticed, and there was none",
    each="database",
    severity="major",
    why="""Disks and controllers return wrong bytes now and then, without an error. Without
    checksums they are copied into every backup until no good one is left; with them, the first
    read says so, and counts it.""",
    fix="""Checksums are off: in a maintenance window, with the server stopped,
      pg_checksums --enable -D DATA_FOLDER      (about a minute for 20 GB)
    or initdb --data-checksums for the next one; PostgreSQL 18 does so by itself.
    Failures were counted: take the host's disks for broken. Do not overwrite old backups; find
    the page in the server's log (invalid page in block), and restore on another host. Then
      select pg_stat_reset();  in that database""",
)
def test_data_checksums(database: Database, evidence: Evidence) -> None:
    """In all databases of the server: they lie on one disk."""
    found = server.checksums(database)
    evidence.judge(
        "data-checksums",
        Measurement("data_checksums", found.enabled, "truth", "show data_checksums"),
        equal_to(True),
        "what the disk damages is not noticed",
    )
    evidence.judge(
        "pages-wrong-checksum",
        Measurement("pages with a wrong checksum", found.failures, "count", "pg_stat_database"),
        equal_to(0),
        listed(found.where, between="; "),
    )


@check(
    "database.version-supported",
    title="The server's release is supported, and its fixes are installed",
    each="database",
    severity="major",
    why="""Minor releases contain fixes of data loss and of security holes, and nothing else.
    After five years a major release gets none any more, and what is found then stays open.""",
    fix="""A minor release: install it and restart, nothing else.
      select version();   apt-get install --only-upgrade postgresql-MAJOR
    A major release at its end: pg_upgrade, after a rehearsal on a restored backup
      https://www.postgresql.org/support/versioning/""",
)
def test_version_supported(database: Database, evidence: Evidence) -> None:
    """By PostgreSQL's own calendar: what came out of turn is not known here, and not asked for."""
    release, today = server.release(database), datetime.now(UTC).date()
    end = supported_until(release.major)
    evidence.judge(
        "days-postgresql-still-supported",
        Measurement(
            f"days that PostgreSQL {release.major} is still supported",
            (end - today).days,
            "days",
            "five years from each release",
        ),
        at_least(0),
        f"it ended on {end.isoformat()}",
    )
    newest = newest_minor(release.major, today)
    evidence.judge(
        "minor-releases-behind",
        Measurement(
            f"minor releases that {release} is behind",
            max(0, newest - release.minor),
            "count",
            "the calendar of minor releases",
        ),
        at_most(database.limits.minors_behind_max),
        f"{release.major}.{newest} is out, or a newer one",
        warn_only=True,
    )
    if database.limits.min_version:
        _judge_minimum(release, Release.read(database.limits.min_version), evidence)


def _judge_minimum(release: Release, wanted: Release, evidence: Evidence) -> None:
    evidence.judge(
        "newer",
        Measurement(
            f"{release} is {wanted} or newer", release >= wanted, "truth", "server_version"
        ),
        equal_to(True),
        "`min_version` in [databases.NAME.limits]",
    )


@check(
    "database.connections",
    title="There are connections left",
    each="database",
    severity="blocker",
    why="""When the last one is taken, every new client is refused, the application's restart
    included: an incident that cannot be ended by restarting. Some are reserved for superusers,
    so that the number an application may have is smaller than `max_connections`.""",
    fix="""See who has them, and what they do:
      select usename, application_name, state, count(*) from pg_stat_activity
      where backend_type = 'client backend' group by 1, 2, 3 order by 4 desc;
    Make the pools of the application smaller, or put PgBouncer in front of the server. A higher
    `max_connections` costs memory and needs a restart. The limits are `connections_warn_share`
    and `connections_max_share` in [databases.NAME.limits].""",
)
def test_connections(database: Database, evidence: Evidence) -> None:
    """Clients alone are counted, against what ordinary roles may have."""
    found = server.connections(database)
    no_more_than(
        evidence,
        "share",
        found.share,
        warn=database.limits.connections_warn_share,
        fail=database.limits.connections_max_share,
        because=f"{found.used} in use, most by {found.users}",
    )
