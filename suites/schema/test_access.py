"""Who may see and change what: by the flags, and by trying."""

from collections.abc import Mapping
from contextlib import suppress

from readiness import Evidence, Measurement, at_least, check, equal_to
from readiness.areas.schema.config import Database, DatabaseSchema, Tenancy
from readiness.areas.schema.probes.access import Guard, guards, led_astray, powers
from readiness.areas.schema.probes.bypass import Bypass, bypasses, forgotten
from readiness.areas.schema.probes.tenants import Reach, Sight, reaches, sights, writings
from readiness.lib.postgres import connect
from readiness.lib.text import listed
from readiness.model.errors import NoData
from readiness.model.figures import counted


@check(
    "schema.row-security",
    title="Row level security is on, and each tenant sees only its own rows",
    failure_title="Row level security is off, or a tenant sees rows of others",
    each="database",
    needs="schema.protects_rows",
    severity="blocker",
    judgements=(
        "enabled",
        "policies-off",
        "others-seen",
        "own-seen",
        "no-tenant",
        "bypassed",
        "forgotten",
    ),
    why="""Policies of a table whose row level security is off protect nothing, and no error says
    so. Or every flag is right and a policy allows everything, or a view reads the table as its
    owner, to whom policies do not apply: customers then see each other's data.""",
    fix="""enabled, policies-off: make the policies first: without one only the owner sees rows.
      create policy tenant on TABLE to APP
        using (COLUMN = nullif(current_setting('SETTING', true), '')::TYPE);
      alter table TABLE enable row level security;
      Meant for all tenants: list it in `shared` of [databases.NAME.schema]
      The application owns it: alter table TABLE force row level security;
      better, let it connect as another role, see schema.application-role
    others-seen, own-seen: read the policies and the role
      select policyname, roles, cmd, qual, with_check from pg_policies where tablename = 'TABLE';
      select rolname, rolsuper, rolbypassrls from pg_roles where rolname = 'APP';
      (permissive policies are combined with OR: the USING of one of them is too wide)
    no-tenant: compare with nullif(current_setting('SETTING', true), ''): it is NULL
      without a tenant, and current_setting alone is '' in a session that once had one
    bypassed: a view, from PostgreSQL 15 on (the application then needs select on its tables):
      alter view VIEW set (security_invoker = true);
      before 15, and materialized views: filter by tenant in the view, or
      revoke select on VIEW from APP, public;
      A function, likewise: alter function FUNCTION security invoker;
      A partition: revoke all on PARTITION from APP;      # it uses the table above it
    forgotten: make a policy, then alter table TABLE enable row level security; and declare it under
    `tenancy`""",
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
    with evidence.attempt():
        _judge_bypasses(database, schema, evidence)
    with evidence.attempt():
        _judge_forgotten(database, schema, evidence)


@check(
    "schema.row-security-writes",
    title="A tenant cannot write or delete rows of another tenant",
    failure_title="A tenant can write or delete rows of another tenant",
    each="database",
    needs="schema.tenancy",
    severity="blocker",
    effect="write",
    judgements=("refused", "reach"),
    why="""A policy may hide the rows of others and still accept new ones for them: one tenant
    plants data in another one's account. And policies for SELECT do not protect from a DELETE
    without WHERE, which reads no column: one tenant empties the table of all.""",
    fix="""See the policies:
      select policyname, roles, cmd, qual, with_check from pg_policies where tablename = 'TABLE';
    Writes rows for others: WITH CHECK is too wide, or missing while USING is too wide
      alter policy NAME on TABLE
        with check (COLUMN = nullif(current_setting('SETTING', true), '')::TYPE);
    Reaches rows of others: USING of the policy for UPDATE or DELETE is too wide
      alter policy NAME on TABLE
        using (COLUMN = nullif(current_setting('SETTING', true), '')::TYPE);
    Through a view that filters by tenant: alter view VIEW set (security_invoker = true);
      or alter view VIEW set (check_option = cascaded);""",
)
def test_row_security_writes(database: Database, evidence: Evidence) -> None:
    """Each attempt runs in a transaction that is rolled back; see `reaches` for what it locks.

    A view that filters by tenant is tried as well: it writes as its owner, whom no policy binds.
    """
    schema = database.schema or DatabaseSchema()
    for table, tenancy in schema.tenancy.items():
        with evidence.attempt():
            for reach in reaches(
                database.dsn, schema.app_dsn, table, tenancy, timeout_s=database.timeout_s
            ):
                _judge_reach(reach, table, evidence)
        with evidence.attempt():
            _judge_writings(database, table, tenancy, evidence)
    with evidence.attempt():
        for one in _around(database, schema) or ():
            if one.asks and (known := _tenancy_of(one, schema)):
                with suppress(NoData):  # its filter may leave out all rows of a tenant
                    _judge_writings(database, one.name, known, evidence)


@check(
    "schema.application-role",
    title="The application's role may read and write rows, and nothing more",
    failure_title="The application's role may do more than read and write rows",
    each="database",
    needs="schema.app_dsn",
    judgements=("powers", "search-path"),
    why="""A single SQL injection has the rights of this role. If it owns the tables it can drop
    them or switch their row security off, and with BYPASSRLS or a membership it reads every
    tenant's rows. A SECURITY DEFINER function without a search_path of its own runs what its caller
    puts in its way, with the rights of the function's owner.""",
    fix="""The message has the statement that revokes each right. Let the application connect as
    its own role, and run migrations as the owner:
      create role app login;  grant usage on schema S to app;
      grant select, insert, update, delete on all tables in schema S to app;
      revoke create on schema public from public;      -- PostgreSQL 14 and before
    Functions: alter function FUNCTION set search_path = SCHEMA, pg_temp;""",
)
def test_application_role(database: Database, evidence: Evidence) -> None:
    """Asked as the role itself: rights through memberships count."""
    app = database.schema.app_dsn if database.schema else None
    if app is None:
        raise NoData("the application's role is not set", where="[databases.NAME.schema] app_dsn")
    with connect(app, timeout_s=database.timeout_s) as connection:
        role, found = powers(connection)
        astray = led_astray(connection)
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
    evidence.judge(
        "search-path",
        Measurement(
            "SECURITY DEFINER functions without a search_path", len(astray), "count", "pg_proc"
        ),
        equal_to(0),
        listed(astray),
        says=f"{role} may run "
        + counted(
            len(astray),
            "SECURITY DEFINER function that looks",
            "SECURITY DEFINER functions that look",
        )
        + " up names in its own search_path",
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
            says=f"{counted(len(wrong), 'table is', 'tables are')} not protected by row level"
            " security",
        )
    off = sorted(name for name, guard in found.items() if guard.policies and not guard.enabled)
    evidence.judge(
        "policies-off",
        Measurement("tables whose policies are off", len(off), "count", "pg_class, pg_policy"),
        equal_to(0),
        listed(off),
        says=f"{counted(len(off), 'table has', 'tables have')} policies, but row level security is"
        " off",
    )


def _unprotected(guard: Guard | None, app: str) -> str:
    """Why row level security does not protect a table; empty if it does."""
    if guard is None:
        return "does not exist"
    if not guard.enabled:
        return "has row level security off" + ("" if guard.policies else ", and no policy yet")
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


def _judge_writings(database: Database, table: str, tenancy: Tenancy, evidence: Evidence) -> None:
    app = database.schema.app_dsn if database.schema else None
    for tenant, ways in writings(app, table, tenancy, timeout_s=database.timeout_s):
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


def _judge_reach(reach: Reach, table: str, evidence: Evidence) -> None:
    who = f"Tenant {reach.tenant}" if reach.tenant else "A session without a valid tenant"
    statement = f"{reach.way} without where"
    evidence.judge(
        "reach",
        Measurement(
            f"rows of others in {table} that {reach.tenant or 'nobody'} would {reach.way}",
            reach.others,
            "count",
            f"{statement}, rows counted and not changed",
        ),
        equal_to(0),
        says=f"{who} can {reach.way} {reach.others:,} rows of others in {table}"
        f" ({statement.upper()})",
    )


def _judge_bypasses(database: Database, schema: DatabaseSchema, evidence: Evidence) -> None:
    """By trying where a view has the tenant's column; else by what it asks of its user."""
    found = _around(database, schema)
    if found is None:
        evidence.record(Measurement("views that reach around", "not asked", "text", "app_dsn"))
        return
    leaks, unclear = [], []
    chosen = [one for one in found if one.chosen]
    for one in found:
        tenancy = _tenancy_of(one, schema)
        if tenancy:
            leaks += [one] if _shows_others(one, tenancy, database, schema) else []
        elif one.asks or one.totals or one.chosen:
            unclear.append(one.name)
        else:
            leaks.append(one)
    evidence.record(
        Measurement(
            "views that may filter by tenant, not judged", listed(unclear) or "none", "text",
            "pg_rewrite",
        )
    )  # fmt: skip
    evidence.judge(
        "bypassed",
        Measurement(
            "views, partitions and functions that reach around row security",
            len(leaks),
            "count",
            "pg_rewrite, pg_proc",
        ),
        equal_to(0),
        listed(map(str, leaks), between="; "),
        says="Every tenant sees the rows of all others through "
        + counted(len(leaks), "view, partition or function", "views, partitions or functions"),
    )
    evidence.judge(
        "bypassed",
        Measurement("functions of any tenant's rows", len(chosen), "count", "pg_proc"),
        equal_to(0),
        f"{listed(map(str, chosen), between='; ')}. Filter by tenant in it, or list it in `shared`",
        says=f"{counted(len(chosen), 'function gives or writes', 'functions give or write')} rows"
        " of whichever tenant the caller names",
        warn_only=True,
    )


def _judge_forgotten(database: Database, schema: DatabaseSchema, evidence: Evidence) -> None:
    roles = _roles(schema)
    if not roles or not schema.tenancy:
        return
    columns = {table: tenancy.column for table, tenancy in schema.tenancy.items()}
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = forgotten(connection, columns, roles)
    known = {*schema.tenancy, *(schema.row_security or ()), *schema.shared}
    open_to_all = [table for table in found if table not in known]
    evidence.judge(
        "forgotten",
        Measurement(
            "tables with the tenant's column and without row security",
            len(open_to_all),
            "count",
            "pg_attribute, pg_class",
        ),
        equal_to(0),
        listed(open_to_all),
        says=f"{counted(len(open_to_all), 'table')} with the tenant's column, but without row level"
        " security",
    )


def _roles(schema: DatabaseSchema) -> set[str]:
    """The roles that the application connects as."""
    logins = [dsn for one in schema.tenancy.values() for dsn in (one.logins or {}).values()]
    logins += [schema.app_dsn] if schema.app_dsn else []
    return {str(login.words.get("user") or "") for login in logins}


def _around(database: Database, schema: DatabaseSchema) -> list[Bypass] | None:
    """What reaches around row security and was not declared; None if no application is known."""
    roles = _roles(schema)
    if not roles:
        return None
    known = {*schema.tenancy, *schema.shared}
    tables = {*(schema.row_security or ()), *schema.tenancy}
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        return [one for one in bypasses(connection, tables, roles) if one.name not in known]


def _tenancy_of(one: Bypass, schema: DatabaseSchema) -> Tenancy | None:
    """How to act as a tenant, where the view has the column with the tenant of a table it reads."""
    tables = one.reads.split(", ")
    found = (schema.tenancy[table] for table in tables if table in schema.tenancy)
    return next((tenancy for tenancy in found if tenancy.column in one.columns), None)


def _shows_others(
    one: Bypass, tenancy: Tenancy, database: Database, schema: DatabaseSchema
) -> bool:
    timeout_s = database.timeout_s
    seen = sights(database.dsn, schema.app_dsn, one.name, tenancy, timeout_s=timeout_s)
    return any(sight.others for sight in seen)
