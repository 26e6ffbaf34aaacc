"""The journal: an append-only file of the events of a run, one JSON object a line.

Every line is flushed at once, so that a killed run leaves what it has found.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

Event = Mapping[str, object]
"""One line: `event` names its kind, the other keys depend on it (see `readiness.run.ledger`)."""

FILE: Final = "journal.ndjson"
# Beside it, in the folder of the run:
REFUSAL: Final = "refused.txt"
"""Why nothing was judged; written for the supervisor."""
STOPPED: Final = "stopped.txt"
"""Why the supervisor stopped pytest; absent after Ctrl-C."""


class Journal:
    """Appends events to a file. Each is one `write` in append mode, so lines never mix."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, event: Event) -> None:
        """Append one event."""
        os.write(self._file, json.dumps(event, default=str).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Reader:
    """Reads the events of a journal while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> Iterator[Event]:
        """The events that were completed since the last call.

        An incomplete line is left for the next call; a line that is not JSON (full disk, edited
        file) is skipped.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole, newline, _ = data.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
