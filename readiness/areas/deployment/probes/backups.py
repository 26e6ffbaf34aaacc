"""Finds what was backed up before a deployment: the newest copy of each layer, and its checksum."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config import SavedLayer
from readiness.lib.files import BackupFile, age_of, files_in, sha256_of
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_SUM: Final = ".sha256"
_HEX: Final = re.compile(r"^\\?([0-9a-fA-F]{64})\b")
_LONGEST: Final = 1 << 16


def newest(layer: SavedLayer) -> BackupFile | None:
    """The newest copy, or None where there is none.

    Raises:
        CouldNotMeasure: see `readiness.lib.files.files_in`.
    """
    table = f"[deployment.layers.{layer.name}]"
    found = files_in(Path(layer.path), layer.pattern, table)
    return next((file for file in found if file.path.suffix != _SUM), None)


def place_of(layer: SavedLayer) -> str:
    """The pattern of its copies, with the folder."""
    return f"{layer.path}/{layer.pattern}"


def minutes_old(copy: BackupFile) -> Measurement:
    """How old a copy is, in minutes.

    Raises:
        CouldNotMeasure: it is from the future, so that a clock is wrong.
    """
    age = age_of(copy)
    minutes = timedelta(hours=float(age.value)) / timedelta(minutes=1)
    return Measurement("age of the newest copy", minutes, "min", age.source)


def sum_fits(copy: BackupFile) -> Measurement:
    """Whether the copy matches its checksum.

    Raises:
        NoData: there is no valid checksum beside it.
        CouldNotMeasure: one of the files cannot be read.
    """
    file = copy.path.with_name(f"{copy.path.name}{_SUM}")
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            told = _HEX.match(opened.read(_LONGEST))
    except FileNotFoundError:
        told = None
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(file)) from None
    if told is None:
        raise NoData(
            "the newest copy has no SHA-256 beside it",
            where=str(file),
            remedy=f"write it with the copy: sha256sum {copy.path.name} > {file.name}",
        )
    fits = sha256_of(copy.path) == told[1].lower()
    return Measurement("copies that do not match their checksum", int(not fits), "count", str(file))
