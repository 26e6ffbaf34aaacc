"""The part of the reference system's readiness.toml that tells how shop and fleet grow."""

from pathlib import Path
from typing import Final

from readiness.servers.fleet.autoscaler import MOST
from readiness.servers.fleet.starting import COUNT, Fleet
from readiness.servers.toml import quoted


def scaling(manifests: Path) -> str:
    """[scaling.shop].

    Args:
        manifests: their folder.
    """
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
# How the shop grows in Kubernetes: what is applied, and what `kubectl get -o json` said.
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
# The pool of each replica, beside all others that use the database.
database = "shop"
database_role = "shop_app"
connections_per_replica = 5
"""

_LIVE: Final = """
# The fleet scales itself by what its users ask: no objects of Kubernetes tell of it. Its periods
# are short, and counted from the end of the change before.
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
# A machine that does much else answers late.
timeout_s = 10
# With those of the prober, 115 a second: at 20 for each replica, six are needed.
load_rate_per_s = 95
loaded_replicas = 6
# Five seconds, and ten, on a machine that does nothing else.
up_within_s = 60
down_within_s = 60
steady_s = 1
# Nobody suffers here: what is broken may be seen to its end.
abort_failures = 300
abort_outage_s = 30
"""
