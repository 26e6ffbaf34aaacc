"""This area's part of the reference system, and what breaks it."""

import contextlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from readiness.servers.files import kept, quoted, replace_in
from readiness.servers.fleet.autoscaler import MOST
from readiness.servers.fleet.starting import COUNT, Fleet


def scaling(manifests: Path) -> str:
    """[scaling.shop], with the folder of its manifests."""
    files = ", ".join(quoted(str(manifests / name)) for name in ("*.yaml", "live.json"))
    return _SCALING.format(files=files)


def live(fleet: Fleet) -> str:
    """[scaling.fleet], and its drill."""
    return _LIVE.format(
        url=f"{fleet.url}/version",
        replicas=", ".join(map(quoted, fleet.tool("replicas"))),
        fewest=COUNT,
        most=MOST,
    )


_SCALING: Final = """
# How the shop scales in Kubernetes: its manifests, and the output of `kubectl get -o json`.
[scaling.shop]
workload = "deployment/shop"
manifests = [{files}]
min_replicas = 3
max_replicas = 10
cpu_percent = 70
memory_percent = 80
up_pods = 2
up_s = 15
down_pods = 1
down_s = 60
max_unavailable = 0
# The pool of each replica, in addition to the connections of other roles.
database = "shop"
database_role = "shop_app"
connections_per_replica = 5
"""

_LIVE: Final = """
# The fleet scales itself by its request rate, without Kubernetes. Its periods are short, and
# counted from the end of the previous change.
[scaling.fleet]
min_replicas = {fewest}
max_replicas = {most}
up_pods = 2
up_s = 1.5
down_pods = 1
down_s = 1.5

[scaling.fleet.live]
url = "{url}"
replica_header = "x-replica"
replicas = [{replicas}]
rate_per_s = 20
# A busy machine answers late.
timeout_s = 10
# With those of the prober, 115 a second: at 20 for each replica, six are needed.
load_rate_per_s = 95
loaded_replicas = 6
# Five and ten seconds on an idle machine.
up_within_s = 60
down_within_s = 60
steady_s = 1
# It has no users to protect: a fault may be seen to its end.
abort_failures = 300
abort_outage_s = 30
"""


FOLDER: Final = "kubernetes"


def copy_manifests(folder: Path) -> Path:
    """Copy the manifests into a folder, as the repository of the shop would have them."""
    target = folder / FOLDER
    target.mkdir()
    source = resources.files("readiness.areas.scaling.reference").joinpath(FOLDER)
    for file in source.iterdir():
        if file.name.endswith((".yaml", ".json")):
            (target / file.name).write_bytes(file.read_bytes())
    return target


class ScalingLevers:
    """What can be broken about the manifests; a part of `Levers`."""

    _manifests: Path

    @contextlib.contextmanager
    def edit_manifest(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the manifests, once.

        Raises:
            ReferenceSystemError: the text is not there.
        """
        path = self._manifests / name
        with kept(path):
            replace_in(path, old, new, count=1)
            yield
