"""How long comparing a restored database takes, as a share of restoring it; and its memory.

PYTHONPATH=. python benchmarks/bench_restore.py [MEGABYTES, default 1000]
"""

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROWS_A_MEGABYTE: Final = 4_000
TABLES: Final = 4
_FILL: Final = """
    create table rows_{n} as
    select i as id, i % 1000 as customer_id, now() - i * interval '1 second' as at,
        md5(i::text) || md5((i + {n})::text) || md5((-i)::text) || repeat(chr(97 + i % 26), 60) note
    from generate_series(1, {rows}) i;
    alter table rows_{n} add primary key (id);
    create index on rows_{n} (customer_id);
    create index on rows_{n} (at)"""


def main(megabytes: int) -> None:
    """Make it, dump it, restore it, compare it."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import psycopg

    from readiness.areas.backup.config import Backup
    from readiness.areas.backup.manifest import lagging, read_manifest, write_backup
    from readiness.areas.backup.probes.restore import restored
    from readiness.areas.backup.probes.stored import newest
    from readiness.lib.postgres.contents import differences
    from readiness.lib.postgres.fingerprint import differences as schema_differences
    from readiness.model.secrets import Dsn
    from readiness.servers.postgres import SCRATCH, PrivatePostgres

    with (
        tempfile.TemporaryDirectory() as folder,
        PrivatePostgres.start(Path(folder) / "source", settings=SCRATCH) as source,
        PrivatePostgres.start(Path(folder) / "scratch") as scratch,
    ):
        with psycopg.connect(source.dsn(), autocommit=True) as connection:
            for number in range(TABLES):
                rows = megabytes * ROWS_A_MEGABYTE // TABLES
                connection.execute(_FILL.format(n=number, rows=rows).encode())
            row = connection.execute("select pg_database_size(current_database())").fetchone()
        size = row[0] if row else 0
        began = time.perf_counter()
        dumps = Path(folder) / "dumps"
        write_backup(source.dsn(), dumps)
        dumping = time.perf_counter() - began
        file = newest(Backup(name="bench", database="bench", path=str(dumps)))
        assert file
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with restored(file, Dsn(scratch.dsn()), scratch.binaries, timeout_s=7200) as restore:
            manifest = read_manifest(file.manifest)
            began = time.perf_counter()
            assert differences(manifest.tables, restore.contents()) == []
            assert schema_differences(manifest.objects or {}, restore.objects()) == []
            assert lagging(manifest.sequences or {}, restore.sequences()) == []
            assert manifest.large_objects == restore.large_objects()
            comparing = time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    print(f"database {size / 1e6:,.0f} MB, dump with manifest {dumping:.1f} s")
    print(f"restoring {restore.elapsed_s:.1f} s, comparing {comparing:.1f} s")
    print(
        f"comparing costs {comparing / restore.elapsed_s:.2f} of restoring; memory +{grown:.0f} MB"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
