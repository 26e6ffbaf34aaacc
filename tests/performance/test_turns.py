"""Two releases that are requested by turns, and what the check concludes from their answers."""

import time
from collections.abc import Callable
from datetime import date

import pytest

from readiness.areas.performance import AREA
from readiness.areas.performance.config import Before
from readiness.areas.performance.turns import Turns, by_turns
from readiness.config.base.tables import Service
from readiness.lib.noise import SILENCE
from readiness.model.errors import CouldNotMeasure, Unreachable
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from suites.performance.test_endpoints import test_endpoints as judge
from tests.performance.test_endpoints import config, declared
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract
OK = Reply("{}")


def _slow() -> Reply:
    time.sleep(0.02)
    return OK


def judged(now: Callable[[], Reply] | Reply, before: Callable[[], Reply] | Reply) -> Evidence:
    """The evidence of the check; times of 20 ms beside those of a few."""
    evidence = Evidence()
    with SmallServer({"/a": now}) as ours, SmallServer({"/a": before}) as theirs:
        settings = {"before": {"url": theirs.url}, "budget_s": 4}
        judge(declared(**settings), config(ours.url, **settings), evidence)
    return evidence


def test_the_same_release_passes() -> None:
    evidence = judged(OK, OK)
    assert evidence.conclude() is Outcome.PASS
    assert [m.name for m in evidence.measurements if m.key == "release"] == [
        "ratio to the release before, by turns"
    ]


def test_a_slower_release_fails_and_says_by_how_much() -> None:
    with pytest.raises(CheckFailed, match=r"times as long as the release before(.|\n)*median is 2"):
        judged(_slow, OK).conclude()


def test_a_faster_release_passes() -> None:
    assert judged(OK, _slow).conclude() is Outcome.PASS


def test_both_are_requested_equally_often_over_one_connection_each() -> None:
    with SmallServer({"/a": OK}) as ours, SmallServer({"/a": OK}) as theirs:
        service = Service(name="api", url=ours.url)
        turns = by_turns(declared(), service, Before(url=theirs.url))
        assert len(ours.requests) == len(theirs.requests) == 5 + 20 + 60
        assert ours.connections == theirs.connections == 1
    assert len(turns.now) == len(turns.before) == 60


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_release_that_answers_wrongly_is_an_error(is_ours: bool) -> None:
    with SmallServer({"/a": OK}) as good, SmallServer({"/a": Reply("{}", 500)}) as bad:
        ours, theirs = (bad, good) if is_ours else (good, bad)
        service = Service(name="api", url=ours.url)
        with pytest.raises(CouldNotMeasure, match=r"nothing can be compared: .*500") as raised:
            by_turns(declared(), service, Before(url=theirs.url))
    assert raised.value.where == f"{bad.url}/a"


def test_a_release_before_that_is_gone_is_an_error() -> None:
    with SmallServer({"/a": OK}) as ours, pytest.raises(Unreachable):
        by_turns(declared(), Service(name="api", url=ours.url), Before(url="http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("slower", "pairs", "keeps"),
    [
        (1.0, 60, True),
        (1.19, 60, True),
        (1.21, 60, False),
        # The median of three ratios has no bound.
        (1.21, 3, None),
    ],
)
def test_what_counts_is_the_ratio_of_pairs(slower: float, pairs: int, keeps: bool | None) -> None:
    # The machine becomes ten times slower meanwhile, for both.
    before = [100.0 * (1 + 9 * number / pairs) for number in range(pairs)]
    turns = Turns(Before(url="http://b"), [slower * ms for ms in before], before, "GET /a")
    assert turns.keeps() is keeps


def test_a_difference_of_less_than_min_ms_is_none() -> None:
    before, now = [1.0] * 60, [5.9] * 60
    assert Turns(Before(url="http://b"), now, before, "GET /a").keeps()
    assert Turns(Before(url="http://b", min_ms=4), now, before, "GET /a").keeps() is False


def test_what_chance_may_explain_is_an_error() -> None:
    turns = Turns(Before(url="http://b"), [300.0] * 3, [100.0] * 3, "GET /a")
    with pytest.raises(CouldNotMeasure, match=r"300 ms, before 100 ms, and 1\.2 times"):
        turns.judge(Evidence(), SILENCE)


def test_a_release_is_not_compared_with_itself() -> None:
    url = "http://127.0.0.1:1"
    [mistake] = AREA.mistakes(config(url, before={"url": url}), date(2026, 1, 1))
    assert "not slower than itself" in mistake.message


def test_the_plan_names_the_release_before() -> None:
    declares = config("http://127.0.0.1:1", before={"url": "http://127.0.0.1:2"})
    assert AREA.drills
    assert list(AREA.drills.commands(declares))[1:] == [
        "GET http://127.0.0.1:2/a  # the release before, by turns with it"
    ]
