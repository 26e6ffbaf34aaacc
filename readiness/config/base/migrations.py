"""The table [databases.NAME.migrations]: how a database's schema is changed.

Stands alone, as its subject is neither monitoring nor the tables that all areas read.
"""

from typing import Annotated, Literal

from pydantic import Field

from readiness.config.base import Command, Count, File, Identifier, Model, Positive, Text
from readiness.model.secrets import Dsn

Tool = Literal["alembic", "django", "flyway", "sql"]


class Migrations(Model):
    """The migrations that lead to the schema, and the table of those that were applied."""

    tool: Tool = Field(..., description="what applies them: `sql` is `1_x.up.sql`, `1_x.down.sql`")
    folder: File = Field(..., description="their folder: alembic's `versions`, django's project")
    table: Annotated[str, Field(pattern=r"^([A-Za-z_][\w$]*\.)?[A-Za-z_][\w$]*$")] | None = Field(
        None,
        description="the table of what was applied; default: the tool's own, and"
        " `schema_migrations` for `sql`",
    )
    column: Identifier = Field("version", description="with `sql`: the column of the version")
    up: Command | None = Field(
        None,
        description="with alembic or django: prints the SQL of one migration; `{version}`,"
        " `{previous}` and `{app}` are filled in. It must not change a database",
    )
    down: Command | None = Field(None, description="the same for its rollback")
    newest: Count = Field(
        3, description="how many of the newest are judged by rollback, locks and squawk"
    )
    irreversible: list[Text] = Field(
        default=[],
        description="versions that cannot be rolled back, or have a part that is not SQL, which was"
        " accepted",
    )
    placeholders: dict[str, str] = Field(
        default={}, description="with flyway: the values of its placeholders, `${name}`"
    )
    role: Identifier | None = Field(
        None,
        description="the role that runs them, whose `lock_timeout` counts; default: the owner of"
        " the table of what was applied",
    )
    ignore: list[Text] = Field(
        default=[], description="patterns of objects that do not come from migrations"
    )
    base: File | None = Field(
        None, description="an SQL file run before the first: what the migrations rely on"
    )
    seed: File | None = Field(
        None, description="an SQL file with a few rows, run before the newest; they must survive"
    )
    max_blocked_s: Positive = Field(
        5, description="seconds other sessions may wait behind a migration that waits for a lock"
    )
    rewrite_max_mb: Positive = Field(
        100, description="MB; a larger table of the target must not be rewritten under a lock"
    )
    lint: bool = Field(
        True, description="whether squawk reads the newest; without it set this to false"
    )
    lint_exclude: list[Text] = Field(default=[], description="rules of squawk that are ignored")
    scratch_dsn: Dsn | None = Field(
        None,
        description="an empty server to try them on, never the server of the database;"
        " default: a private one on this machine",
    )
    timeout_s: Positive = Field(60, description="seconds that one migration may take there")
