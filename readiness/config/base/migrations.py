"""The models of [databases.NAME.migrations]: how a database's schema is changed."""

from typing import Annotated, Literal

from pydantic import Field

from readiness.config.base import Command, Count, Identifier, Model, Positive, Text
from readiness.model.secrets import Dsn

Tool = Literal["alembic", "django", "flyway", "sql"]


class Migrations(Model):
    """The migrations of a database, and the table that records which were applied."""

    tool: Tool = Field(..., description="what applies them: `sql` is `1_x.up.sql`, `1_x.down.sql`")
    folder: Text = Field(..., description="their folder: alembic's `versions`, django's project")
    table: Annotated[str, Field(pattern=r"^([A-Za-z_][\w$]*\.)?[A-Za-z_][\w$]*$")] | None = Field(
        None,
        description="the table of applied migrations; default: the tool's own, and"
        " `schema_migrations` for `sql`",
    )
    column: Identifier = Field("version", description="with `sql`: the column of the version")
    up: Command | None = Field(
        None,
        description="with alembic or django: prints the SQL of one migration; `{version}`,"
        " `{previous}` and `{app}` are filled in. It must not change a database",
    )
    down: Command | None = Field(None, description="the same for reverting it")
    newest: Count = Field(
        3, description="how many of the newest must revert, take short locks, and pass lint"
    )
    irreversible: list[Text] = Field(
        default=[], description="versions that cannot be reverted, which was accepted"
    )
    ignore: list[Text] = Field(
        default=[], description="patterns of objects that migrations do not create"
    )
    base: Text | None = Field(
        None, description="an SQL file run before the first: objects that the migrations assume"
    )
    seed: Text | None = Field(
        None, description="an SQL file with a few rows, run before the newest; they must survive"
    )
    max_blocked_s: Positive = Field(
        5, description="seconds a migration may make others wait while it waits for a lock"
    )
    rewrite_max_mb: Positive = Field(
        100, description="MB; a larger table of the target must not be rewritten under a lock"
    )
    lint_exclude: list[Text] = Field(default=[], description="rules of squawk to ignore")
    scratch_dsn: Dsn | None = Field(
        None,
        description="an empty server to try them on, never the target's database;"
        " default: a private one on this machine",
    )
    timeout_s: Positive = Field(60, description="seconds that one migration may take there")
