"""Makes the canary metric breach, and ends it: `python -m readiness.reference.canary breach ID`.

It is a file of node_exporter's textfile collector, in the folder REFERENCE_CANARY_FOLDER.
"""

import os
import sys
from pathlib import Path
from typing import Final

from readiness.reference.files import write_whole

FOLDER: Final = "REFERENCE_CANARY_FOLDER"


def main(action: str, probe: str = "") -> None:
    """`breach PROBE` writes the series, `clear` removes it."""
    file = Path(os.environ[FOLDER]) / "canary.prom"
    if action == "breach":
        write_whole(file, f'readiness_canary{{probe="{probe}"}} 1\n'.encode())
    else:
        file.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
