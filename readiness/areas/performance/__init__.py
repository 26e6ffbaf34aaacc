"""Performance: whether the target is fast enough, and stays so."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from readiness.areas.performance.config import Config, Query
from readiness.config.base.area import Area
from readiness.config.base.mistakes import Mistake, known, twice

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    performance = config.performance
    for index, ingest in enumerate(performance.ingest):
        if ingest.write_path:
            path = ("performance", "ingest", index, "write_path", "service")
            yield from known(path, ingest.write_path.service, "services", config.services)
    yield from twice(("performance", "ingest"), "name", (i.name for i in performance.ingest))
    yield from twice(("performance", "queries"), "name", (q.name for q in performance.queries))
    yield from _placeholders(performance.queries)


def _placeholders(queries: Iterable[Query]) -> Iterator[Mistake]:
    for index, query in enumerate(queries):
        # In quotes it is text: like '%server'.
        unquoted = re.sub(r"'[^']*'", "", query.sql).replace("%%", "")
        wanted = len(re.findall(r"%[sbt]", unquoted))
        for number, values in enumerate(query.params):
            if len(values) != wanted:
                yield Mistake(
                    ("performance", "queries", index, "params"),
                    f"set {number + 1} has {len(values)} values, the statement {wanted} of '%s'",
                    "give one value for each '%s'",
                )


AREA: Final = Area(
    "performance",
    timed=True,
    config=Config,
    kinds={
        "ingest": ("[[performance.ingest]]", lambda c: c.performance.ingest),
        "query": ("[[performance.queries]]", lambda c: c.performance.queries),
    },
    mistakes=_mistakes,
)
