"""The saved schema: a file that `readiness schema save` writes, kept with the code."""

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from readiness.lib.postgres import connect
from readiness.lib.postgres.fingerprint import Fingerprint, fingerprint
from readiness.model.errors import CouldNotMeasure, UsageError
from readiness.model.measurement import now
from readiness.model.secrets import Dsn

FORMAT: Final = "readiness-schema/1"
_LARGEST: Final = 64 * 1024 * 1024
_REMEDY: Final = "write it from a database whose schema is right: readiness schema save NAME"


class SchemaManifest(BaseModel):
    """A schema as it was saved.

    Attributes:
        format: which fields the file has.
        saved_at: when.
        server: the major release of PostgreSQL it was read from.
        objects: each object's definition, by its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["readiness-schema/1"] = FORMAT
    saved_at: AwareDatetime
    server: int
    objects: Fingerprint


def save(dsn: Dsn, path: Path, *, timeout_s: float, at: datetime | None = None) -> SchemaManifest:
    """Save the schema of a database as it is now.

    Raises:
        UsageError: the file cannot be written.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(dsn, timeout_s=timeout_s) as connection:
        manifest = SchemaManifest(
            saved_at=at or now(),
            server=connection.info.server_version // 10_000,
            objects=dict(sorted(fingerprint(connection).items())),
        )
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from None
    return manifest


def read(path: Path) -> SchemaManifest:
    """Read a saved schema.

    Raises:
        CouldNotMeasure: the file is missing or invalid, or lists no objects.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CouldNotMeasure("is larger than 64 MiB", where=str(path), remedy=_REMEDY)
        manifest = SchemaManifest.model_validate_json(data)
    except OSError as error:
        raise CouldNotMeasure(
            f"cannot be read: {error.strerror}", where=str(path), remedy=_REMEDY
        ) from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CouldNotMeasure(
            f"is not a valid saved schema: {place}: {first['msg']}",
            where=str(path),
            remedy=_REMEDY,
        ) from None
    if not manifest.objects:
        raise CouldNotMeasure("lists no objects", where=str(path), remedy=_REMEDY)
    return manifest
