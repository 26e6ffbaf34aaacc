"""How much of a measured time the noise of the measuring machine explains."""

import ctypes
from pathlib import Path

import pytest

from readiness.lib import noise
from readiness.lib.noise import SILENCE, Noise, watching
from readiness.lib.sampling import Bounds

QUIET = Noise(usual_s=0.0002, worst_s=0.002, lost=0.01)
BUSY = Noise(usual_s=0.015, worst_s=0.055, lost=0.25)
"""Four busy processes on two processors."""


CROWDED = Noise(usual_s=0.001, worst_s=0.028, lost=0.98)
"""Eighteen busy processes on two processors: threads wake soon, and wait for their turn to work."""


@pytest.mark.parametrize(
    ("machine", "p95_ms", "fastest_ms", "kept"),
    [
        (QUIET, 100, 10, True),
        (QUIET, 102, 10, None),
        (QUIET, 150, 10, False),
        (BUSY, 99, 10, True),
        (BUSY, 145, 10, None),
        (BUSY, 1000, 10, False),
        (BUSY, 1000, 990, False),
        (CROWDED, 383, 10, None),
        (CROWDED, 1018, 1003, False),
        (CROWDED, 160, 150, False),
    ],
)
def test_noise_excuses_what_it_explains_and_no_more(
    machine: Noise, p95_ms: float, fastest_ms: float, kept: bool | None
) -> None:
    assert machine.keeps_time(p95_ms, 100, fastest_ms) is kept


def test_noise_never_makes_a_pass() -> None:
    """The upper bound is what it was; only the lower one moves."""
    assert SILENCE.keeps(Bounds(90, 95, 110), 100, 0) is None
    assert BUSY.keeps(Bounds(400, 450, None), 100, 0) is False
    assert BUSY.keeps(Bounds(None, 50, None), 100, 0) is None


def test_the_latest_wake_up_excuses_the_tail_alone() -> None:
    stalled = Noise(usual_s=0.001, worst_s=0.5, lost=0.0)
    assert stalled.keeps_time(400, 100, 10) is False
    assert stalled.keeps_time(400, 100, 10, q=0.99) is None


@pytest.mark.parametrize(
    ("machine", "rate", "kept"),
    [(BUSY, 1000, True), (BUSY, 850, None), (BUSY, 480, False), (QUIET, 980, False)],
)
def test_a_rate_is_as_certain_as_the_time_of_its_operations(
    machine: Noise, rate: float, kept: bool | None
) -> None:
    assert machine.keeps_rate(rate, 1000, each_s=20_000 / rate, fastest_s=0) is kept


def test_the_fastest_operation_bounds_a_rate() -> None:
    assert CROWDED.keeps_rate(480, 1000, each_s=2.0, fastest_s=0.1) is None
    assert CROWDED.keeps_rate(480, 1000, each_s=2.0, fastest_s=1.9) is False


def test_a_stall_weighs_as_long_as_it_lasts() -> None:
    with watching() as watch:
        ctypes.PyDLL(None).usleep(600_000)  # keeps the interpreter's lock, as a stalled machine
    seen = watch.seen()
    assert seen.worst_s > 0.4
    assert seen.usual_s > 0.3, "most ticks of that time were late, not one"
    assert seen.is_much


def test_stolen_time_is_read_as_the_kernel_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(noise, "_STAT", stat)
    # user nice system idle iowait irq softirq steal guest guest_nice, as in proc(5)
    stat.write_text("cpu  1000 0 500 9000 100 0 0 100 0 0\ncpu0 1 2 3\n")
    with watching() as watch:
        stat.write_text("cpu  1050 0 510 9900 100 0 0 100000 0 0\ncpu0 1 2 3\n")
    assert watch.seen().lost == 1


def test_waiting_for_a_processor_is_read_as_the_kernel_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pressure = tmp_path / "cpu"
    monkeypatch.setattr(noise, "_PRESSURE", pressure)
    line = "some avg10=1.50 avg60=2.80 avg300=4.97 total={}\nfull avg10=0.00 total=0\n"
    pressure.write_text(line.format(1_000_000))
    with watching() as watch:
        pressure.write_text(line.format(900_000_000))
    assert watch.seen().lost == 1
    pressure.unlink()
    assert noise._waited_s() == 0


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "cpu a b c d e f g h\n"])
def test_unknown_stolen_time_counts_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(noise, "_STAT", stat)
    stat.write_text(text)
    assert noise._stolen_s() == 0
