"""The model of [backup.NAME.physical]: tools that copy the server's files and its WAL."""

from pydantic import Field

from readiness.config.base import Command, Count, Model, Positive, Text
from readiness.model.secrets import Dsn


class Adapter(Model):
    """Commands that stand for a tool we have no adapter for (`tool = "command"`)."""

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
        " as root; default: whoever runs the gate",
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
        description="gives the newest time that somebody writes regularly: what RPO is measured by",
    )
    settings: dict[Text, Text] = Field(
        default={},
        description="settings that the restored server needs, such as shared_preload_libraries",
    )
