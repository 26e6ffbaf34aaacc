"""A worker hands its plan to the controller as a file in the run's folder.

`workeroutput` would be lost when a worker dies.
"""

import json
from pathlib import Path

import pytest

from readiness.model.errors import ReadinessError, UsageError
from readiness.run.ledger import Planned
from readiness.run.plugin import collection, foreseen
from readiness.run.plugin.state import State


class Worker:
    """The hooks of an xdist worker: plans, and leaves quiet checks to the later phase."""

    def __init__(self, state: State, worker: str) -> None:
        self._state = state
        self._file = _file(state.folder, worker)
        self._planned: list[Planned] = []
        self._error = ""
        self._foreseen = foreseen.Foreseen()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find modules that need not be collected."""
        self._foreseen = foreseen.foresee(session.config, self._state, leaves_quiet=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Plan everything that was collected, before anything is deselected."""
        try:
            self._planned = foreseen.plan(items, self._state, self._foreseen)
        except ReadinessError as error:
            self._error = str(error)
            items.clear()
            return
        collection.keep_selected(config, items)

    def leave_quiet(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Write the plan and the remaining node ids; keep only what may run in parallel."""
        handed = {
            "error": self._error,
            "planned": [planned.to_dict() for planned in self._planned],
            "kept": [item.nodeid for item in items] + sorted(self._foreseen.nodeids),
        }
        self._file.write_text(json.dumps(handed), encoding="utf-8")
        collection.deselect(config, items, lambda item: not collection.needs_quiet(item))
        collection.put_slow_first(items)


class Last:
    """The worker's hook that runs after pytest has deselected (`-k`, `-m`)."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Write the plan."""
        self._worker.leave_quiet(config, items)


def read(folder: Path, worker: str) -> tuple[list[Planned], set[str]]:
    """The plan of a worker, and the node ids that pytest has not deselected.

    Raises:
        ReadinessError: the worker left no plan, or could not make one.
    """
    path = _file(folder, worker)
    try:
        handed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadinessError(f"a worker left no plan: {error}", where=path.name) from error
    if handed["error"]:
        raise UsageError(handed["error"])
    return [Planned.from_dict(raw) for raw in handed["planned"]], set(handed["kept"])


def _file(folder: Path, worker: str) -> Path:
    return folder / f"plan-{worker}.json"
