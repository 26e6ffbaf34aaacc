"""Lets one program of the reference system hang, and go on: `... pause alertmanager`.

What is paused keeps its connections and answers nobody, as a frozen virtual machine does.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = "REFERENCE_FOLDER"
_SIGNALS: Final = {"pause": signal.SIGSTOP, "resume": signal.SIGCONT}


def main(action: str, name: str) -> None:
    """Send the signal to the program and its children."""
    pid = int((Path(os.environ[FOLDER]) / f"{name}.pid").read_text())
    os.killpg(pid, _SIGNALS[action])


if __name__ == "__main__":
    main(*sys.argv[1:])
