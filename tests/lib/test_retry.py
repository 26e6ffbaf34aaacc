"""Speed that misses on a disturbed machine is measured again, and is never a pass for that."""

import ctypes
from pathlib import Path

import pytest

from readiness.lib import retry
from readiness.lib.retry import Interference, undisturbed, watching
from readiness.model.errors import CouldNotMeasure, TookTooLong
from readiness.model.measurement import Measurement

QUIET = Interference(stolen=0.02, late_s=0.003)
STOLEN = Interference(stolen=0.7, late_s=0.003)
LATE = Interference(stolen=0.0, late_s=0.6)


class Machine:
    """Counts attempts; says of each what the machine was like."""

    def __init__(self, *states: Interference) -> None:
        self.states = list(states)
        self.attempts = 0
        self.told: list[Measurement] = []

    def seen(self) -> Interference:
        return self.states[self.attempts - 1]

    def measure(self, *values: float) -> float:
        self.attempts += 1
        return values[self.attempts - 1]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(retry.Watch, "seen", lambda _watch: machine.seen())
    monkeypatch.setattr(retry, "_await_quiet", lambda: None)
    return machine


def measured(machine: Machine, *values: float) -> float:
    return undisturbed(
        lambda: machine.measure(*values), lambda value: value <= 100, machine.told.append
    )


def test_a_pass_counts_on_a_disturbed_machine(machine: Machine) -> None:
    machine.states = [STOLEN]
    assert measured(machine, 7) == 7
    assert not machine.told


def test_a_miss_on_a_quiet_machine_counts(machine: Machine) -> None:
    machine.states = [QUIET]
    assert measured(machine, 150) == 150
    assert machine.attempts == 1


@pytest.mark.parametrize("state", [STOLEN, LATE])
def test_a_miss_on_a_disturbed_machine_is_measured_again(
    machine: Machine, state: Interference
) -> None:
    machine.states = [state, state, QUIET]
    assert measured(machine, 150, 160, 170) == 170
    assert [m.value for m in machine.told] == [str(state)] * 2


def test_a_machine_that_is_never_quiet_is_an_error(machine: Machine) -> None:
    machine.states = [STOLEN] * 4
    with pytest.raises(CouldNotMeasure, match="disturbed in all 4 attempts; last: 70%"):
        measured(machine, 150, 150, 150, 150)


def test_an_error_on_a_quiet_machine_is_kept(machine: Machine) -> None:
    machine.states = [QUIET]

    def measure() -> float:
        machine.attempts += 1
        raise TookTooLong("no answer in 5 s")

    with pytest.raises(TookTooLong, match="no answer in 5 s"):
        undisturbed(measure, lambda _value: True, machine.told.append)


def test_an_error_on_a_disturbed_machine_is_tried_again(machine: Machine) -> None:
    machine.states = [LATE, QUIET]

    def measure() -> float:
        machine.attempts += 1
        if machine.attempts == 1:
            raise TookTooLong("no answer in 5 s")
        return 3

    assert undisturbed(measure, lambda _value: True, machine.told.append) == 3


def test_an_error_on_a_machine_that_is_never_quiet_is_kept(machine: Machine) -> None:
    machine.states = [LATE] * 4

    def measure() -> float:
        machine.attempts += 1
        raise TookTooLong("no answer in 5 s")

    with pytest.raises(TookTooLong, match="no answer in 5 s"):
        undisturbed(measure, lambda _value: True, machine.told.append)
    assert len(machine.told) == 4


def test_a_delayed_thread_is_noticed() -> None:
    with watching() as watch:
        ctypes.PyDLL(None).usleep(600_000)  # keeps the interpreter's lock, as a stalled machine
    assert watch.seen().late_s > 0.4
    assert watch.seen().disturbed


def test_stolen_time_is_read_as_the_kernel_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(retry, "_STAT", stat)
    # user nice system idle iowait irq softirq steal guest guest_nice, as in proc(5)
    stat.write_text("cpu  1000 0 500 9000 100 0 0 100 0 0\ncpu0 1 2 3\n")
    with watching() as watch:
        stat.write_text("cpu  1050 0 510 9900 100 0 0 100000 0 0\ncpu0 1 2 3\n")
    assert watch.seen().stolen > 100
    assert watch.seen().disturbed


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "cpu a b c d e f g h\n"])
def test_unknown_stolen_time_counts_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(retry, "_STAT", stat)
    stat.write_text(text)
    with watching() as watch:
        pass
    assert watch.seen().stolen == 0
