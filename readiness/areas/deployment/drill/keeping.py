"""The frame of every drill of a release: whatever happens, all is put back."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.restoring import Restored, remove_row, restore
from readiness.lib.drill.notes import Noted, Notes
from readiness.lib.drill.safety import Safety
from readiness.model.errors import CouldNotMeasure


class Kept:
    """A target that will be put back; made by `kept`."""

    def __init__(
        self, deployment: Deployment, adapter: Adapter, release: str, notes: Notes
    ) -> None:
        self._deployment = deployment
        self._adapter = adapter
        self._release = release
        self._row = ""
        self.notes = notes
        self._restored: Restored | None = None
        self._failed: CouldNotMeasure | None = None

    def row(self, row: str) -> None:
        """This row is going to be written."""
        self._row = row
        self.notes.row(row)

    def put_back(self, *, there: bool = False) -> Restored:
        """Put everything back, once.

        Args:
            there: the release has been seen to be served again, by all.

        Raises:
            CouldNotMeasure: it cannot be; the notes stay.
        """
        if self._failed:
            raise self._failed
        if self._restored is None:
            try:
                self._restored = self._put_back(there=there)
            except CouldNotMeasure as error:
                self._failed = error
                raise
        return self._restored

    def _put_back(self, *, there: bool) -> Restored:
        restored = (
            Restored.untouched()
            if there
            else restore(self._deployment, self._adapter, self._release)
        )
        if self._row and self._deployment.data:
            remove_row(self._deployment.data, self._row)
        self.notes.close()
        return restored


@contextmanager
def kept(deployment: Deployment, adapter: Adapter, release: str, safety: Safety) -> Iterator[Kept]:
    """Whatever happens in the block, this release is served again at its end.

    What is to be put back is on disk before the block begins. A process of its own puts it back
    if this one is killed.

    Raises:
        CouldNotMeasure: it could not be put back, or nothing can be noted.
    """
    place = safety.place
    noted = Noted(place.fingerprint, place.target, place.environment, release)
    with ExitStack() as stack:
        token = safety.undo.run(_recover(safety.config), timeout_s=_longest_s(deployment))
        stack.callback(safety.undo.forget, token)
        keeping = Kept(deployment, adapter, release, Notes(place.file, noted))
        try:
            yield keeping
        finally:
            keeping.put_back()


def _recover(config: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "readiness", "recover", "--config", str(config.absolute())]


def _longest_s(deployment: Deployment) -> float:
    """The longest that putting back may take: two ways, each with its command and its wait."""
    return 4 * deployment.change_within_s + deployment.steady_s + 60
