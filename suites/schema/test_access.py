"""Who may see and change what: by the flags, and by trying."""

from collections.abc import Sequence

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.schema.probes.access import Guard, guards, powers
from readiness.areas.schema.probes.tenants import Sight, sights
from readiness.areas.schema.subjects import SchemaOf
from readiness.lib.postgres import connect
from readiness.lib.text import listed
from readiness.model.errors import NoData


@check(
    "schema.row-security",
    title="Row level security is switched on where rows must be guarded, and has policies",
    each="guarded_schema",
    severity="blocker",
    why="""A policy on a table whose row level security is off guards nothing, and nothing says
    so. The table's owner passes all of them unless the table forces them on it, too.""",
    fix="""alter table TABLE enable row level security;
    If the application connects as the owner:
      alter table TABLE force row level security;
    Better: let it connect as another role (see schema.application-role).""",
)
def test_row_security(guarded_schema: SchemaOf, evidence: Evidence) -> None:
    """The flags; schema.row-security-behaviour tries what they lead to."""
    database, schema = guarded_schema.database, guarded_schema.schema
    app = schema.app_dsn.words.get("user") if schema.app_dsn else None
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = guards(connection)
    wrong = [
        f"{table}: {problem}"
        for table in schema.row_security or []
        if (problem := _unguarded(found.get(table), str(app or "")))
    ]
    evidence.judge(
        "tables-without-guard",
        Measurement("tables without a guard", len(wrong), "count", "pg_class, pg_policy"),
        equal_to(0),
        listed(wrong, between="; "),
    )
    asleep = sorted(name for name, guard in found.items() if guard.policies and not guard.enabled)
    evidence.judge(
        "tables-whose-policies-off",
        Measurement("tables whose policies are off", len(asleep), "count", "pg_class, pg_policy"),
        equal_to(0),
        f"{listed(asleep)}: their policies guard nothing",
    )


@check(
    "schema.row-security-behaviour",
    title="A tenant sees exactly its own rows, and can write none of another's",
    each="tenant_schema",
    severity="blocker",
    effect="write",
    why="""The flags can all be right, and the policy can let everybody in: `using (true)`, a
    setting that nobody sets, a role that passes it. Only being a tenant, and trying, tells.""",
    fix="""See what the policies say, and as whom you look:
      select policyname, roles, cmd, qual, with_check from pg_policies where tablename = 'TABLE';
      select rolname, rolsuper, rolbypassrls from pg_roles where rolname = 'APP';
    A tenant that sees others:    the USING of a permissive policy is too wide (they are or-ed)
    A tenant that writes others:  WITH CHECK is too wide, or missing while USING is
    A session of no tenant that sees rows: use current_setting(NAME, true), which is NULL then.""",
)
def test_row_security_behaviour(tenant_schema: SchemaOf, evidence: Evidence) -> None:
    """Everything that is tried is taken back: it runs in transactions that are rolled back."""
    database, schema = tenant_schema.database, tenant_schema.schema
    for table, tenancy in schema.tenancy.items():
        for sight in sights(
            database.dsn, schema.app_dsn, table, tenancy, timeout_s=database.timeout_s
        ):
            if sight.tenant:
                _judge_tenant(sight, table, evidence)
            else:
                evidence.judge(
                    "count",
                    _count(f"rows of {table} seen by no tenant", sight.others, table),
                    equal_to(0),
                    "whoever forgets to say which tenant it is for sees them",
                )


@check(
    "schema.application-role",
    title="The application's role may read and write rows, and nothing more",
    each="app_schema",
    why="""One statement that somebody manages to slip in has the rights of this role. If it
    owns the tables it can drop them; with CREATE it can leave a function that others run; with
    BYPASSRLS or a membership no row is guarded from it.""",
    fix="""Let the application connect as a role of its own, and the migrations as the owner:
      create role app login;  grant usage on schema S to app;
      grant select, insert, update, delete on all tables in schema S to app;
      revoke create on schema public from public;      (PostgreSQL 14 and before)
    The message names what is too much, and the statement that takes it away.""",
)
def test_application_role(app_schema: SchemaOf, evidence: Evidence) -> None:
    """Asked as the role itself: what comes through memberships counts."""
    if app_schema.schema.app_dsn is None:
        raise NoData("no role of the application is named", where="[databases.NAME.schema] app_dsn")
    with connect(app_schema.schema.app_dsn, timeout_s=app_schema.database.timeout_s) as connection:
        role, found = powers(connection)
    evidence.record(Measurement("role of the application", role, "text", "current_user"))
    told = [f"{role} {power.what} {listed(power.on)}".rstrip() for power in found]
    mends = "; ".join(power.mend for power in found[:3])
    evidence.judge(
        "powers-need",
        Measurement("powers it need not have", len(found), "count", "pg_roles, has_…_privilege"),
        equal_to(0),
        f"{listed(told, between='; ')}. To take it away: {mends}",
    )


def _unguarded(guard: Guard | None, app: str) -> str:
    """What is wrong with the guard of a table; empty if nothing is."""
    if guard is None:
        return "there is no such table"
    if not guard.enabled:
        return "row level security is off"
    if not guard.policies:
        return "there is no policy: nobody but the owner sees a row"
    if guard.owner == app and not guard.forced:
        return f"{app} owns it, and passes its policies"
    return ""


def _judge_tenant(sight: Sight, table: str, evidence: Evidence) -> None:
    who = f"the tenant {sight.tenant}"
    evidence.judge(
        "count",
        _count(f"rows of {table} of others, seen by {who}", sight.others, table),
        equal_to(0),
        "it sees what belongs to others",
    )
    own = _count(f"rows of {table} of its own, seen by {who}", sight.own, table)
    if sight.expected is None:
        evidence.judge("own", own, at_least(1), f"{who} sees nothing of its own")
    else:
        evidence.judge(
            "own", own, equal_to(sight.expected), f"{who} has {sight.expected} rows and sees others"
        )
    tried = {"inserted": sight.inserts, "given to another tenant": sight.moves}
    done = [word for word, could in tried.items() if could]
    if any(could is not None for could in tried.values()):
        evidence.judge(
            "count",
            _count(f"ways in which {who} writes another's rows of {table}", len(done), table),
            equal_to(0),
            f"a row of another tenant was {_and(done)} (and taken back), not refused",
        )


def _count(name: str, value: int, table: str) -> Measurement:
    return Measurement(name, value, "count", f"select, insert and update of {table}, rolled back")


def _and(words: Sequence[str]) -> str:
    return " and ".join(words)
