"""A way to the disk that loses bits: runs the command, then damages what it restored.

`python -m readiness.reference.rotten PROGRAM ...`: after a restore, one entry of an index is not
where it should be, while every row is there and the server starts as if nothing were.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

_PAGE: Final = 8192
_OPTION: Final = "--pg1-path="
# Two line pointers of the first leaf page: 4 bytes each, behind the page's header of 24.
_FIRST, _SECOND, _END = 28, 32, 36
_LARGE: Final = 20 * _PAGE


def main(argv: list[str]) -> int:
    """Run it; the exit status is the program's."""
    status = subprocess.call(argv)
    place = next((word.removeprefix(_OPTION) for word in argv if word.startswith(_OPTION)), "")
    if status == 0 and place:
        for path in Path(place).glob("base/*/*"):
            if path.name.isdigit():
                _swap(path)
    return status


def _swap(path: Path) -> None:
    """Swap two entries of the second page, if the file is a large index of the shop's."""
    if int(path.name) < 16384 or path.stat().st_size < _LARGE:  # noqa: PLR2004 - the system's own
        return
    with path.open("r+b") as file:
        page = bytearray(file.read(2 * _PAGE)[_PAGE:])
        special = int.from_bytes(page[16:18], "little")
        # A page of a B-tree keeps 16 bytes at its end, and says that it is a leaf.
        if special != _PAGE - 16 or not page[_PAGE - 4] & 1:
            return
        page[_FIRST:_SECOND], page[_SECOND:_END] = page[_SECOND:_END], page[_FIRST:_SECOND]
        file.seek(_PAGE)
        file.write(page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
