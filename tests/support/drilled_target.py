"""A small target that changes its release by a command, well or otherwise."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.drill import Drilled, drill
from readiness.config.loading import Loaded, load
from readiness.lib.drill.notes import FOLDER, Place
from readiness.lib.drill.safety import Safety
from readiness.lib.guardian import Undo as UndoProtocol
from readiness.run.safety import fingerprint
from tests.support.small_servers import Reply, SmallServer
from tests.support.undo import Undo

OLD, NEW = "1.4.0", "1.5.0"
ENVIRONMENT = "production"

# What the command does, by the file `how` beside it: words, such as "nothing" or "hang".
_TOOL = """
import sys, time
from pathlib import Path
here = Path(__file__).parent
how = (here / "how").read_text().split()
action, release = sys.argv[1], sys.argv[2]
with (here / "log").open("a") as log:
    log.write(f"{action} {release}\\n")
if action in ("write", "read", "remove"):
    row = here / "row"
    if action == "write":
        row.write_text(release)
    elif action == "remove":
        row.unlink(missing_ok=True)
    elif row.exists():
        print(row.read_text())
    raise SystemExit
if "garble" in how:
    print("\\x1b[2J\\u202e password=hunter2-of-ours", file=sys.stderr)
if "hang" in how:
    time.sleep(600)
if f"fail:{action}" in how or f"fail:{release}" in how:
    sys.exit("token: abc-of-ours, no such image")
if "nothing" in how or f"nothing:{action}" in how:
    raise SystemExit
if "slow" in how:
    time.sleep(0.3)
if "outage" in how:
    (here / "version").write_text("")
    time.sleep(60)
new = here / "new"
new.write_text(release)
new.replace(here / "version")
"""


@dataclass(frozen=True)
class Target:
    """A target that can be drilled, and its readiness.toml."""

    folder: Path
    loaded: Loaded

    @property
    def deployment(self) -> Deployment:
        assert self.loaded.config.deployment
        return self.loaded.config.deployment

    @property
    def place(self) -> Place:
        config = self.loaded.config
        return Place(
            self.folder / FOLDER, config.target.name, ENVIRONMENT, fingerprint(config, ENVIRONMENT)
        )

    def safety(self, undo: UndoProtocol | None = None) -> Safety:
        return Safety(self.place, self.loaded.path, None, undo or Undo())

    def drill(self) -> Drilled:
        return drill(self.deployment, adapter_of(self.deployment), self.safety())

    def again(self, **changes: str) -> Self:
        """The same target with another [deployment]: each value as TOML."""
        text = self.loaded.path.read_text()
        for key, value in changes.items():
            lines = [line for line in text.splitlines() if not line.startswith(f"{key} = ")]
            at = lines.index("[deployment]") + 1
            text = "\n".join([*lines[:at], f"{key} = {value}", *lines[at:]])
        self.loaded.path.write_text(text)
        return replace(self, loaded=load(self.loaded.path, {}))


@dataclass(frozen=True)
class DrilledTarget(Target):
    """A target that is changed by the command."""

    server: SmallServer

    @property
    def version(self) -> str:
        return (self.folder / "version").read_text()

    @property
    def log(self) -> list[str]:
        """What the command was told to do, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def behave(self, how: str) -> None:
        (self.folder / "how").write_text(how)


def _answer(folder: Path) -> Reply:
    version = (folder / "version").read_text()
    return Reply(json.dumps({"version": version}), 200 if version else 503)


def _toml(url: str, folder: Path) -> str:
    def tool(action: str, argument: str) -> str:
        return json.dumps([sys.executable, "-S", str(folder / "tool.py"), action, argument])

    return f"""
[target]
name = "shop"
release = "{NEW}"
[deployment]
url = "{url}/version"
previous = "{OLD}"
adapter = "command"
rate_per_s = 100
steady_s = 1
change_within_s = 20
[deployment.command]
deploy = {tool("deploy", "{release}")}
rollback = {tool("rollback", "{release}")}
[deployment.data]
write = {tool("write", "{id}")}
read = {tool("read", "{id}")}
remove = {tool("remove", "{id}")}
"""


@contextmanager
def drilled_target(folder: Path, release: str = NEW) -> Iterator[DrilledTarget]:
    """The target, while the block runs."""
    (folder / "tool.py").write_text(_TOOL)
    (folder / "how").write_text("slow")
    (folder / "version").write_text(release)
    with SmallServer({"/version": lambda: _answer(folder)}) as server:
        path = folder / "readiness.toml"
        path.write_text(_toml(server.url, folder))
        yield DrilledTarget(folder, load(path, {}), server)
