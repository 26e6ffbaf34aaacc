"""What a record says: absolute failures and gaps, and when it is not to be believed."""

from dataclasses import replace

import pytest

from readiness.lib.prober.judging import Behaviour, behaviour
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import (
    MODES,
    UNANSWERED,
    End,
    Hangup,
    Line,
    Mode,
    Plan,
    Sample,
    decode,
    encode,
)
from readiness.model.errors import NoData

PLAN = Plan(url="http://127.0.0.1:1/", rate_per_s=50)


def sample(slot: int, problem: str = "", *, late_s: float = 0.0, took_s: float = 0.01) -> Sample:
    due = slot * PLAN.period_s
    mode = MODES[slot % len(MODES)]
    return Sample(slot, mode, due, due + late_s, due + took_s, 0 if problem else 200, problem)


def record(slots: int, failing: range = range(0), problem: str = "refused") -> Observation:
    samples = [sample(slot, problem if slot in failing else "") for slot in range(slots)]
    return Observation(PLAN, tuple(samples), ())


def hangup(seen: Observation, *, idle: bool) -> Observation:
    return Observation(seen.plan, seen.samples, (Hangup(1.0, idle),))


@pytest.mark.parametrize(
    "line",
    [
        Sample(3, Mode.KEPT, 1.5, 1.5001, 1.6, 200, "", "1.5.0", "b"),
        Sample(4, Mode.NEW, 1.5, 1.5, 3.5, 0, UNANSWERED),
        Hangup(2.25, idle=True),
        End(9.0, 450, 0.25),
    ],
)
def test_a_line_is_read_as_it_was_written(line: Line) -> None:
    assert decode(encode(line)) == line


@pytest.mark.parametrize("text", ["", "[]", "{}", '["s"]', '["x",1]', '["s",1,"other",0,0,0]', "["])
def test_what_is_no_line_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        decode(text)


def test_nine_seconds_of_outage_in_three_minutes_are_nine_seconds() -> None:
    """M8: 95 % of all requests were answered."""
    seen = record(180 * 50, range(4000, 4450))
    assert len(seen.failed) == 450
    assert seen.longest_gap_s == pytest.approx(9.0)


def test_a_gap_is_told_for_each_kind_of_connection() -> None:
    samples = [sample(n, "refused" if n in {10, 12, 14, 30} else "") for n in range(60)]
    gaps = Observation(PLAN, tuple(samples), ()).outages()
    assert [(gap.mode, gap.requests) for gap in gaps] == [(Mode.NEW, 3), (Mode.NEW, 1)]
    assert gaps[0].length_s == pytest.approx(3 * 2 * PLAN.period_s)


def test_a_gap_that_does_not_end_lasts_to_the_end() -> None:
    assert record(100, range(50, 100)).longest_gap_s == pytest.approx(1.0)


def test_no_failure_is_no_gap() -> None:
    assert record(100).longest_gap_s == 0
    assert record(100).failed == ()


def test_latency_counts_from_when_a_request_was_due() -> None:
    seen = Observation(PLAN, tuple(sample(n, late_s=0.03, took_s=0.05) for n in range(100)), ())
    assert seen.latency_s(0.99) == pytest.approx(0.05)


def test_it_says_how_short_an_outage_it_would_have_seen() -> None:
    assert record(100).shortest_seen_s == pytest.approx(PLAN.period_s)


def test_a_prober_that_kept_its_rate_is_believed() -> None:
    record(100).must_be_fair()


def test_a_prober_that_sent_nothing_is_not_believed() -> None:
    with pytest.raises(NoData, match="nothing was sent"):
        record(0).must_be_fair()


def test_a_prober_that_was_too_late_is_not_believed() -> None:
    seen = Observation(PLAN, tuple(sample(n, late_s=0.06) for n in range(100)), ())
    with pytest.raises(NoData, match="too late"):
        seen.must_be_fair()


def test_a_prober_that_stood_still_is_not_believed() -> None:
    """M10: what came and went in between was seen by nobody."""
    before = [sample(n) for n in range(2000)]
    after = [sample(n) for n in range(2014, 4000)]
    with pytest.raises(NoData, match=r"nothing was sent for 0\.30 s"):
        Observation(PLAN, (*before, *after), ()).must_be_fair()


def test_a_part_of_a_record() -> None:
    part = record(100, range(50, 60)).between(1.0, 1.2)
    assert len(part.samples) == 10
    assert len(part.failed) == 10


def test_the_five_ways_a_change_can_go() -> None:
    assert behaviour(record(200)) is Behaviour.UNNOTICED
    assert behaviour(hangup(record(200), idle=True)) is Behaviour.CLOSED
    assert behaviour(record(200, range(50, 66))) is Behaviour.AWAY
    assert behaviour(record(200, range(50, 66), UNANSWERED)) is Behaviour.STALLED
    samples = [sample(n, "refused" if n in range(50, 90) and n % 4 < 2 else "") for n in range(200)]
    assert behaviour(Observation(PLAN, tuple(samples), ())) is Behaviour.LATE


def test_requests_lost_on_kept_connections_alone_were_closed() -> None:
    samples = [sample(n, "closed without answer" if n == 51 else "") for n in range(200)]
    assert behaviour(Observation(PLAN, tuple(samples), ())) is Behaviour.CLOSED


def test_an_error_that_is_answered_tells_as_much_over_a_kept_connection() -> None:
    samples = [
        replace(sample(n, "status 503" if n in range(51, 90, 4) else ""), status=503)
        for n in range(200)
    ]
    assert behaviour(Observation(PLAN, tuple(samples), ())) is Behaviour.LATE


def test_what_is_wrong_has_a_remedy() -> None:
    assert [word for word in Behaviour if not word.remedy] == [Behaviour.UNNOTICED]
