"""Which releases of TimescaleDB call a thing by which name."""

import re
from typing import Final

Version = tuple[int, int, int]

OLDEST: Final[Version] = (2, 11, 0)
"""The first release whose views have every column that is asked for."""

_COLUMNSTORE: Final[Version] = (2, 18, 0)


def parsed(text: str) -> Version:
    """`2.19.3` or `2.20.0-dev` as numbers; what is left out is 0.

    Raises:
        ValueError: it does not begin with a number.
    """
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    if not found:
        raise ValueError(f"{text!r} is no version")
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major, minor, patch


def chunk_sizes_function(version: Version) -> str:
    """The function that tells how large chunks were before and after compression.

    Since 2.18 compression is called the columnstore; the old name still works, until it does not.
    """
    return "chunk_columnstore_stats" if version >= _COLUMNSTORE else "chunk_compression_stats"
