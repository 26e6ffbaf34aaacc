"""The tables [backup.NAME]: where backups are, how they are made, and what is promised of them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import (
    Command,
    Count,
    File,
    Model,
    Name,
    Named,
    Positive,
    Share,
    Text,
    tables,
)
from readiness.model.secrets import Dsn

Tool = Literal["dump", "pgbackrest", "barman", "wal-g", "basebackup", "command"]
"""What made the backups: pg_dump, or one of the tools that copy the server's files."""
Holds = Literal["full", "schema", "data", "globals", "volume"]

_ARCHIVING: Final = frozenset({"pgbackrest", "barman", "wal-g", "command"})
_RESTORING: Final = frozenset({"dump", "pgbackrest", "barman", "basebackup"})
_APPLICATION, _OBJECTIVES = 6, 7
# A restore that misses its objective is measured, and stopped only when that is certain.
_PATIENCE: Final = 1.5
_LEAST_PATIENCE_S: Final = 60.0


class Layer(Named):
    """A layer of the backup, `[backup.NAME.layers.NAME]`: one file each time it is made."""

    holds: Holds = Field(
        ...,
        description="full, schema, data: of the database, by pg_dump; globals: roles, by"
        " pg_dumpall; volume: a tar archive of files",
    )
    folder: File | None = Field(None, description="its folder; default: that of the backup")
    pattern: Text = Field(..., description="which files of the folder are this layer")
    newest_max_h: Positive | None = Field(
        None, description="hours; age of the newest; default: that of the backup"
    )


class Copy(Named):
    """A second copy, `[backup.NAME.copies.NAME]`: a folder, or a command that lists it."""

    folder: File | None = Field(None, description="the folder, where it is mounted here")
    list_command: Command | None = Field(
        None, description="prints a line for each file there: its size in bytes, a tab, its name"
    )
    other_device: bool = Field(
        True, description="whether a folder must lie on another file system than the backups"
    )
    behind_max_h: Positive = Field(
        4, description="hours that it may be behind: the newest backup must be there after that"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.folder is None) is (self.list_command is None):
            raise PydanticCustomError("copy_place", "needs one of `folder` and `list_command`")
        return self


class Immutable(Model):
    """Commands that show whether backups can be deleted; `{object}` becomes an unused name."""

    put: Command = Field(..., description="writes the object, as the backup job does")
    exists: Command = Field(..., description="ends with 0 while the object exists, else not")
    access: Command = Field(
        ...,
        description="does what the application's credentials may do, such as reading the object;"
        " must succeed: credentials that are not valid are refused everything",
    )
    delete: Command = Field(
        ..., description="tries to delete it with those same credentials; must fail"
    )
    remove: Command | None = Field(
        None, description="removes it with the keeper's credentials; none: retention does"
    )


class Application(Model):
    """What the application does in the restored copy; all of it is rolled back."""

    role: Text = Field(..., description="the role that the application uses")
    reads: Annotated[list[Text], Field(min_length=1)] = Field(
        ..., description="statements that must each return a row"
    )
    writes: Annotated[list[Text], Field(min_length=1)] = Field(
        ...,
        description="statements that must each change a row; leave keys to their defaults, as the"
        " application does: only then a sequence that is behind shows",
    )


class Adapter(Model):
    """Commands in place of a tool without an adapter (`tool = "command"`)."""

    list: Command = Field(
        ...,
        description="prints a JSON list of backups: label, started_at and finished_at (RFC 3339),"
        " size (bytes), first_segment, failed",
    )
    verify: Command = Field(
        ..., description='prints {"status": "ok"}, or another status and `problems`, a list'
    )
    segments: Command = Field(..., description="prints the name of each archived WAL file")
    restore: Command | None = Field(
        None,
        description="restores the newest backup into `{folder}`, with a restore_command; to the"
        " restore point `{point}` where that is not empty",
    )


class Physical(Model):
    """How the tool is called, and what may be done with what it restores."""

    command: Command | None = Field(
        None,
        description="the tool with its options, as ['pgbackrest', '--stanza=orders'] or"
        " ['barman']; not for `basebackup` and `command`",
    )
    server: Text | None = Field(None, description="the server's name, for barman")
    commands: Adapter | None = Field(None, description='for `tool = "command"`')
    account: Text | None = Field(
        None,
        description="the user that the tool and the restored server run as, where the gate runs"
        " as root; default: the user that runs the gate",
    )
    dsn: Dsn | None = Field(
        None,
        description="a role that may create a schema, pg_create_restore_point and pg_switch_wal;"
        " declares backup.archive-end-to-end and backup.point-in-time",
    )
    archived_within_s: Positive = Field(
        60, description="seconds until a finished WAL segment must be in the repository"
    )
    backlog_max: Count = Field(
        10, description="finished WAL segments that may wait for the archiver"
    )
    superuser: Text = Field("postgres", description="the superuser of the restored server")
    heartbeat_sql: Text | None = Field(
        None,
        description="as `heartbeat_sql` of the backup",
    )
    settings: dict[Text, Text] = Field(
        default={},
        description="settings that the restored server needs, such as shared_preload_libraries",
    )


class Backup(Named):
    """The backups of one database: `pg_dump` files with manifests, or those of another tool."""

    conditions: ClassVar[Mapping[str, str]] = {
        "is_restorable": "`physical.commands.restore`, which this tool needs to restore here",
        "archives_wal": "`tool` to one that archives WAL: pgbackrest, barman, wal-g or command",
    }

    database: Name = Field(..., description="the [databases.NAME] that is backed up")
    tool: Tool = Field(
        "dump", description="what makes them; all but `dump` need [backup.NAME.physical]"
    )
    path: File = Field(
        ...,
        description="the folder the backups are written to, or the repository of another tool",
    )
    pattern: Text = Field("*.dump", description="which files of the folder are backups")
    max_age_h: Positive = Field(
        26, description="hours; age of the newest one: a daily backup, and two hours for its run"
    )
    min_bytes: Count = Field(1024, description="bytes; a smaller file is not a backup")
    rto_s: Positive = Field(900, description="seconds; longest restore, to the last index")
    rpo_s: Positive | None = Field(
        None,
        description="seconds of writes that may be lost; judged by backup.recovery-objectives",
    )
    heartbeat_sql: Text | None = Field(
        None,
        description="returns the newest time that is written regularly, asked in the restored copy:"
        " `rpo_s` is measured by it; default: what the manifest of a dump says",
    )
    dumped_from: Name | None = Field(
        None,
        description="the [databases.NAME] that is dumped, where it is another server than that of"
        " `database`, such as a logical replica",
    )
    scratch_dsn: Dsn | None = Field(
        None,
        description="an empty server to restore into; default: a private one on this machine",
    )
    previous_share_min: Share = Field(
        0.5, description="least size of the newest, as a share of the one before"
    )
    database_share_min: Share = Field(
        0.005,
        description="least size of the newest, as a share of the tables' size on disk: well"
        " compressed rows, and indexes that a dump does not hold, leave about a fiftieth",
    )
    retention_days: Positive | None = Field(
        None, description="days that backups must reach back; declares backup.retention"
    )
    role: Text | None = Field(
        None, description="the role that makes the dumps: row security must hide no row from it"
    )
    encrypted: bool = Field(
        False, description="whether the stored bytes must be encrypted (backup.encrypted)"
    )
    restore_level: Annotated[int, Field(ge=1, le=8)] | None = Field(
        None,
        description="level of the proof of restore that was agreed: 3 restores, 4 contents, 5"
        " soundness, 6 application, 7 objectives, 8 damaged copies; what cannot be measured is an"
        " error up to this level, and only shown above it; default: every level",
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

    @model_validator(mode="after")
    def _declares_its_level(self) -> Self:
        level = self.restore_level or 0
        if level >= _APPLICATION and self.application is None:
            raise PydanticCustomError(
                "backup_level", "`restore_level` 6 and higher needs the table `application`"
            )
        if level >= _OBJECTIVES and self.rpo_s is None:
            raise PydanticCustomError("backup_level", "`restore_level` 7 and 8 needs `rpo_s`")
        return self

    @property
    def newest_sql(self) -> str | None:
        """What finds the newest time in the restored copy; of `physical` as before."""
        of_tool = self.physical.heartbeat_sql if self.physical else None
        return self.heartbeat_sql or of_tool

    @property
    def origin(self) -> str:
        """The key of the database that it must be of."""
        return self.dumped_from or self.database

    @property
    def is_restorable(self) -> bool:
        """Whether a check can restore it: wal-g and `command` need a command of the user's."""
        commands = self.physical.commands if self.physical else None
        return self.tool in _RESTORING or bool(commands and commands.restore)

    @property
    def archives_wal(self) -> bool:
        """Whether its tool archives WAL."""
        return self.tool in _ARCHIVING

    @property
    def patience_s(self) -> float:
        """When a restore, or the reading of a dump, is stopped, in seconds."""
        return max(_PATIENCE * self.rto_s, _LEAST_PATIENCE_S)

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its folder, barman's name of the server, and pgBackRest's stanza."""
        words = {"FOLDER": self.path} if self.tool == "dump" else {}
        if self.physical and self.physical.server:
            words["SERVER"] = self.physical.server
        for option in (self.physical.command if self.physical else None) or ():
            if option.startswith("--stanza="):
                words["STANZA"] = option.removeprefix("--stanza=")
        return words


class Config(tables.Config):
    """The tables of backup."""

    backup: Annotated[dict[Name, Backup], Field(min_length=1)] = Field(
        default={}, description="the backups, as [backup.NAME]"
    )
