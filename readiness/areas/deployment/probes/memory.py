"""How much memory there is: what the machine has, and what the cgroup leaves of it.

Everything is read from the texts that Linux gives; where they come from is somebody else's.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.model.errors import NoData

MEMINFO: Final = "/proc/meminfo"
CGROUP: Final = "/proc/self/cgroup"
_V1: Final = "/sys/fs/cgroup/memory"
_V2: Final = "/sys/fs/cgroup"
_LIMIT_V1: Final = "memory.limit_in_bytes"
_LIMIT_V2: Final = "memory.max"
_USED: Final[Mapping[str, str]] = {
    _LIMIT_V1: "memory.usage_in_bytes",
    _LIMIT_V2: "memory.current",
}
_STAT: Final = "memory.stat"
_NO_LIMIT: Final = "max"
# Where version 1 has no limit it tells the largest number of pages, in bytes.
_UNLIMITED: Final = 1 << 60
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes, the least of what the machine has and each cgroup allows.

    Attributes:
        total: all that may be used.
        available: what of it is free, or can be made free by forgetting files.
        source: the file that gave `total`.
    """

    total: int
    available: int
    source: str


def limit_files(cgroup: str) -> list[str]:
    """The files that may hold a limit: of the cgroup we are in, and of all above it.

    Args:
        cgroup: the text of /proc/self/cgroup; empty where there are no cgroups.
    """
    found: list[str] = []
    for line in cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            found += _upwards(_V1, path, _LIMIT_V1)
        elif number == "0" and not controllers:
            found += _upwards(_V2, path, _LIMIT_V2)
            # Beside controllers of version 1, some systems mount the second one here.
            found += _upwards(f"{_V2}/unified", path, _LIMIT_V2)
    return list(dict.fromkeys(found))


def beside(limit_file: str) -> tuple[str, str]:
    """The files that tell what is used under a limit, and how much of that is only files."""
    folder, name = posixpath.split(limit_file)
    return f"{folder}/{_USED[name]}", f"{folder}/{_STAT}"


def memory_of(texts: Mapping[str, str], limits: Sequence[str]) -> Memory:
    """The memory that may be used.

    Args:
        texts: the contents of files by their path: of those that there are.
        limits: the paths that may hold a limit, from `limit_files`.

    Raises:
        NoData: the machine does not say how much it has, or a limit is no number.
    """
    machine = texts.get(MEMINFO, "")
    least = Memory(_figure(machine, "MemTotal"), _figure(machine, "MemAvailable"), MEMINFO)
    available = least.available
    for path in limits:
        limit = _limit(texts[path], path) if path in texts else None
        if limit is None:
            continue
        if limit < least.total:
            least = Memory(limit, available, path)
        if (used := _used(texts, path)) is not None:
            available = min(available, max(0, limit - used))
    return Memory(least.total, min(available, least.total), least.source)


def _upwards(root: str, path: str, name: str) -> Iterator[str]:
    """From the cgroup to the root; inside a container only the root may be there."""
    folder = posixpath.normpath("/" + path.lstrip("/"))
    while True:
        yield posixpath.normpath(f"{root}/{folder.lstrip('/')}/{name}")
        if folder == "/":
            return
        folder = posixpath.dirname(folder)


def _figure(text: str, word: str) -> int:
    found = re.search(rf"^{word}:\s+(\d+) kB$", text, re.MULTILINE)
    if not found:
        raise NoData(
            f"there is no {word}",
            where=MEMINFO,
            remedy="memory is read on Linux; for another machine, name the way there:"
            ' `run_on = ["ssh", "HOST"]` in [deployment.host]',
        )
    return int(found[1]) * _KIB


def _limit(text: str, path: str) -> int | None:
    said = text.strip()
    if said == _NO_LIMIT:
        return None
    if not said.isdecimal():
        raise NoData("the limit of memory is no number", where=path)
    return int(said) if int(said) < _UNLIMITED else None


def _used(texts: Mapping[str, str], limit_file: str) -> int | None:
    """What is used under a limit, without files that can be read again; None if nobody says."""
    used, stat = beside(limit_file)
    said = texts.get(used, "").strip()
    if not said.isdecimal():
        return None
    files = re.search(r"^(?:total_)?inactive_file (\d+)$", texts.get(stat, ""), re.MULTILINE)
    return int(said) - (int(files[1]) if files else 0)
