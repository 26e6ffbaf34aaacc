"""Who may see and change what: by the flags, and by trying."""

from collections.abc import Mapping

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.schema.config import Database, DatabaseSchema
from readiness.areas.schema.probes.access import Guard, Sight, guards, powers, sights, writings
from readiness.lib.postgres import connect
from readiness.lib.text import listed
from readiness.model.errors import NoData


@check(
    "schema.row-security",
    title="Row level security is on, and each tenant sees only its own rows",
    failure_title="Row level security is off, or a tenant sees rows of others",
    each="database",
    needs="schema.protects_rows",
    severity="blocker",
    judgements=("enabled", "policies-off", "others-seen", "own-seen", "no-tenant"),
    why="""Policies of a table whose row level security is off protect nothing, and no error says
    so. Or every flag is right and a policy allows everything: customers then see each other's
    data, which only a session that acts as a tenant can show.""",
    fix="""Off:                    alter table TABLE enable row level security;
    The application owns it: alter table TABLE force row level security;
      better, let it connect as another role, see schema.application-role
    A tenant sees others, or not all of its own rows: read the policies and the role
      select policyname, roles, cmd, qual, with_check from pg_policies where tablename = 'TABLE';
      select rolname, rolsuper, rolbypassrls from pg_roles where rolname = 'APP';
      (permissive policies are combined with OR: the USING of one of them is too wide)
    Rows without a tenant:   use current_setting(NAME, true), which is then NULL""",
)
def test_row_security(database: Database, evidence: Evidence) -> None:
    """Reads only; schema.row-security-writes tries to write rows of others."""
    schema = database.schema or DatabaseSchema()
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = guards(connection)
    _judge_guards(schema, found, evidence)
    for table, tenancy in schema.tenancy.items():
        with evidence.attempt():
            for sight in sights(
                database.dsn, schema.app_dsn, table, tenancy, timeout_s=database.timeout_s
            ):
                _judge_sight(sight, table, evidence)


@check(
    "schema.row-security-writes",
    title="A tenant cannot write rows of another tenant",
    failure_title="A tenant can write rows of another tenant",
    each="database",
    needs="schema.tenancy",
    severity="blocker",
    effect="write",
    judgements=("refused",),
    why="""A policy may hide the rows of others and still accept new ones for them. One tenant can
    then plant data in another one's account, or move its own rows there.""",
    fix="""WITH CHECK of a policy is too wide, or missing while USING is too wide:
      select policyname, roles, cmd, qual, with_check from pg_policies where tablename = 'TABLE';
      alter policy NAME on TABLE with check (COLUMN = current_setting('SETTING', true));""",
)
def test_row_security_writes(database: Database, evidence: Evidence) -> None:
    """Each attempt runs in a transaction that is rolled back."""
    schema = database.schema or DatabaseSchema()
    for table, tenancy in schema.tenancy.items():
        with evidence.attempt():
            for tenant, ways in writings(
                schema.app_dsn, table, tenancy, timeout_s=database.timeout_s
            ):
                evidence.judge(
                    "refused",
                    Measurement(
                        f"ways in which {tenant} writes rows of others in {table}",
                        len(ways),
                        "count",
                        f"insert and update of {table}, rolled back",
                        samples=2,
                    ),
                    equal_to(0),
                    "the attempt was rolled back",
                    says=f"A row of {table} was {' and '.join(ways)} by the tenant {tenant}",
                )


@check(
    "schema.application-role",
    title="The application's role may read and write rows, and nothing more",
    failure_title="The application's role may do more than read and write rows",
    each="database",
    needs="schema.app_dsn",
    judgements=("powers",),
    why="""A single SQL injection has the rights of this role. If it owns the tables it can drop
    them, and with BYPASSRLS or a membership it reads every tenant's rows.""",
    fix="""The message has the statement that revokes each right. Let the application connect as
    its own role, and run migrations as the owner:
      create role app login;  grant usage on schema S to app;
      grant select, insert, update, delete on all tables in schema S to app;
      revoke create on schema public from public;      # PostgreSQL 14 and before""",
)
def test_application_role(database: Database, evidence: Evidence) -> None:
    """Asked as the role itself: rights through memberships count."""
    app = database.schema.app_dsn if database.schema else None
    if app is None:
        raise NoData("the application's role is not set", where="[databases.NAME.schema] app_dsn")
    with connect(app, timeout_s=database.timeout_s) as connection:
        role, found = powers(connection)
    evidence.record(Measurement("role of the application", role, "text", "current_user"))
    what = [f"{power.what} {listed(power.on)}".rstrip() for power in found]
    revoked = "; ".join(power.revoke for power in found[:3])
    evidence.judge(
        "powers",
        Measurement("rights it does not need", len(found), "count", "pg_roles, has_…_privilege"),
        equal_to(0),
        f"revoke with: {revoked}",
        says=f"The role {role} {listed(what, between=' and ')}",
    )


def _judge_guards(schema: DatabaseSchema, found: Mapping[str, Guard], evidence: Evidence) -> None:
    app = str(schema.app_dsn.words.get("user") or "") if schema.app_dsn else ""
    if schema.row_security:
        wrong = [
            f"{table} {problem}"
            for table in schema.row_security
            if (problem := _unprotected(found.get(table), app))
        ]
        evidence.judge(
            "enabled",
            Measurement(
                "tables that must be protected and are not",
                len(wrong),
                "count",
                "pg_class, pg_policy",
                samples=len(schema.row_security),
            ),
            equal_to(0, schema.deciding("row_security")),
            listed(wrong, between="; "),
            says=f"{len(wrong)} tables are not protected by row level security",
        )
    off = sorted(name for name, guard in found.items() if guard.policies and not guard.enabled)
    evidence.judge(
        "policies-off",
        Measurement("tables whose policies are off", len(off), "count", "pg_class, pg_policy"),
        equal_to(0),
        listed(off),
        says=f"{len(off)} tables have policies, but row level security is off",
    )


def _unprotected(guard: Guard | None, app: str) -> str:
    """Why row level security does not protect a table; empty if it does."""
    if guard is None:
        return "does not exist"
    if not guard.enabled:
        return "has row level security off"
    if not guard.policies:
        return "has no policy: only its owner sees its rows"
    if guard.owner == app and not guard.forced:
        return f"belongs to {app}, to whom its policies do not apply"
    return ""


def _judge_sight(sight: Sight, table: str, evidence: Evidence) -> None:
    if not sight.tenant:
        evidence.judge(
            "no-tenant",
            _count(f"rows of {table} seen without a tenant", sight.others, table),
            equal_to(0),
            says=f"A session without a tenant sees {sight.others:,} rows of {table}",
        )
        return
    who = f"Tenant {sight.tenant}"
    evidence.judge(
        "others-seen",
        _count(f"rows of {table} of others that {sight.tenant} sees", sight.others, table),
        equal_to(0),
        says=f"{who} sees {sight.others:,} rows of others in {table}",
    )
    evidence.judge(
        "own-seen",
        _count(f"rows of {table} of its own that {sight.tenant} sees", sight.own, table),
        at_least(1) if sight.expected is None else equal_to(sight.expected),
        says=f"{who} sees {sight.own:,} of its {sight.expected or 'own'} rows of {table}",
    )


def _count(name: str, value: int, table: str) -> Measurement:
    return Measurement(name, value, "count", f"select from {table}, as the tenant")
