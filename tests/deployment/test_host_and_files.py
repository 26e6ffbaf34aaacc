"""Pure parsers: the memory that a host and its cgroups report, and configuration files."""

import pytest

from readiness.areas.deployment.probes.files import kinds, mistakes
from readiness.areas.deployment.probes.host import MEMINFO, Memory, limit_files, memory_from
from readiness.model.errors import NoData

GIB = 1 << 30
V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"
MACHINE = "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   12582912 kB\n"


def test_without_cgroups_the_machine_decides() -> None:
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
def test_unusual_cgroup_path_ends_at_the_root(path: str) -> None:
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


def test_without_a_limit_the_machine_decides() -> None:
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


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".yaml", "a: 1\nb: [1, 2]\n---\na: 2\n"),
        (".yml", "x: &x { b: 1 }\ny:\n  <<: *x\n  b: 2\n"),
        (".yaml", "a: !Ref other\nwhen: 2026-13-45\n"),
        (".yaml", 'a: "a\tb"\n'),
        (".json", '{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}'),
        (".toml", "a = 1\n[b]\na = 2\n"),
        (".ini", "[a]\nx = 1\n[b]\nx = %(nothing)s\n"),
        (".cfg", "[a]\nx: 1\n  and more\n"),
        (".cnf", "[mysqld]\nskip-name-resolve\nport = 1\n"),
    ],
)
def test_valid_files_have_no_mistakes(ending: str, text: str) -> None:
    assert mistakes(text.encode(), ending) == []


HAPROXY = """\
global
    log /dev/log local0
    stats socket /run/haproxy.sock mode 660
defaults
    mode http
    timeout connect 5s
    timeout client  50s
frontend web
    bind :80
    acl api path_beg /api
    use_backend api if api
    default_backend web
backend web
    server a 10.0.0.1:80 check
backend api
    server b 10.0.0.2:80 check
"""
OWN = {
    "haproxy.cfg": HAPROXY,
    "uwsgi.ini": "[uwsgi]\nmodule = shop\nenv = A=1\nenv = B=2\nhttp = :%(port)\nmaster\n",
    "app.ini": "[uwsgi]\nplugin = a\nplugin = b\n",
    "php.ini": "; first\nengine = On\n[PHP]\nextension=a\nextension=b\nerror_log=\nopt[x] = 1\n",
    "99-php-fpm.ini": "[www]\nphp_admin_value[memory_limit] = 64M\n",
    "grafana.ini": "app_mode = production\n[server]\nhttp_port = 3000\n;domain = x\n",
    "pgbouncer.ini": "%include /etc/pgbouncer/extra.ini\n[databases]\n* = host=db port=5432\n"
    "[pgbouncer]\nlisten_port = 6432\n",
    "my.cnf": "!includedir /etc/mysql/conf.d/\n[mysqld]\nskip-name-resolve\nport=1\n"
    "replicate-do-db = a\nreplicate-do-db = b\n[client]\nport=1\n[mysqld]\nuser = mysql\n",
    "openssl.cnf": "HOME = .\n.include /etc/x\n[req]\nx = $HOME\n[v3]\nx = 1\nx = 2\n",
    "setup.cfg": "[metadata]\nname = shop\n[flake8]\nignore =\n    E1,\n    E2\n",
}


@pytest.mark.parametrize("name", OWN)
def test_files_of_a_dialect_have_no_mistakes(name: str) -> None:
    assert mistakes(OWN[name].encode(), f".{name.rpartition('.')[2]}", f"etc/{name}") == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("haproxy.cfg", f"{HAPROXY}backend web\n    server c 10.0.0.3:80\n",
         "line 17: duplicate backend 'web' (first on line 13)"),
        ("haproxy.cfg", f"{HAPROXY}listen\n    bind :81\n", "line 17: a listen needs a name"),
        ("grafana.ini", "[server]\nhttp_port = 1\nhttp_port = 2\n", "duplicate key 'http_port'"),
        ("pgbouncer.ini", "[pgbouncer]\na = 1\n[pgbouncer]\n", "duplicate section"),
        ("pgbouncer.ini", "[pgbouncer]\nwhat is this\n", "neither a section nor"),
        ("my.cnf", "[mysqld]\nmax-connections = 1\nmax_connections = 2\n", "duplicate key"),
        ("my.cnf", "port = 1\n[mysqld]\n", "is before the first section"),
        ("php.ini", "[PHP\nengine = On\n", "no closing bracket"),
    ],
)  # fmt: skip
def test_mistakes_of_a_dialect_are_found(name: str, text: str, told: str) -> None:
    (found,) = mistakes(text.encode(), f".{name.rpartition('.')[2]}", name)
    assert told in found


@pytest.mark.parametrize(
    ("ending", "text", "told"),
    [
        (".yaml", "a: 1\nb: 2\na: 3\n", "line 3: duplicate key 'a' (first on line 1)"),
        (".yaml", "a:\n  - { b: 1, b: 2 }\n", "line 2: duplicate key 'b' (first on line 2)"),
        (".yaml", "'a': 1\na: 2\n", "line 2: duplicate key 'a' (first on line 1)"),
        (".yaml", "yes: 1\ntrue: 2\n", "line 2: duplicate key 'true' (first on line 1)"),
        (".yaml", "1: a\n0x1: b\n", "line 2: duplicate key '0x1' (first on line 1)"),
        (".yaml", "ok: 1\n---\na: 1\na: 1\n", "line 4: duplicate key 'a' (first on line 3)"),
        (".yaml", "? { c: 1, c: 2 }\n: 1\n", "line 1: duplicate key 'c' (first on line 1)"),
        (".yaml", "a:\n\tb: 1\n", "line 2: a tab where YAML expects spaces"),
        (".yaml", "a: &x 1\nb: &x 2\n", "line 2: duplicate anchor"),
        (".yaml", "a: [1, 2\n", "line 2: did not find expected ',' or ']'"),
        (".yaml", "a: &a [*a]\n", "line 1: an anchor contains itself"),
        (".yaml", "port:8080\n", "is one plain value without a key"),
        (".yaml", "# nothing\n", "has only comments"),
        (".yaml", DEEP, "is nested too deeply"),
        (".json", '{"a": 1, "b": {"c": 1, "c": 2}}', "duplicate key 'c' in one object"),
        (".json", '{"a": NaN}', "NaN is not valid in JSON"),
        (".json", '{"a": 1,}', "line 1: Expecting property name"),
        (".json", "{} {}", "line 1: Extra data"),
        (".json", DEEP, "is nested too deeply"),
        (".json", "1" * 5000, "more digits"),
        (".toml", "a = 1\na = 2\n", "Cannot overwrite a value (at line 2"),
        (".toml", "[a]\n[a]\n", "Cannot declare"),
        (".ini", "[a]\nx = 1\nX = 2\n", "line 3: duplicate key 'x' in its section"),
        (".ini", "[a]\nx = 1\n[a]\n", "line 3: duplicate section ['a']"),
        (".ini", "x = 1\n", "line 1: is before the first section"),
        (".ini", "[a]\nwhat is this\n", "line 2: is neither a section nor KEY = VALUE"),
        (".cnf", "[a]\nx\n[b\n", "line 3: the header of a section has no closing bracket"),
    ],
)
def test_mistakes_are_found(ending: str, text: str, told: str) -> None:
    found = mistakes(text.encode(), ending)
    assert len(found) == 1
    assert found[0].startswith(told) or told in found[0]


@pytest.mark.parametrize("ending", kinds())
def test_an_empty_file_is_a_mistake(ending: str) -> None:
    assert mistakes(b"", ending) == mistakes(b" \n\n", ending) == ["is empty"]
    assert mistakes(b"a\n\xff\n", ending) == ["line 2: is not UTF-8"]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (".yaml", "password: 'correct-horse\n"),
        (".yaml", "password: correct-horse: battery\n"),
        (".yaml", "password: correct-horse\npassword: correct-horse\n"),
        (".yaml", "password: *correct-horse\n"),
        (".yaml", "password: !correct!horse x\n"),
        (".yaml", "password: &correct 1\nother: &correct 2\n"),
        (".yaml", "password: %correct-horse\n"),
        (".json", '{"password": "correct-horse}'),
        (".json", '{"password": correct-horse}'),
        (".toml", "password = correct-horse\n"),
        (".toml", 'password = "correct-horse\n'),
        (".ini", "[a]\npassword correct-horse\n"),
        (".ini", "password = correct-horse\n"),
        (".ini", "[a]\npassword = correct-horse\npassword = correct-horse\n"),
    ],
)
def test_no_value_is_shown(ending: str, text: str) -> None:
    found = mistakes(text.encode(), ending)
    assert found
    assert "correct" not in " ".join(found)
