"""What psql is given of a plain dump, and what a dump says of roles and databases."""

from io import BytesIO
from textwrap import dedent

import pytest

from readiness.areas.backup.probes.plain_sql import for_psql, read_plain_dump, roles_named


@pytest.mark.parametrize(
    ("line", "roles"),
    [
        ("ALTER TABLE shop.orders OWNER TO shop_owner;", {"shop_owner"}),
        ('ALTER SCHEMA "a b" OWNER TO "an ""odd"" one";', {'an "odd" one'}),
        ("GRANT SELECT ON TABLE shop.orders TO app;", {"app"}),
        ("GRANT SELECT(a),UPDATE(a) ON TABLE a TO app WITH GRANT OPTION;", {"app"}),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", set()),
        ("GRANT SELECT ON TABLE a TO pg_monitor;", set()),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA a GRANT SELECT ON TABLES  TO app;",
            {"owner", "app"},
        ),
        ('CREATE POLICY p ON a FOR SELECT TO app, "b c" USING ((x = 1));', {"app", "b c"}),
        ("CREATE POLICY p ON a USING (true);", set()),
        ("SET SESSION AUTHORIZATION app;", {"app"}),
        ("SET SESSION AUTHORIZATION DEFAULT;", set()),
        ("CREATE USER MAPPING FOR app SERVER far;", {"app"}),
        ("INSERT INTO a VALUES ('GRANT a TO b;');", set()),
    ],
)
def test_roles_that_a_line_names(line: str, roles: set[str]) -> None:
    assert roles_named(line.encode()) == roles


ONE = r"""
    DROP INDEX shop.i;
    ALTER TABLE ONLY shop.a DROP CONSTRAINT a_pkey;
    DROP SCHEMA public;
    CREATE SCHEMA public;
    SET default_tablespace = fast;
    CREATE TABLE shop.a (
    COPY shop.a (t) FROM stdin;
    SET default_tablespace = fast;
    DROP TABLE x;
    \.
    DROP TABLE shop.later;
    """
GIVEN = r"""



    CREATE SCHEMA IF NOT EXISTS public;
    SET default_tablespace = '';
    CREATE TABLE shop.a (
    COPY shop.a (t) FROM stdin;
    SET default_tablespace = fast;
    DROP TABLE x;
    \.
    DROP TABLE shop.later;
    """
SEVERAL = r"""
    CREATE ROLE app;
    ALTER ROLE app WITH LOGIN PASSWORD 'SCRAM-SHA-256$1';
    \connect template1
    CREATE TABLE t (
    CREATE DATABASE shop;
    \unrestrict k
    \connect -reuse-previous=on "dbname='shop'"
    \restrict k
    ALTER DATABASE shop SET work_mem TO '8MB';
    GRANT CONNECT ON DATABASE shop TO app;
    CREATE TABLE a (
    CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
    \connect other
    CREATE TABLE b (
    """


def text_for_psql(text: str, database: str, databases: tuple[str, ...] = ()) -> str:
    lines = for_psql(BytesIO(dedent(text).encode()), database, databases)
    return b"".join(lines).decode()


def test_what_is_not_there_yet_is_not_dropped() -> None:
    """The numbers of the lines stay, for the messages of psql."""
    assert text_for_psql(ONE, "shop") == dedent(GIVEN)


def test_one_database_of_several() -> None:
    found = read_plain_dump(BytesIO(dedent(SEVERAL).encode()))
    assert found.databases == ("template1", "shop", "other")
    assert (found.passwords, found.has_settings, found.roles) == (True, True, 1)
    assert found.extensions == {"uuid-ossp"}
    assert text_for_psql(SEVERAL, "shop", found.databases).split("\n") == [
        *[""] * 8, r"\restrict k", "", "", "CREATE TABLE a (",
        'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;', "", "", "",
    ]  # fmt: skip
