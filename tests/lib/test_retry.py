"""What noise may explain is measured again, and is an error then: neither a miss nor luck."""

import pytest

from readiness.lib import retry
from readiness.lib.noise import Noise, Watch
from readiness.lib.retry import judge_time, undisturbed
from readiness.model.errors import CouldNotMeasure, TookTooLong
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from readiness.model.measurement import Measurement, at_most
from tests.lib.test_noise import BUSY, QUIET

STALLED = Noise(usual_s=0.05, worst_s=0.6, lost=0.2)


class Machine:
    """Counts attempts; says of each what the machine was like."""

    def __init__(self) -> None:
        self.states: list[Noise] = []
        self.lengths: list[int] = []

    def seen(self) -> Noise:
        return self.states[len(self.lengths) - 1]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(Watch, "seen", lambda _watch: machine.seen())
    monkeypatch.setattr(retry, "_await_quiet", lambda: None)
    return machine


def judged(machine: Machine, *values: float | CouldNotMeasure) -> tuple[Outcome, Evidence]:
    """Measures one value after the other, in ms, and judges by a limit of 100 ms."""
    remaining = iter(values)

    def measure(length: int) -> float:
        machine.lengths.append(length)
        value = next(remaining)
        if isinstance(value, CouldNotMeasure):
            raise value
        return value

    evidence = Evidence()
    taken, noise = undisturbed(
        measure, lambda value, noise: noise.keeps_time(value, 100, 1), evidence
    )
    judge_time(evidence, "it", Measurement("it", taken, "ms", "test"), at_most(100), 1, noise)
    return evidence.conclude(), evidence


def test_a_pass_counts_on_a_busy_machine(machine: Machine) -> None:
    machine.states = [BUSY]
    outcome, evidence = judged(machine, 7)
    assert outcome is Outcome.PASS
    assert [m.name for m in evidence.measurements] == [BUSY.measurement.name, "it"]
    assert evidence.measurements[0].value == 15


@pytest.mark.parametrize(("state", "value"), [(QUIET, 150), (BUSY, 1000)])
def test_a_miss_beyond_the_noise_counts(machine: Machine, state: Noise, value: float) -> None:
    machine.states = [state]
    with pytest.raises(CheckFailed):
        judged(machine, value)
    assert machine.lengths == [1]


def test_a_miss_within_the_noise_is_measured_again_and_longer(machine: Machine) -> None:
    machine.states = [BUSY, QUIET]
    outcome, evidence = judged(machine, 145, 9)
    assert outcome is Outcome.PASS
    assert machine.lengths == [1, 2]
    assert evidence.measurements[0].value == str(BUSY)


def test_what_stays_within_the_noise_is_an_error(machine: Machine) -> None:
    machine.states = [BUSY] * 3
    with pytest.raises(CouldNotMeasure, match="cannot be told apart: it 145 ms, limit 100 ms"):
        judged(machine, 145, 150, 145)
    assert machine.lengths == [1, 2, 2]


@pytest.mark.parametrize(("states", "attempts"), [([QUIET], 1), ([STALLED] * 3, 3)])
def test_an_error_is_tried_again_if_there_was_much_noise(
    machine: Machine, states: list[Noise], attempts: int
) -> None:
    machine.states = states
    with pytest.raises(TookTooLong, match="no answer in 5 s"):
        judged(machine, *[TookTooLong("no answer in 5 s")] * attempts)
    assert len(machine.lengths) == attempts


def test_an_answer_after_the_noise_counts(machine: Machine) -> None:
    machine.states = [STALLED, QUIET]
    assert judged(machine, TookTooLong("no answer in 5 s"), 3)[0] is Outcome.PASS
