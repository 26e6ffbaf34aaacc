"""A store of backups that locks what it holds: `... vault ROLE VERB OBJECT`.

Its policy says what each role may do, as a bucket's does: VERB is put, exists or delete, and a
refusal ends with status 13.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

from readiness.servers.files import write_whole

FOLDER: Final = "REFERENCE_VAULT"
POLICY: Final = "policy.json"
_ALLOWED: Final = {
    "backup": ["put", "exists"],
    "application": ["exists"],
    "keeper": ["exists", "delete"],
}
_REFUSED: Final = 13


def make(folder: Path) -> None:
    """An empty store with its policy."""
    folder.mkdir()
    write_whole(folder / POLICY, json.dumps(_ALLOWED, indent=1).encode())


def main(role: str, verb: str, name: str) -> int:
    """Do it, if the role may."""
    folder = Path(os.environ[FOLDER])
    allowed = json.loads((folder / POLICY).read_bytes())
    if verb not in allowed.get(role, []):
        print(f"{role} may not {verb}", file=sys.stderr)  # noqa: T201
        return _REFUSED
    path = folder / Path(name).name
    if verb == "exists":
        return 0 if path.exists() else 1
    if verb == "put":
        write_whole(path, b"an object of the readiness gate")
    else:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
