"""The files that patterns of the configuration match.

Stands alone, as several areas and the models of `lib` name files so.
"""

import glob
from collections.abc import Sequence
from pathlib import Path

from readiness.model.errors import CouldNotMeasure, NoData


def matching(patterns: Sequence[str], key: str, *, most: int = 1000) -> list[Path]:
    """The files, in the order of the patterns; `**` matches folders.

    Args:
        patterns: relative to the folder that the gate runs in, or absolute.
        key: what is to be corrected, as "`dockerfiles`".
        most: how many files are read at most.

    Raises:
        NoData: a pattern matches no file.
        CouldNotMeasure: more files match.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        # Path.glob accepts no absolute pattern.
        names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        paths = [path for path in map(Path, names) if path.is_file()]
        if not paths:
            raise NoData("the pattern matches no file", where=pattern, remedy=f"correct {key}")
        found |= dict.fromkeys(paths)
    if len(found) > most:
        raise CouldNotMeasure(
            f"{len(found)} files match, and at most {most} are read",
            where=", ".join(patterns),
            remedy=f"narrow {key} to the files that are meant",
        )
    return list(found)
