"""The commands of the reference target's readiness.toml.

Run as `python -m readiness.areas.deployment.reference.commands ACTION ARGUMENT`:

* `release URL`: prints the release that answers there.
* `artifact FILE`: prints the name of a file, or exits with 1 where it does not exist.
* `previous RELEASE DSN PORT`: runs the order service of that release on that database until a
  signal comes.
* `in-cgroup LIMIT COMMAND`: runs the command as in a container with that limit of memory.
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
    """Print the release that answers at a URL."""
    port = urlsplit(url).port
    if port is None:
        raise SystemExit("the URL has no port")
    sys.stdout.write(f"{request_json(port, 'GET', '/version')['version']}\n")
    return 0


def artifact(file: str) -> int:
    """Print the name of a file, if it exists."""
    path = Path(file)
    if not path.is_file():
        sys.stderr.write(f"{path.name} does not exist\n")
        return 1
    sys.stdout.write(f"{path.name}\n")
    return 0


def previous(version: str, dsn: str, port: str) -> int:
    """Become the order service."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN}
    added = {
        "DATABASE_URL": dsn,
        "SERVICE_VERSION": version,
        "SERVICE_ENVIRONMENT": "scratch",
        "ADMIN_TOKEN": "not-used",
        "CRON_SECRET": "not-used",
    }
    command = [sys.executable, "-m", "readiness.reference.service", port]
    os.execve(sys.executable, command, kept | added)  # noqa: S606 - no shell


def in_cgroup(limit: str, *command: str) -> int:
    """Answer as a machine of 16 GiB whose cgroup allows `limit` bytes; run any other command."""
    if command[0] != "grep":
        os.execvp(command[0], command)  # noqa: S606 - no shell
    sys.stdout.write(_MACHINE.format(limit=limit))
    return 0


if __name__ == "__main__":
    actions: dict[str, Callable[..., int]] = {
        "release": release,
        "artifact": artifact,
        "previous": previous,
        "in-cgroup": in_cgroup,
    }
    sys.exit(actions[sys.argv[1]](*sys.argv[2:]))
