"""The least of what the machine has and what each cgroup allows."""

import pytest

from readiness.areas.deployment.probes.host import MEMINFO, Memory, limit_files, memory_from
from readiness.model.errors import NoData

GIB = 1 << 30
V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"
MACHINE = "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   12582912 kB\n"


def test_without_cgroups_it_is_the_machine() -> None:
    found = memory_from({MEMINFO: MACHINE}, limit_files(""))
    assert found == Memory(16 * GIB, 12 * GIB, MEMINFO)


def test_the_files_of_both_versions_up_to_the_root() -> None:
    found = limit_files("4:cpu,memory:/a/b\n1:name=systemd:/\n0::/c\n")
    assert found == [
        f"{V1}/a/b/memory.limit_in_bytes",
        f"{V1}/a/memory.limit_in_bytes",
        f"{V1}/memory.limit_in_bytes",
        f"{V2}/c/memory.max",
        f"{V2}/memory.max",
        f"{V2}/unified/c/memory.max",
        f"{V2}/unified/memory.max",
    ]


@pytest.mark.parametrize("path", ["/", "//a", "/../../a", "", "a/./b/"])
def test_an_odd_path_ends_at_the_root_too(path: str) -> None:
    found = limit_files(f"0::{path}\n4:memory:{path}\n")
    assert f"{V2}/memory.max" in found
    assert f"{V1}/memory.limit_in_bytes" in found


def of(path: str, text: str, **beside: str) -> Memory:
    folder, _, name = path.rpartition("/")
    version = "0::/x/y\n" if name == "memory.max" else "7:memory:/x/y\n"
    texts = {MEMINFO: MACHINE, path: text, **{f"{folder}/{n}": t for n, t in beside.items()}}
    return memory_from(texts, limit_files(version))


@pytest.mark.parametrize("folder", ["", "/x", "/x/y"])
def test_a_limit_of_any_parent_counts(folder: str) -> None:
    path = f"{V2}{folder}/memory.max"
    assert of(path, f"{2 * GIB}\n") == Memory(2 * GIB, 2 * GIB, path)
    path = f"{V1}{folder}/memory.limit_in_bytes"
    assert of(path, f"{2 * GIB}\n") == Memory(2 * GIB, 2 * GIB, path)


def test_no_limit_is_the_machine() -> None:
    whole = Memory(16 * GIB, 12 * GIB, MEMINFO)
    assert of(f"{V2}/x/memory.max", "max\n") == whole
    assert of(f"{V1}/x/memory.limit_in_bytes", "9223372036854771712\n") == whole
    assert of(f"{V2}/x/memory.max", f"{64 * GIB}\n") == whole


def test_memory_in_use_is_not_available_but_the_page_cache_is() -> None:
    path = f"{V2}/x/memory.max"
    used = {"memory.current": str(3 * GIB)}
    assert of(path, str(4 * GIB), **used).available == GIB
    stat = f"anon 5\ninactive_file {2 * GIB}\n"
    assert of(path, str(4 * GIB), **used, **{"memory.stat": stat}).available == 3 * GIB
    path = f"{V1}/x/memory.limit_in_bytes"
    beside = {"memory.usage_in_bytes": str(3 * GIB), "memory.stat": f"total_inactive_file {GIB}"}
    assert of(path, str(4 * GIB), **beside).available == 2 * GIB


@pytest.mark.parametrize("machine", ["", "MemTotal: 1 kB\n", "MemTotal: x\nMemAvailable: 1 kB\n"])
def test_a_machine_without_meminfo_is_an_error(machine: str) -> None:
    with pytest.raises(NoData):
        memory_from({MEMINFO: machine}, [])


def test_a_limit_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(NoData):
        of(f"{V2}/x/memory.max", "lots\n")
