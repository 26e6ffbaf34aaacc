"""The quiet phase: `load` and `disrupt` checks run alone, in one pytest without workers.

After the parallel phase the controller starts one more pytest and passes its reports through its
own hooks, like those of a worker. With `[gate] independent` there is one pytest for each list;
the other checks run alone when all lists are done.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import pytest

from readiness.lib import bundle
from readiness.model.check import Effect
from readiness.run.gate import PLUGINS
from readiness.run.journal import Event, Journal, Reader
from readiness.run.ledger import Planned
from readiness.run.plugin import collection
from readiness.run.plugin.state import State

if TYPE_CHECKING:
    from readiness.run.plugin.controller import Controller

_ALONE: Final = "quiet-alone"
"""A file in the run's folder: all lists are done, and what runs alone may begin."""
_OFF: Final = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
_POLL_S: Final = 0.1
_ORDINARY: Final = {0, 1, 5}


@dataclass(frozen=True, slots=True)
class _Lane:
    """The files of one pytest, which runs `first` in parallel with other lanes, then `alone`.

    Attributes:
        relay: the file of its reports; its name gives the names of the other files.
        first: node ids that disturb no other lane.
        alone: node ids that wait until all lanes are done with theirs.
    """

    relay: Path
    first: tuple[str, ...]
    alone: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.relay.with_suffix(".log")

    def save(self) -> None:
        """Write its node ids, for its process."""
        text = json.dumps({"first": self.first, "alone": self.alone})
        _chosen(self.relay).write_text(text, encoding="utf-8")


def _chosen(relay: Path) -> Path:
    return relay.with_suffix(".json")


@dataclass(slots=True)
class _Running:
    """A running lane: its process and the reader of its reports."""

    lane: _Lane
    child: subprocess.Popen[bytes]
    reader: Reader
    seen: int = 0

    @property
    def may_disturb(self) -> bool:
        """Whether it still runs checks that others must wait for."""
        return self.seen < len(self.lane.first) and self.child.poll() is None


def run(controller: "Controller", session: pytest.Session) -> None:
    """Run what the parallel phase has left."""
    chosen = [
        p
        for p in controller.ledger.plan.values()
        if p.selected
        and p.effect.needs_quiet
        and not p.settled
        and not controller.ledger.outcome_of(p.nodeid)
    ]
    if not chosen or session.shouldstop or session.shouldfail:
        return
    folder = controller.state.folder
    lanes = _lanes(folder, chosen, controller.state.loaded.config.gate.independent)
    with ExitStack() as stack:
        running = [_begin(session.config, controller.state, lane, stack) for lane in lanes]
        while any(one.child.poll() is None for one in running):
            for one in running:
                _replay(session.config, one)
            if not any(one.may_disturb for one in running):
                (folder / _ALONE).touch()
            time.sleep(_POLL_S)
        for one in running:
            _replay(session.config, one)
    session.testscollected += len(chosen)
    for one in running:
        if one.child.returncode not in _ORDINARY:
            controller.incident(
                "quiet-phase",
                f"the quiet phase ended with status {one.child.returncode}: {_tail(one.lane.log)}",
            )


def _lanes(
    folder: Path, chosen: Sequence[Planned], independent: Sequence[Sequence[str]]
) -> list[_Lane]:
    """One lane for each list of independent drills; speed is measured alone."""
    left = [p for p in chosen if p.effect is Effect.DISRUPT]
    beside: list[tuple[str, ...]] = []
    for row in independent:
        mine = tuple(p.nodeid for p in left if {p.id, p.suite} & set(row))
        left = [p for p in left if p.nodeid not in mine]
        beside += [mine] if mine else []
    beside = beside or [()]
    taken = {nodeid for row in beside for nodeid in row}
    alone = tuple(p.nodeid for p in chosen if p.nodeid not in taken)
    return [
        _Lane(folder / f"quiet-{number}.ndjson", row, alone if number == 0 else ())
        for number, row in enumerate(beside)
    ]


def _begin(config: pytest.Config, state: State, lane: _Lane, stack: ExitStack) -> _Running:
    lane.save()
    log = stack.enter_context(lane.log.open("wb"))
    child = stack.enter_context(_start(config, state, lane.relay, log))
    stack.callback(child.kill)
    return _Running(lane, child, Reader(lane.relay))


def _start(
    config: pytest.Config, state: State, relay: Path, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    places = [str(config.invocation_params.dir / arg) for arg in config.args]
    ini = ["-c", str(config.inipath)] if config.inipath else []
    command: Sequence[str] = [
        *(sys.executable, "-m", "pytest", *_plugins(), "-n0", "-p", "no:cacheprovider"),
        *ini,
        *("--rootdir", str(config.rootpath)),
        *("--confcutdir", str(config.option.confcutdir or config.rootpath)),
        *("--readiness", "--readiness-quiet-phase", str(relay)),
        *("--readiness-folder", str(state.folder)),
        *("--basetemp", str(relay.with_suffix(".tmp"))),
        *places,
    ]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=config.invocation_params.dir,
        # pytest-benchmark disables itself if it sees a worker's name.
        env={k: v for k, v in os.environ.items() if k == _OFF or not k.startswith("PYTEST_")},
    )


def _plugins() -> list[str]:
    """The plugins to name, as autoload is off."""
    return [word for name in PLUGINS for word in ("-p", name)] if os.environ.get(_OFF) else []


def _replay(config: pytest.Config, running: _Running) -> None:
    for event in running.reader.new():
        if event["event"] == "start":
            config.hook.pytest_runtest_logstart(nodeid=event["nodeid"], location=("", None, ""))
        else:
            report = config.hook.pytest_report_from_serializable(
                config=config, data=event["report"]
            )
            config.hook.pytest_runtest_logreport(report=report)
            running.seen += report.when == "teardown"


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"


class QuietPhase:
    """The hooks of the pytest that runs the quiet phase: it relays its reports."""

    def __init__(self, config: pytest.Config, state: State) -> None:
        self._config = config
        self._state = state
        relay = Path(config.option.readiness_quiet_phase)
        chosen = json.loads(_chosen(relay).read_text(encoding="utf-8"))
        self._alone = frozenset(chosen["alone"])
        self._relay = Journal(relay)
        self._chosen = self._alone.union(chosen["first"])
        self._holder = os.getppid()
        self._modules = {config.rootpath / nodeid.partition("::")[0] for nodeid in self._chosen}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip shipped modules without checks for this phase."""
        shipped = collection_path.suffix == ".py" and bundle.suites() in collection_path.parents
        return True if shipped and collection_path not in self._modules else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep the checks of this phase; those that run alone go last."""
        collection.plan(items, self._state)
        collection.deselect(config, items, lambda item: item.nodeid in self._chosen)
        items.sort(key=lambda item: item.nodeid in self._alone)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Wait for the other lanes before a check that runs alone."""
        if item.nodeid in self._alone:
            while not (self._state.folder / _ALONE).exists():
                if os.getppid() != self._holder:
                    pytest.exit("the controlling process is gone")
                time.sleep(_POLL_S)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Relay the start of a check."""
        self._send({"event": "start", "nodeid": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Relay a report."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send({"event": "report", "report": data})

    def pytest_unconfigure(self) -> None:
        """Close the relay."""
        self._relay.close()

    def _send(self, event: Event) -> None:
        self._relay.write(event)
