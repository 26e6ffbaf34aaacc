"""The record of a prober: failures, gaps, when it is not trusted, and when a drill is repeated."""

from dataclasses import dataclass, replace

import pytest

from readiness.lib.prober import watched
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
from readiness.lib.prober.watched import fairly
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
def test_an_encoded_line_is_decoded(line: Line) -> None:
    assert decode(encode(line)) == line


@pytest.mark.parametrize("text", ["", "[]", "{}", '["s"]', '["x",1]', '["s",1,"other",0,0,0]', "["])
def test_an_invalid_line_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        decode(text)


def test_nine_seconds_of_outage_in_three_minutes_are_nine_seconds() -> None:
    """M8: 95 % of all requests were answered."""
    seen = record(180 * 50, range(4000, 4450))
    assert len(seen.failed) == 450
    assert seen.longest_gap_s == pytest.approx(9.0)


def test_gaps_are_reported_for_each_kind_of_connection() -> None:
    samples = [sample(n, "refused" if n in {10, 12, 14, 30} else "") for n in range(60)]
    gaps = Observation(PLAN, tuple(samples), ()).outages()
    assert [(gap.mode, gap.requests) for gap in gaps] == [(Mode.NEW, 3), (Mode.NEW, 1)]
    assert gaps[0].length_s == pytest.approx(3 * 2 * PLAN.period_s)


def test_a_gap_that_does_not_end_lasts_to_the_end() -> None:
    assert record(100, range(50, 100)).longest_gap_s == pytest.approx(1.0)


def test_without_a_failure_there_is_no_gap() -> None:
    assert record(100).longest_gap_s == 0
    assert record(100).failed == ()


def test_latency_counts_from_the_due_time() -> None:
    seen = Observation(PLAN, tuple(sample(n, late_s=0.03, took_s=0.05) for n in range(100)), ())
    assert seen.latency_s(0.99) == pytest.approx(0.05)


def test_the_shortest_detectable_outage_is_reported() -> None:
    assert record(100).shortest_seen_s == pytest.approx(PLAN.period_s)


def test_a_prober_that_kept_its_rate_is_trusted() -> None:
    record(100).must_be_fair()


def test_a_prober_that_sent_nothing_is_not_trusted() -> None:
    with pytest.raises(NoData, match="nothing was sent"):
        record(0).must_be_fair()


def test_a_prober_that_was_late_is_not_trusted() -> None:
    seen = Observation(PLAN, tuple(sample(n, late_s=0.06) for n in range(100)), ())
    with pytest.raises(NoData, match="too late"):
        seen.must_be_fair()


def test_a_prober_that_stood_still_is_not_trusted() -> None:
    """M10: what came and went in between was seen by nobody."""
    before = [sample(n) for n in range(2000)]
    after = [sample(n) for n in range(2014, 4000)]
    with pytest.raises(NoData, match=r"nothing was sent for 0\.30 s"):
        Observation(PLAN, (*before, *after), ()).must_be_fair()


def test_a_part_of_a_record_is_judged_alone() -> None:
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


def test_an_answered_error_over_a_kept_connection_is_a_failure_of_the_service() -> None:
    samples = [
        replace(sample(n, "status 503" if n in range(51, 90, 4) else ""), status=503)
        for n in range(200)
    ]
    assert behaviour(Observation(PLAN, tuple(samples), ())) is Behaviour.LATE


def test_every_behaviour_has_a_remedy() -> None:
    assert [word for word in Behaviour if not word.remedy] == [Behaviour.UNNOTICED]


@dataclass(frozen=True)
class Done:
    number: int
    is_starved: bool


class Drills:
    """A machine that is too busy for the first few."""

    def __init__(self, starved: int) -> None:
        self.starved, self.done = starved, 0

    def __call__(self) -> Done:
        self.done += 1
        return Done(self.done, self.done <= self.starved)


def test_a_measured_drill_runs_once() -> None:
    assert fairly(Drills(0)) == Done(1, False)


def test_a_starved_short_drill_is_repeated() -> None:
    assert fairly(Drills(3)) == Done(4, False)


def test_repetition_ends() -> None:
    assert fairly(Drills(100)) == Done(6, True)


def test_a_starved_long_drill_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "_PATIENCE_S", -1)
    assert fairly(Drills(100)) == Done(2, True)
