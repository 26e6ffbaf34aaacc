"""A lever on the statistics of statements: a role that takes much of the database's time."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg

from readiness.model.errors import ReferenceSystemError
from readiness.servers.shop import Shop

_AT_ONCE: Final = 30
# The statistics go on while the gate runs, and the share goes down.
_RUN_S: Final = 200.0
_HEAVY: Final = "select pg_sleep(%s) /* readiness_heavy */"
_SO_FAR: Final = """
select greatest(extract(epoch from now() - (select stats_reset from pg_stat_statements_info)),
                sum(total_exec_time) / 1000)::float8
from pg_stat_statements"""
_FORGET: Final = """
select pg_stat_statements_reset(userid, dbid, queryid)
from pg_stat_statements where query like '%readiness_heavy%'"""


@contextlib.contextmanager
def spent(shop: Shop, share: float) -> Iterator[None]:
    """Spend a share of the time so far as the monitoring role; the statistics forget it after.

    Raises:
        ReferenceSystemError: this server has no statistics of statements.
    """
    if not shop.has_statistics:
        raise ReferenceSystemError("this PostgreSQL comes without pg_stat_statements")
    with psycopg.connect(shop.superuser, autocommit=True) as connection:
        row = connection.execute(_SO_FAR.encode()).fetchone()
        so_far_s = float(row[0]) if row else 0.0
    # What is spent is part of the whole, too.
    needed_s = share / (1 - share) * (so_far_s + _RUN_S)
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for ended in [pool.submit(_sleep, shop, needed_s / _AT_ONCE) for _ in range(_AT_ONCE)]:
                ended.result()
        yield
    finally:
        with psycopg.connect(shop.superuser, autocommit=True) as connection:
            connection.execute(_FORGET.encode())


def _sleep(shop: Shop, seconds: float) -> None:
    with psycopg.connect(shop.monitor, autocommit=True) as connection:
        connection.execute(_HEAVY.encode(), [seconds])
