"""The part of the reference system's readiness.toml of what is around a deployment."""

import sys
from typing import Final

from readiness.areas.deployment.reference import asked
from readiness.areas.deployment.reference.release_files import ReleaseFiles
from readiness.servers.fleet.releases import NEW, OLD
from readiness.servers.toml import quoted


def before(files: ReleaseFiles, service: str) -> str:
    """[deployment.host] and what follows it; [deployment] itself is somebody else's."""
    shown = {
        "@FOLDER@": str(files.folder),
        "@DEPLOY@": str(files.deploy),
        "@SAVED@": str(files.saved),
        "@STORE@": str(files.store),
        "@PYTHON@": sys.executable,
        "@ASKED@": asked.__name__,
        "@SERVICE@": service,
        "@REPORT@": str(files.report),
    }
    text = _BEFORE + (_DATABASE if files.has_database else "")
    for placeholder, value in shown.items():
        text = text.replace(placeholder, quoted(value)[1:-1])
    return text


def alone(service: str, release: str) -> str:
    """[deployment], where there is no fleet: the order service, which nobody can change."""
    return _ALONE.format(
        url=f"{service}/version", release=release, previous=OLD if release == NEW else NEW
    )


_ALONE: Final = """
# What is deployed. Nothing here changes it: there is no fleet on this machine.
[deployment]
url = "{url}"
release = "{release}"
previous = "{previous}"
"""

_BEFORE: Final = """
# What the releases run on. The reference system is small, and so is what it needs.
[deployment.host]
disk_paths = ["@FOLDER@"]
min_disk_bytes = 1_073_741_824
min_memory_bytes = 2_147_483_648
min_available_bytes = 134_217_728
# Its releases run in no container: what they need is Python.
runtime = ["@PYTHON@", "--version"]
min_runtime = "3.11"

[deployment.files]
parse = ["@DEPLOY@/*"]
commands = [["@PYTHON@", "-m", "json.tool", "@DEPLOY@/releases.json"]]

[deployment.order]
compose = "@DEPLOY@/docker-compose.yml"
# 30 tries of 10 s.
patience_s = { database = 300 }

# It saves when it starts, and may run for a day.
[deployment.layers.configuration]
path = "@SAVED@"
pattern = "configuration.tar.gz"
max_age_min = 1440
sha256 = true

# The releases that can be had.
[deployment.artifact]
command = ["@PYTHON@", "-m", "@ASKED@", "shelf", "@STORE@/shop-{release}.tar.gz"]
prints = '^shop-{release}\\.tar\\.gz$'

# The order service is deployed with the fleet, and does not serve at its address.
[deployment.workers.orders]
command = ["@PYTHON@", "-m", "@ASKED@", "release", "@SERVICE@"]

[deployment.report]
path = "@REPORT@"

# The order service of the release before, on the schema of this one.
[deployment.compatibility]
database = "shop"
dsn = "${REFERENCE_BACKUP_DSN}"
start = ["@PYTHON@", "-m", "@ASKED@", "previous", "{release}", "{dsn}", "{port}"]
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
