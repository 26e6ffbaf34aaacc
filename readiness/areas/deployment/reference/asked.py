"""Prints what the target's commands ask the reference system for.

Run as `python -m readiness.areas.deployment.reference.asked ACTION ARGUMENT`:

* `release URL`: the release that answers there.
* `shelf FILE`: the name of a file that is there; exits with 1 where it is not.
* `previous RELEASE DSN PORT`: the order service of that release, on that database, until a signal
  comes.
* `in-cgroup LIMIT COMMAND`: the command, as inside a container with that limit of memory.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from readiness.servers.processes import request_json

_OWN = ("DATABASE_URL", "SERVICE_VERSION", "SERVICE_BEHAVIOUR", "PROMETHEUS_MULTIPROC_DIR")
_MACHINE = """\
/proc/meminfo:MemTotal:       16777216 kB
/proc/meminfo:MemAvailable:   12582912 kB
/proc/self/cgroup:0::/
/sys/fs/cgroup/memory.max:{limit}
"""


def release(url: str) -> int:
    """Print the release that answers at an address."""
    port = urlsplit(url).port
    if port is None:
        raise SystemExit("the address has no port")
    sys.stdout.write(f"{request_json(port, 'GET', '/version')['version']}\n")
    return 0


def shelf(file: str) -> int:
    """Print the name of a file, if it is there."""
    path = Path(file)
    if not path.is_file():
        sys.stderr.write(f"there is no {path.name}\n")
        return 1
    sys.stdout.write(f"{path.name}\n")
    return 0


def previous(version: str, dsn: str, port: str) -> int:
    """Become the order service."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    told = {
        "DATABASE_URL": dsn,
        "SERVICE_VERSION": version,
        "SERVICE_ENVIRONMENT": "scratch",
        "ADMIN_TOKEN": "nobody-asks",
        "CRON_SECRET": "nobody-asks",
    }
    command = [sys.executable, "-m", "readiness.reference.service", port]
    os.execve(sys.executable, command, kept | told)  # noqa: S606 - no shell


def in_cgroup(limit: str, *command: str) -> int:
    """What a machine of 16 GiB says whose cgroup leaves `limit` bytes; all else is run here."""
    if command[0] != "grep":
        os.execvp(command[0], command)  # noqa: S606 - no shell
    sys.stdout.write(_MACHINE.format(limit=limit))
    return 0


if __name__ == "__main__":
    actions: dict[str, Callable[..., int]] = {
        "release": release,
        "shelf": shelf,
        "previous": previous,
        "in-cgroup": in_cgroup,
    }
    sys.exit(actions[sys.argv[1]](*sys.argv[2:]))
