"""A row of our own: written by the new release, read by the old one."""

import secrets
import shlex
from dataclasses import dataclass

from readiness.areas.deployment.config import Data
from readiness.areas.deployment.drill.keeping import Kept
from readiness.lib import command
from readiness.model.errors import CouldNotMeasure, NoData


@dataclass(frozen=True, slots=True)
class Read:
    """Whether the row could be read.

    Attributes:
        release: the release that was served then.
        found: whether it printed the id.
        said: what the command said, if it did not.
    """

    release: str
    found: bool
    said: str


class Row:
    """The row of one drill."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._id = f"readiness-{secrets.token_hex(6)}"
        self.written = False
        self.reads: list[Read] = []
        self.problem: CouldNotMeasure | None = None

    def write(self, release: str, keeping: Kept) -> None:
        """Write it, and see that it is there: what was never written cannot be lost."""
        self.written = True
        keeping.row(self._id)
        argv = self._filled(self._data.write)
        try:
            command.run(argv, "write our row", f"run it by hand: {shlex.join(argv)}")
            if not self._read(release).found:
                raise NoData(
                    f"our row cannot be read even by release {release}, which wrote it",
                    where=shlex.join(argv),
                    remedy="let `read` print the id; see [deployment.data]",
                )
        except CouldNotMeasure as error:
            self.problem = error

    def read(self, release: str) -> None:
        """See whether it is still there."""
        try:
            self.reads.append(self._read(release))
        except CouldNotMeasure as error:
            self.problem = error

    def _read(self, release: str) -> Read:
        argv = self._filled(self._data.read)
        answer = command.ask(argv, "read our row", f"run it by hand: {shlex.join(argv)}")
        found = answer.status == 0 and self._id in answer.output.split()
        return Read(release, found, answer.said or f"nothing printed, status {answer.status}")

    def _filled(self, argv: list[str]) -> list[str]:
        return [word.replace("{id}", self._id) for word in argv]
