"""Looks at what was saved before a deployment: the newest copy of each layer, and its sum."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config_before import SavedLayer
from readiness.lib.files import BackupFile, age_of, files_in, sha256_of
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_SUM: Final = ".sha256"
_HEX: Final = re.compile(r"^\\?([0-9a-fA-F]{64})\b")
_LONGEST: Final = 1 << 16


def newest(layer: SavedLayer) -> BackupFile | None:
    """The newest copy, or None where there is none.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.files.files_in`.
    """
    table = f"[deployment.layers.{layer.name}]"
    found = files_in(Path(layer.path), layer.pattern, table)
    return next((file for file in found if file.path.suffix != _SUM), None)


def place_of(layer: SavedLayer) -> str:
    """Where its copies lie."""
    return f"{layer.path}/{layer.pattern}"


def minutes_old(copy: BackupFile) -> Measurement:
    """How old a copy is, in minutes.

    Raises:
        CouldNotMeasure: it is from the future, so that one of two clocks is wrong.
    """
    age = age_of(copy)
    minutes = timedelta(hours=float(age.value)) / timedelta(minutes=1)
    return Measurement("age of the newest copy", minutes, "min", age.source)


def sum_fits(copy: BackupFile) -> Measurement:
    """Whether the copy is the very bytes that its sum was made of.

    Raises:
        NoData: there is no sum beside it, or none that can be read.
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
            "there is no SHA-256 of the newest copy",
            where=str(file),
            remedy=f"write it with the copy: sha256sum {copy.path.name} > {file.name}",
        )
    fits = sha256_of(copy.path) == told[1].lower()
    return Measurement("copies that their sum does not fit", int(not fits), "count", str(file))
