"""The part of the reference system's readiness.toml about its configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.areas.configuration.reference import ci_server
from readiness.areas.configuration.reference.levers import ORDERS
from readiness.servers.files import quoted


@dataclass(frozen=True, slots=True)
class Configured:
    """What configures one running system.

    Attributes:
        folder: the files that `levers.make` wrote.
        orders_pid: the file with the process id of the order service; None if this machine does
            not show the environments of processes.
        ci: address of our replacement for GitHub; None without one.
    """

    folder: Path
    orders_pid: Path | None
    ci: str | None


def configuration(facts: Configured) -> str:
    """[configuration.applications.NAME], and [configuration.ci]."""
    tables = _APPLICATIONS.replace("@FOLDER@", quoted(str(facts.folder))[1:-1])
    if facts.orders_pid:
        file = quoted(str(facts.folder / ORDERS))
        script = f"grep -zE '^({'|'.join(_NEEDS)})=' /proc/$(cat '{facts.orders_pid}')/environ"
        needs = ", ".join(map(quoted, _NEEDS))
        tables += _ORDERS.format(file=file, needs=needs, script=quoted(script))
    return tables + (_CI.format(url=facts.ci) if facts.ci else "")


_NEEDS: Final = (
    "ADMIN_TOKEN", "CRON_SECRET", "DATABASE_URL", "SERVICE_ENVIRONMENT", "SERVICE_VERSION",
)  # fmt: skip

_APPLICATIONS: Final = """
# The shop, as compose starts it, and the output of `docker inspect`.
[configuration.applications.shop]
example = "@FOLDER@/.env.example"
needs = ["APP_ENV"]
production = true

[configuration.applications.shop.declared]
compose = "@FOLDER@/compose.yaml"
service = "shop"

[configuration.applications.shop.running]
inspect = ["cat", "@FOLDER@/inspect.json"]

# No other environment may have its secrets.
[configuration.applications.shop.secrets]
others = ["@FOLDER@/staging.env"]
backend = { CRON_SECRET = ["cat", "@FOLDER@/cron_secret.txt"] }

# A worker in Kubernetes, by its manifests.
[configuration.applications.worker]
needs = ["QUEUE_URL", "API_TOKEN", "MAIL_HOST", "POD_NAME"]
production = true

[configuration.applications.worker.declared]
manifests = ["@FOLDER@/worker.yaml"]
workload = "deployment/worker"

[configuration.applications.worker.secrets]
others = ["@FOLDER@/staging.env"]
"""

_ORDERS: Final = """
# The order service: what its process was started with, without what it has of this machine.
[configuration.applications.orders]
needs = [{needs}]

[configuration.applications.orders.declared]
env_file = {file}

[configuration.applications.orders.running]
environ = ["sh", "-c", {script}]
"""

_CI: Final = f"""
# What the continuous integration says of the commit that this release was made from.
[configuration.ci]
provider = "github"
url = "{{url}}"
repository = "{ci_server.REPOSITORY}"
token = "${{{{{ci_server.TOKEN}}}}}"
commit = "v{{{{release}}}}"
required = ["lint", "test (*)", "build"]
"""
