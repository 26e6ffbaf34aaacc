"""The shared cache away: a real Redis that hangs, a service with and without a way around it."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from readiness.areas.security.config import Site
from readiness.areas.security.reference import catalog
from readiness.areas.security.reference.cache import CacheLevers, Catalog
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import Evidence
from readiness.servers import programs
from tests.support.monitored_service import suite
from tests.support.processes import needed

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def guardian() -> Iterator[Guardian]:
    with Guardian() as one:
        yield one


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[Catalog]:
    redis = needed(programs.REDIS)
    made = Catalog(redis, tmp_path_factory.mktemp("redis") / "redis", guardian)
    made.daemon.start()
    try:
        yield made
    finally:
        made.daemon.stop()


class Levers(CacheLevers):
    def __init__(self, one: Catalog) -> None:
        self._catalog = one


def site(shop: Catalog, **changes: Any) -> Site:
    words = {
        key: shop.command(verb, str(shop.folder))
        for key, verb in (("away", "pause"), ("back", "resume"), ("answers", "ping"))
    }
    drill = {"cache": "Redis", "origin": shop.daemon.url, "path": "/", "max_ms": 1000, **words}
    table = {"url": "https://127.0.0.1:9", "timeout_s": 5, "cache_drill": {**drill, **changes}}
    return Site.model_validate(table).placed("security.sites.shop")


def judged(shop: Catalog, guardian: Guardian, **changes: Any) -> Evidence:
    evidence = Evidence(("answers", "time"))
    suite("security.test_caches").test_cache_outage(site(shop, **changes), evidence, guardian)
    assert catalog.answers(shop.folder)
    return evidence


def missed(evidence: Evidence) -> set[str]:
    return {one.key for one in evidence.measurements if one.is_missed}


def test_a_service_that_computes_what_the_cache_lacks_passes(
    shop: Catalog, guardian: Guardian
) -> None:
    assert catalog.ask(shop.folder, b"GET", b"catalog", patience_s=5) == catalog.PAGE
    judged(shop, guardian).conclude()


def test_a_service_that_cannot_do_without_fails(shop: Catalog, guardian: Guardian) -> None:
    with Levers(shop).catalog_behaves(falls_back=False):
        evidence = judged(shop, guardian)
    assert missed(evidence) == {"answers"}
    assert "10 of 10 requests without Redis failed" in evidence.failures[0]


FAILS = [sys.executable, "-I", "-S", "-c", "raise SystemExit(1)"]
WORKS = [sys.executable, "-I", "-S", "-c", ""]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"away": WORKS}, "Redis still answers after it was taken away"),
        ({"answers": FAILS}, "Redis does not answer before it is taken away"),
        ({"answers": WORKS}, "Redis still answers after it was taken away"),
        ({"away": FAILS}, "the command to take away Redis ended with 1"),
        ({"origin": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_a_drill_that_shows_nothing_is_an_error(
    changes: dict[str, Any], words: str, shop: Catalog, guardian: Guardian
) -> None:
    with pytest.raises(CouldNotMeasure, match=words):
        judged(shop, guardian, **changes)
    assert catalog.answers(shop.folder)


def test_a_cache_that_does_not_come_back_is_an_error(shop: Catalog, guardian: Guardian) -> None:
    try:
        with pytest.raises(CouldNotMeasure, match=r"does not answer 0.1 s after it was restored"):
            judged(shop, guardian, back=WORKS, within_s=0.1)
    finally:
        catalog.main("resume", str(shop.folder))


def test_what_is_away_comes_back_if_the_run_is_killed(shop: Catalog) -> None:
    with Guardian() as owner:
        owner.run(shop.command("resume", str(shop.folder)))
        catalog.main("pause", str(shop.folder))
        assert not catalog.answers(shop.folder)
        owner.undo()
    assert catalog.answers(shop.folder)
