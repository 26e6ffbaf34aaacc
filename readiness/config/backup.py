"""The models of [backup.NAME]: where backups are, and what is promised of them."""

from pydantic import Field

from readiness.config.base import Count, Name, Named, Positive, Text
from readiness.secrets import Dsn


class Backup(Named):
    """A logical backup: a folder of `pg_dump -Fc` files, each with a manifest beside it."""

    database: Name = Field(..., description="the [databases.NAME] that is backed up")
    path: Text = Field(..., description="the folder the backups are written to")
    pattern: Text = Field("*.dump", description="which files of the folder are backups")
    max_age_h: Positive = Field(26, description="hours; age of the newest one: a day and two")
    min_bytes: Count = Field(1024, description="bytes; a smaller file is no backup")
    rto_s: Positive = Field(900, description="seconds; longest restore, to the last index")
    scratch_dsn: Dsn | None = Field(
        None,
        description="an empty server to restore into; default: a private one on this machine",
    )
