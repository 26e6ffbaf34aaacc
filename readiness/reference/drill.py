"""What drills do to the reference system: `python -m readiness.reference.drill ACTION [NAME]`.

`away` closes the shop's database and ends its connections; `back` reopens it. `slow` locks the
orders, as a migration would, and `fast` releases them. They need REFERENCE_ADMIN_DSN: a superuser
in another database. `pause NAME` stops a program of the monitoring, such as `alertmanager`, as a
frozen virtual machine is stopped: its connections stay open and get no answer; `resume NAME`
continues it. They need REFERENCE_FOLDER.

`begin PORT` starts one more instance of the service, which no balancer knows, and `end` stops it.
They need REFERENCE_FOLDER and REFERENCE_APP_DSN. `crowd URL CONNECTIONS SECONDS` requests a page
again and again, as a job would that knows no pause.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

DATABASE: Final = "shop"
ADMIN_DSN: Final = "REFERENCE_ADMIN_DSN"
FOLDER: Final = "REFERENCE_FOLDER"
APP_DSN: Final = "REFERENCE_APP_DSN"
_LOCK: Final = "readiness_slow"
_INSTANCE: Final = "instance.pid"
_END_S: Final = 10.0
_SIGNALS: Final = {"pause": signal.SIGSTOP, "resume": signal.SIGCONT}
_USAGE: Final = f"""\
usage: {ADMIN_DSN}=... python -m {__spec__.name} away|back
       {ADMIN_DSN}=... python -m {__spec__.name} slow|fast
       {FOLDER}=... python -m {__spec__.name} pause|resume NAME
       {FOLDER}=... {APP_DSN}=... python -m {__spec__.name} begin PORT|end
       python -m {__spec__.name} crowd URL CONNECTIONS SECONDS"""


def away(admin_dsn: str, database: str = DATABASE) -> None:
    """Refuse new connections to the database, and end the open ones."""
    _allow(admin_dsn, database, allowed=False)


def back(admin_dsn: str, database: str = DATABASE) -> None:
    """Accept connections again."""
    _allow(admin_dsn, database, allowed=True)


def _allow(admin_dsn: str, database: str, *, allowed: bool) -> None:
    # Here, so that `pause` and `resume` start without the driver.
    import psycopg
    from psycopg import sql

    with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=5) as connection:
        connection.execute(
            sql.SQL("alter database {} allow_connections {}").format(
                sql.Identifier(database), sql.Literal(allowed)
            )
        )
        if not allowed:
            connection.execute(
                "select pg_terminate_backend(pid, 2000) from pg_stat_activity where datname = %s",
                [database],
            )


def slow(admin_dsn: str, database: str = DATABASE) -> None:
    """Lock the orders, and keep the lock beyond the end of this session."""
    _in_shop(
        admin_dsn,
        database,
        "begin",
        "lock table shop.orders in access exclusive mode",
        f"prepare transaction '{_LOCK}'",
    )


def fast(admin_dsn: str, database: str = DATABASE) -> None:
    """Release the lock, if there is one."""
    _in_shop(admin_dsn, database, f"rollback prepared '{_LOCK}'")


def _in_shop(admin_dsn: str, database: str, *statements: str) -> None:
    import psycopg
    from psycopg.conninfo import make_conninfo

    conninfo = make_conninfo(admin_dsn, dbname=database, options="-c lock_timeout=5s")
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
        for statement in statements:
            with suppress(psycopg.errors.UndefinedObject):  # it is released already
                connection.execute(statement.encode())


def begin(folder: Path, dsn: str, port: str) -> None:
    """Start an instance, and leave it running."""
    variables = {"DATABASE_URL": dsn, "SERVICE_BEHAVIOUR": str(folder / "behaviour.json")}
    process = subprocess.Popen(
        [sys.executable, "-m", "readiness.reference.service", port],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    (folder / _INSTANCE).write_text(str(process.pid))


def end(folder: Path) -> None:
    """Stop the instance, if there is one, and wait for its end."""
    from readiness.lib.watchdog import group_runs

    with suppress(FileNotFoundError, ProcessLookupError):
        pid = int((folder / _INSTANCE).read_text())
        deadline = time.monotonic() + _END_S
        os.killpg(pid, signal.SIGTERM)
        while group_runs(pid):
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.02)
    (folder / _INSTANCE).unlink(missing_ok=True)


def crowd(url: str, connections: int, seconds: float) -> None:
    """Request a page again and again, by several connections at once."""
    until = time.monotonic() + seconds

    def request(_: int) -> None:
        parts = urlsplit(url)
        with closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as connection:
            while time.monotonic() < until:
                connection.request("GET", parts.path)
                connection.getresponse().read()

    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(request, range(connections)))


def main(arguments: list[str]) -> int:
    """Exit status 0, or 2 for wrong arguments."""
    admin_dsn, folder = os.environ.get(ADMIN_DSN), os.environ.get(FOLDER)
    app_dsn = os.environ.get(APP_DSN)
    match arguments:
        case ["away"] if admin_dsn:
            away(admin_dsn)
        case ["back"] if admin_dsn:
            back(admin_dsn)
        case ["slow"] if admin_dsn:
            slow(admin_dsn)
        case ["fast"] if admin_dsn:
            fast(admin_dsn)
        case [("pause" | "resume") as action, name] if folder:
            pid = int((Path(folder) / f"{name}.pid").read_text())
            os.killpg(pid, _SIGNALS[action])
        case ["begin", port] if folder and app_dsn:
            begin(Path(folder), app_dsn, port)
        case ["end"] if folder:
            end(Path(folder))
        case ["crowd", url, connections, seconds]:
            crowd(url, int(connections), float(seconds))
        case _:
            print(_USAGE, file=sys.stderr)  # noqa: T201
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
