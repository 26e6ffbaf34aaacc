"""The models below [backup.NAME] that say what is promised beside the dumps themselves."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Model, Named, Positive, Text

Holds = Literal["full", "schema", "data", "globals", "volume"]


class Layer(Named):
    """A layer of the backup, `[backup.NAME.layers.NAME]`: a file for each time it is made."""

    holds: Holds = Field(
        ...,
        description="full, schema, data: of the database, by pg_dump; globals: roles, by"
        " pg_dumpall; volume: a tar archive of files",
    )
    folder: Text | None = Field(None, description="its folder; default: that of the backup")
    pattern: Text = Field(..., description="which files of the folder are this layer")
    newest_max_h: Positive | None = Field(
        None, description="hours; age of the newest; default: that of the backup"
    )


class Copy(Named):
    """A second copy, `[backup.NAME.copies.NAME]`: a folder, or a command that lists it."""

    folder: Text | None = Field(None, description="the folder, where it is mounted here")
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
    """How to see whether backups can be deleted; `{object}` becomes a name never used before."""

    put: Command = Field(..., description="writes the object, as the backup job does")
    exists: Command = Field(..., description="ends with 0 while the object is there, else not")
    let_in: Command = Field(
        ...,
        description="does what the application's credentials may do, as reading the object; has"
        " to succeed: credentials that nobody knows are refused everything",
    )
    delete: Command = Field(
        ..., description="tries to delete it with those same credentials; has to fail"
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
        description="statements that must each change a row; let keys come from their defaults,"
        " as the application does: a sequence that lags shows only then",
    )
