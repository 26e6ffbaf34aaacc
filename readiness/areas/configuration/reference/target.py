"""The part of the reference system about its configuration: its tables, files and levers."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from secrets import token_hex
from typing import Final

from readiness.areas.configuration.reference import ci_server
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import register
from readiness.servers.files import kept, quoted, write_whole


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


FOLDER: Final = "configuration"
ORDERS: Final = "orders.env"
_DOT: Final = "dot."
_SECRET: Final = re.compile(r"@([A-Z_]+)@")
_PRIVATE: Final = 0o600


def make(root: Path, orders: Mapping[str, str]) -> Path:
    """Write all of them, with new secrets, and return their folder.

    Args:
        root: where their folder is made.
        orders: the variables that the order service was started with.
    """
    folder = root / FOLDER
    folder.mkdir()
    made: dict[str, str] = {}

    def secret(found: re.Match[str]) -> str:
        value = made.setdefault(found[1], token_hex(16))
        register(value)
        return value

    source = resources.files("readiness.areas.configuration.reference").joinpath("files")
    for file in source.iterdir():
        name = file.name
        text = _SECRET.sub(secret, file.read_text(encoding="utf-8"))
        _write(folder / (f".{name.removeprefix(_DOT)}" if name.startswith(_DOT) else name), text)
    lines = [f"{name}={value}\n" for name, value in sorted(orders.items())]
    _write(folder / ORDERS, "".join(lines))
    return folder


def _write(path: Path, text: str) -> None:
    path.touch(mode=_PRIVATE)
    path.write_text(text, encoding="utf-8")


class ConfigurationLevers:
    """Breaks the files that configure applications; a part of `Levers`."""

    _configuration: Path

    @contextlib.contextmanager
    def change_configured(self, name: str, change: Callable[[Path], object]) -> Iterator[None]:
        """Change one of the files, such as `shop.env`."""
        path = self._configuration / name
        with kept(path):
            change(path)
            yield

    def edit_configured(self, name: str, old: str, new: str) -> AbstractContextManager[None]:
        """Replace what matches a regular expression in one of the files, once.

        Raises:
            ReferenceSystemError: the file does not contain the text.
        """

        def edit(path: Path) -> None:
            text, count = re.subn(old, new, path.read_text(encoding="utf-8"), count=1)
            if not count:
                raise ReferenceSystemError(f"nothing matches {old!r}", where=name)
            mode = path.stat().st_mode
            write_whole(path, text.encode())
            path.chmod(mode)

        return self.change_configured(name, edit)

    def secret_of_staging(self, name: str) -> str:
        """A secret of the other environment, to be put into this one."""
        text = (self._configuration / "staging.env").read_text(encoding="utf-8")
        return text.partition(f"{name}=")[2].partition("\n")[0]

    @contextlib.contextmanager
    def configured_in_git(self, name: str) -> Iterator[None]:
        """Make the folder a repository that tracks one of the files."""
        git = self._configuration / ".git"
        try:
            for words in (["init", "--quiet"], ["add", "--force", name]):
                subprocess.run(
                    ["git", "-C", str(self._configuration), *words],
                    check=True,
                    capture_output=True,
                    timeout=30,
                )
            yield
        finally:
            shutil.rmtree(git, ignore_errors=True)
