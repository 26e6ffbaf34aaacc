"""The part of the reference system's readiness.toml that tells how its fleet is deployed."""

from typing import Final

from readiness.servers.fleet.releases import BAD, NEW, OLD
from readiness.servers.fleet.starting import COUNT, Fleet
from readiness.servers.toml import quoted

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
# What is deployed, as its users reach it.
[deployment]
url = "{url}"
version_key = "version"
replica_header = "x-replica"
replicas = {count}
release = "{release}"
previous = "{previous}"
# It answers with errors: the fleet must take it back by itself.
bad_release = "{bad}"
adapter = "command"
# A machine that does much else answers late, and that is not what is judged here.
timeout_s = 10
steady_s = 1
change_within_s = 90
rollback_max_s = 15
auto_rollback_max_s = 90
# Nobody suffers here: what is broken may be seen to its end.
abort_failures = 300
abort_outage_s = 30
# The machine that this runs on does much else, such as starting the replicas.
p99_floor_ms = 500

[deployment.command]
{command}

# A row of our own, by the way that users go.
[deployment.data]
{data}

[deployment.slow_request]
path = "/slow?s=1"
stop_one = {stop_one}
"""
