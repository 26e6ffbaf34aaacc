"""The quiet phase: checks that need quiet run alone, in one pytest without workers.

After the parallel phase the process that holds the run starts one more pytest and feeds its
reports through its own hooks, as if they came from another worker.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import pytest

from readiness import bundle
from readiness.gate import PLUGINS
from readiness.journal import Event, Journal, Reader
from readiness.plugin import collection
from readiness.plugin.state import State

if TYPE_CHECKING:
    from readiness.plugin.controller import Controller

_CHOSEN: Final = "quiet.json"
_RELAY: Final = "quiet.ndjson"
_LOG: Final = "quiet.log"
_OFF: Final = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
_POLL_S: Final = 0.1
_ORDINARY: Final = {0, 1, 5}


def run(controller: "Controller", session: pytest.Session) -> None:
    """Run what the parallel phase has left for later."""
    chosen = [
        p.nodeid
        for p in controller.ledger.plan.values()
        if p.selected
        and p.effect.needs_quiet
        and not p.settled
        and not controller.ledger.outcome_of(p.nodeid)
    ]
    if not chosen or session.shouldstop or session.shouldfail:
        return
    folder = controller.state.folder
    (folder / _CHOSEN).write_text(json.dumps(chosen), encoding="utf-8")
    reader = Reader(folder / _RELAY)
    with (folder / _LOG).open("wb") as log, _start(session.config, controller.state, log) as child:
        try:
            while child.poll() is None:
                _replay(session.config, reader)
                time.sleep(_POLL_S)
            _replay(session.config, reader)
        finally:
            child.kill()
    session.testscollected += len(chosen)
    if child.returncode not in _ORDINARY:
        controller.incident(
            "quiet-phase",
            f"the quiet phase ended with status {child.returncode}: {_tail(folder / _LOG)}",
        )


def _start(config: pytest.Config, state: State, log: IO[bytes]) -> subprocess.Popen[bytes]:
    places = [str(config.invocation_params.dir / arg) for arg in config.args]
    ini = ["-c", str(config.inipath)] if config.inipath else []
    command: Sequence[str] = [
        *(sys.executable, "-m", "pytest", *_plugins(), "-n0", "-p", "no:cacheprovider"),
        *ini,
        *("--rootdir", str(config.rootpath)),
        *("--confcutdir", str(config.option.confcutdir or config.rootpath)),
        *("--readiness", "--readiness-quiet-phase", str(state.folder / _RELAY)),
        *("--readiness-folder", str(state.folder)),
        *("--basetemp", str(state.folder / "quiet-tmp")),
        *places,
    ]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=config.invocation_params.dir,
        # pytest-benchmark switches itself off where it sees a worker's name.
        env={k: v for k, v in os.environ.items() if k == _OFF or not k.startswith("PYTEST_")},
    )


def _plugins() -> list[str]:
    """The plugins to name, where none are loaded by themselves."""
    return [word for name in PLUGINS for word in ("-p", name)] if os.environ.get(_OFF) else []


def _replay(config: pytest.Config, reader: Reader) -> None:
    for event in reader.new():
        if event["event"] == "start":
            config.hook.pytest_runtest_logstart(nodeid=event["nodeid"], location=("", None, ""))
        else:
            report = config.hook.pytest_report_from_serializable(
                config=config, data=event["report"]
            )
            config.hook.pytest_runtest_logreport(report=report)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


class QuietPhase:
    """The hooks of the pytest that runs the quiet phase: it relays its reports."""

    def __init__(self, config: pytest.Config, state: State) -> None:
        self._config = config
        self._state = state
        self._chosen = set(json.loads((state.folder / _CHOSEN).read_text(encoding="utf-8")))
        self._relay = Journal(Path(config.option.readiness_quiet_phase))
        self._modules = {config.rootpath / nodeid.partition("::")[0] for nodeid in self._chosen}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Import no shipped module that has nothing for this phase."""
        shipped = collection_path.suffix == ".py" and bundle.suites() in collection_path.parents
        return True if shipped and collection_path not in self._modules else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep what was left for this phase."""
        collection.plan(items, self._state)
        collection.deselect(config, items, lambda item: item.nodeid in self._chosen)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Relay that a check begins."""
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
