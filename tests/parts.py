"""Judges the healthy reference system without each of its parts: it must be READY every time.

python -m tests.parts [NAME ...]

A NAME is a program or an extension, as $READINESS_WITHOUT takes it, or several with commas.
Each is a whole run of some minutes: `make test-parts` tries all of them.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from readiness.servers.programs import WITHOUT

CONTRIB = "pg_stat_statements,pgstattuple,amcheck"
MONITORING = (
    "prometheus,promtool,alertmanager,postgres_exporter,node_exporter,blackbox_exporter,openssl"
)
SERVERS = "pgbackrest,pgbouncer,haproxy,nginx,pg_basebackup,timescaledb"
OTHERS = f"{SERVERS},squawk,meminfo,dockerfile,ssh-keygen"
EVERY = f"{CONTRIB},{MONITORING},{OTHERS}"
"""All that can be hidden: a PostgreSQL and the Python packages are left."""
SINGLE = tuple(EVERY.split(","))


def main(asked: list[str]) -> int:
    """How many of the runs did not end READY."""
    failed = []
    for hidden in asked or [*SINGLE, CONTRIB, MONITORING, EVERY]:
        print(f"== without {hidden}", flush=True)  # noqa: T201
        with tempfile.TemporaryDirectory() as folder:
            reports = Path(folder)
            code = subprocess.run(
                [sys.executable, "-m", "readiness", "run", "--reference", "--reports", reports],
                env={**os.environ, WITHOUT: hidden},
                check=False,
            ).returncode
            record = json.loads((reports / "readiness.json").read_text(encoding="utf-8"))
        print(f"   exit {code}: {record['verdict']} {record['counts']}", flush=True)  # noqa: T201
        failed += [hidden] if code else []
    print(f"not READY without: {'; '.join(failed) or 'none'}")  # noqa: T201
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
