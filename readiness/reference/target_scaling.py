"""The part of the reference system's readiness.toml that tells how the shop grows."""

from pathlib import Path
from typing import Final

from readiness.reference.toml import quoted


def scaling(manifests: Path) -> str:
    """[scaling.shop].

    Args:
        manifests: their folder.
    """
    files = ", ".join(quoted(str(manifests / name)) for name in ("*.yaml", "live.json"))
    return _SCALING.format(files=files)


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
