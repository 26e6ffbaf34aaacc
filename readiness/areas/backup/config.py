"""The models of [backup.NAME]: where backups are, and what is promised of them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.areas.backup.config_physical import Physical
from readiness.areas.backup.config_policy import Application, Copy, Immutable, Layer
from readiness.config.base import Count, Name, Named, Positive, Share, Text, tables
from readiness.model.secrets import Dsn

Tool = Literal["dump", "pgbackrest", "barman", "wal-g", "basebackup", "command"]
"""What made the backups: pg_dump, or one of the tools that copy the server's files."""


class Backup(Named):
    """The backups of one database: `pg_dump` files with manifests, or those of another tool."""

    database: Name = Field(..., description="the [databases.NAME] that is backed up")
    tool: Tool = Field(
        "dump", description="what makes them; all but `dump` need [backup.NAME.physical]"
    )
    path: Text = Field(
        ...,
        description="the folder the backups are written to, or the repository of another tool",
    )
    pattern: Text = Field("*.dump", description="which files of the folder are backups")
    max_age_h: Positive = Field(26, description="hours; age of the newest one: a day and two")
    min_bytes: Count = Field(1024, description="bytes; a smaller file is no backup")
    rto_s: Positive = Field(900, description="seconds; longest restore, to the last index")
    rpo_s: Positive | None = Field(
        None, description="seconds of writes that may be lost; declares backup.recovery-objectives"
    )
    scratch_dsn: Dsn | None = Field(
        None,
        description="an empty server to restore into; default: a private one on this machine",
    )
    previous_share_min: Share = Field(
        0.5, description="share of the one before that the newest must be large, at least"
    )
    database_share_min: Share = Field(
        0.005,
        description="share of the tables' size on disk that the newest must be large, at least:"
        " well compressed rows, and indexes that a dump does not hold, leave about a fiftieth",
    )
    retention_days: Positive | None = Field(
        None, description="days that one must be able to go back; declares backup.retention"
    )
    role: Text | None = Field(
        None, description="the role that makes the dumps; declares backup.not-filtered"
    )
    encrypted: bool = Field(
        False, description="whether the bytes that lie there must be encrypted (backup.encrypted)"
    )
    restore_level: Annotated[int, Field(ge=1, le=8)] = Field(
        4, description="level of the proof of restore that must be shown, 1 to 8; 4: contents"
    )
    layers: Annotated[dict[Name, Layer], Field(min_length=1)] = Field(
        default={}, description="what else is backed up beside the dumps, [backup.NAME.layers.NAME]"
    )
    copies: Annotated[dict[Name, Copy], Field(min_length=1)] = Field(
        default={}, description="second copies, as [backup.NAME.copies.NAME]"
    )
    immutable: Immutable | None = Field(
        None, description="how to try to delete a backup with the application's credentials"
    )
    application: Application | None = Field(
        None, description="what the application does in the restored copy"
    )
    physical: Physical | None = Field(
        None, description="how the tool is called that copies the server's files and its WAL"
    )

    @model_validator(mode="after")
    def _fits_its_tool(self) -> Self:
        if (self.tool == "dump") is not (self.physical is None):
            raise PydanticCustomError(
                "backup_tool", "`tool` other than dump, and the table `physical`, need each other"
            )
        return self


class Config(tables.Config):
    """The tables of backup."""

    backup: Annotated[dict[Name, Backup], Field(min_length=1)] = Field(
        default={}, description="the backups, as [backup.NAME]"
    )
