"""The part of the reference system's readiness.toml that says how its release is deployed."""

import sys
from typing import Final

from readiness.areas.deployment.reference import commands
from readiness.areas.deployment.reference.levers import ReleaseFiles
from readiness.servers.files import quoted
from readiness.servers.fleet.releases import BAD, NEW, OLD
from readiness.servers.fleet.starting import COUNT, Fleet

_ACTIONS: Final = (
    ("deploy", "{release}"),
    ("rollback", "{release}"),
    ("state",),
    ("replicas",),
    ("status",),
)
_NOTES: Final = ("write", "read", "remove")


def deployment(fleet: Fleet) -> str:
    """[deployment], .command, .data and .slow_request."""
    return _DEPLOYMENT.format(
        url=f"{fleet.url}/version",
        count=COUNT,
        release=fleet.release,
        previous=OLD if fleet.release == NEW else NEW,
        bad=BAD,
        command="\n".join(f"{asked[0]} = {_argv(fleet, *asked)}" for asked in _ACTIONS),
        data="\n".join(f"{action} = {_argv(fleet, action, '{id}')}" for action in _NOTES),
        stop_one=_argv(fleet, "stop-one"),
    )


def _argv(fleet: Fleet, *asked: str) -> str:
    return f"[{', '.join(map(quoted, fleet.tool(*asked)))}]"


_DEPLOYMENT: Final = """
# The deployed service, as users reach it.
[deployment]
url = "{url}"
version_key = "version"
replica_header = "x-replica"
replicas = {count}
release = "{release}"
previous = "{previous}"
# It answers with errors: the fleet must roll it back automatically.
bad_release = "{bad}"
adapter = "command"
# A busy machine answers late, and that is not judged here.
timeout_s = 10
steady_s = 1
change_within_s = 90
rollback_max_s = 15
auto_rollback_max_s = 90
# There are no users here: a broken change may run to its end.
abort_failures = 300
abort_outage_s = 30
# The machine does much else, such as starting the replicas.
p99_floor_ms = 500

[deployment.command]
{command}

# A synthetic row, written through the public URL.
[deployment.data]
{data}

[deployment.slow_request]
path = "/slow?s=1"
stop_one = {stop_one}
"""


def before(files: ReleaseFiles, service: str) -> str:
    """[deployment.host] and the tables after it."""
    values = {
        "@FOLDER@": str(files.folder),
        "@DEPLOY@": str(files.deploy),
        "@SAVED@": str(files.saved),
        "@STORE@": str(files.store),
        "@PYTHON@": sys.executable,
        "@COMMANDS@": commands.__name__,
        "@SERVICE@": service,
        "@REPORT@": str(files.report),
    }
    text = _BEFORE + (_DATABASE if files.has_database else "")
    for placeholder, value in values.items():
        text = text.replace(placeholder, quoted(value)[1:-1])
    return text


def alone(service: str, release: str) -> str:
    """[deployment] without a fleet: the order service, whose release cannot be changed."""
    return _ALONE.format(
        url=f"{service}/version", release=release, previous=OLD if release == NEW else NEW
    )


_ALONE: Final = """
# The deployed service. Nothing changes its release: there is no fleet on this machine.
[deployment]
url = "{url}"
release = "{release}"
previous = "{previous}"
"""

_BEFORE: Final = """
# The reference system is small, and so is what it needs.
[deployment.host]
disk_paths = ["@FOLDER@"]
min_disk_bytes = 1_073_741_824
min_memory_bytes = 2_147_483_648
min_available_bytes = 134_217_728
# Its releases run without a container: what they need is Python.
runtime = ["@PYTHON@", "--version"]
min_runtime = "3.11"

[deployment.files]
parse = ["@DEPLOY@/*"]
commands = [["@PYTHON@", "-m", "json.tool", "@DEPLOY@/releases.json"]]

[deployment.order]
compose = "@DEPLOY@/docker-compose.yml"
# 30 tries of 10 s.
patience_s = { database = 300 }

# Backed up when the system starts, which may run for a day.
[deployment.layers.configuration]
path = "@SAVED@"
pattern = "configuration.tar.gz"
max_age_min = 1440
sha256 = true

# The artifacts of the releases.
[deployment.artifact]
command = ["@PYTHON@", "-m", "@COMMANDS@", "artifact", "@STORE@/shop-{release}.tar.gz"]
prints = '^shop-{release}\\.tar\\.gz$'

# The order service is deployed with the fleet, and serves at another URL.
[deployment.workers.orders]
command = ["@PYTHON@", "-m", "@COMMANDS@", "release", "@SERVICE@"]

[deployment.report]
path = "@REPORT@"

# The order service of the previous release, on the schema of this one.
[deployment.compatibility]
database = "shop"
dsn = "${REFERENCE_BACKUP_DSN}"
start = ["@PYTHON@", "-m", "@COMMANDS@", "previous", "{release}", "{dsn}", "{port}"]
smoke = ["/api/orders", "/version"]
"""

_DATABASE: Final = """
[deployment.layers.database]
path = "@SAVED@"
pattern = "*.dump"
max_age_min = 1440
sha256 = true

[deployment.layers.uploads]
path = "@SAVED@"
pattern = "uploads.tar.gz"
max_age_min = 1440
sha256 = true
"""
