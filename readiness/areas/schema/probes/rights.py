"""What hinders the monitoring role from reading the tables, and the SQL that ends it."""

from typing import Final

from readiness.config.base.tables import Database
from readiness.lib import postgres
from readiness.lib.postgres.session import OF_THE_APPLICATION, looking

_SCHEMAS: Final = f"""
select quote_ident(n.nspname), bool_and(has_schema_privilege(n.oid, 'usage')),
       bool_and(has_table_privilege(c.oid, 'select')), bool_or(row_security_active(c.oid)),
       quote_ident(current_user)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where {OF_THE_APPLICATION} and c.relkind in ('r', 'p') and c.relpersistence <> 't'
group by 1 order by 1"""  # noqa: S608 - a constant of ours


def grants(database: Database) -> list[str]:
    """The SQL that lets the role of `dsn` read every row; none if it does."""
    found: list[str] = []
    with looking(database) as connection:
        rows = postgres.fetch(connection, _SCHEMAS)
    for schema, may_use, may_read, _, role in rows:
        if not may_use:
            found.append(f"grant usage on schema {schema} to {role}")
        if not may_read:
            found.append(f"grant select on all tables in schema {schema} to {role}")
    hidden = {role for *_, is_hidden, role in rows if is_hidden}
    return [*found, *(f"alter role {role} bypassrls" for role in hidden)]
