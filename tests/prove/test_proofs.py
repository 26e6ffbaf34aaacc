"""How faults are tried and proven; one that this machine cannot try is never proven."""

import json
import os
import signal
import threading
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

import pytest

from readiness.cli import prove as command
from readiness.model.check import Effect
from readiness.model.errors import UsageError
from readiness.model.evidence import Outcome
from readiness.model.fault import Fault
from readiness.model.measurement import Limit, Measurement, at_most
from readiness.model.record import CheckResult
from readiness.model.verdict import ExitCode
from readiness.prove.prover import HEALTHY, Proof, Prover
from readiness.reference.parts import PARTS
from readiness.reference.system import ReferenceSystem
from readiness.run import catalogue
from tests.support.records import make_check

LATE = Measurement("time", 2.0, "s", source="the test", limit=at_most(1.0), key="late")
MISSES = frozenset({"late"})
RED = make_check(outcome=Outcome.FAIL, measurements=(LATE,))


def proof(**changes: Any) -> Proof:
    facts: dict[str, Any] = {"expected": {"a.b[c]": MISSES}, "seen": {"a.b[c]": RED}}
    return Proof("f", "s", **(facts | changes))


PROVEN = proof()
REFUTED = proof(seen={})
UNTRIED = proof(seen={}, untried="timescale is absent: not built", needs="timescale")


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ([PROVEN], ExitCode.READY),
        ([PROVEN, UNTRIED], ExitCode.INCOMPLETE),
        ([UNTRIED], ExitCode.INCOMPLETE),
        ([PROVEN, REFUTED, UNTRIED], ExitCode.NOT_READY),
        ([proof(error="could not be tried")], ExitCode.NOT_READY),
        ([], ExitCode.NOT_READY),
    ],
)
def test_exit_code_for_proven_refuted_and_untried_faults(
    ended: list[Proof], code: ExitCode
) -> None:
    assert command._exit_code(ended) == code


@pytest.mark.parametrize(
    ("ended", "optional", "code"),
    [
        ([PROVEN, UNTRIED], ["timescale"], ExitCode.READY),
        ([PROVEN, UNTRIED], ["fleet"], ExitCode.INCOMPLETE),
        ([PROVEN, UNTRIED, replace(UNTRIED, needs="fleet")], ["timescale"], ExitCode.INCOMPLETE),
        ([UNTRIED], ["timescale"], ExitCode.INCOMPLETE),
        ([REFUTED, UNTRIED], ["timescale"], ExitCode.NOT_READY),
    ],
)
def test_a_part_that_may_be_absent_does_not_change_the_exit_code(
    ended: list[Proof], optional: list[str], code: ExitCode
) -> None:
    assert command._exit_code(ended, optional) == code


def test_an_unknown_optional_part_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown part 'flet'"):
        command.run(
            pattern="", quick=True, healthy=0, systems=1, provider=None, optional=["flet"],
            form="json", html=None,
        )  # fmt: skip


def test_table_and_page_show_untried_faults_with_the_reason() -> None:
    text = command.summary([PROVEN, UNTRIED])
    assert "NOT TRIED" in text
    assert "cannot be tried here: timescale is absent: not built" in text
    assert text.endswith("1 of 2 proven, 1 not tried")
    assert command.summary([PROVEN]).endswith("1 of 1 proven")
    page = command.page([PROVEN, UNTRIED])
    assert "<h1>1 of 2 proven, 1 not tried</h1>" in page
    assert ">NOT TRIED</td>" in page


class _System(SimpleNamespace):
    """A reference system without one part."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True


def test_a_fault_of_an_absent_part_is_not_applied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def apply(_: ReferenceSystem) -> Any:
        raise AssertionError("it was tried")

    broken = Fault("f", "s", {"a.b[c]": MISSES}, apply, needs="timescale")
    monkeypatch.setattr(catalogue, "faults", lambda: [broken])
    system = _System(absent={"timescale": "it is not built"})
    monkeypatch.setattr(ReferenceSystem, "start", lambda **_: system)
    code = command.run(
        pattern="f", quick=True, healthy=0, systems=1, provider=None, optional=[], form="json",
        html=None,
    )  # fmt: skip
    told = json.loads(capsys.readouterr().out)[0]
    assert code == ExitCode.INCOMPLETE
    assert (told["proven"], told["untried"]) == (False, "timescale is absent: it is not built")


class _Runner:
    """Gives the results in `said`, one for each run, and records the requested checks."""

    def __init__(self, *said: tuple[dict[str, CheckResult], str]) -> None:
        self.said = list(said)
        self.asked: list[set[str]] = []
        self.specs = [entry.spec for entry in catalogue.entries()]

    def run(
        self, _: ReferenceSystem, checks: Collection[str]
    ) -> tuple[dict[str, CheckResult], str]:
        self.asked.append(set(checks))
        return self.said.pop(0)

    def interrupt(self) -> None:
        raise AssertionError("interrupted")


NOTHING: tuple[dict[str, CheckResult], str] = ({}, "")
MARKED = Fault("f", "s", {"signoff.manual-items[uat]": MISSES}, lambda _: nullcontext())
SEEN = {"signoff.manual-items[uat]": RED}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[_System]:
    systems: list[_System] = []

    def start(**_: object) -> _System:
        systems.append(_System(absent={"": "nothing", "timescale": "it is not built"}))
        return systems[-1]

    monkeypatch.setattr(ReferenceSystem, "start", start)
    return systems


def prove(
    runner: _Runner, *faults: Fault, quick: bool = True, second_try: bool = False
) -> list[Proof]:
    prover = Prover(
        provider=None, systems=1, say=lambda _: None, quick=quick, second_try=second_try,
        runner=runner,
    )  # fmt: skip
    return list(prover.prove(faults, healthy=0))


@pytest.mark.usefixtures("started")
def test_a_fault_is_proven_by_two_runs_and_its_lane_by_a_last_one() -> None:
    runner = _Runner((SEEN, ""), NOTHING, NOTHING)
    first, last = prove(runner, MARKED)
    assert (first.proven, first.fault, set(first.seen)) == (True, "f", set(SEEN))
    assert (last.proven, last.fault) == (True, f"{HEALTHY}, lane 1 of 1, after its faults")
    suite = {entry.spec.id for entry in catalogue.entries() if entry.spec.suite == "signoff"}
    assert runner.asked[:2] == [suite, {"signoff.manual-items"}]
    assert runner.asked[2] == {s.id for s in runner.specs if s.effect is Effect.OBSERVE}


@pytest.mark.usefixtures("started")
def test_a_finding_at_the_end_of_a_lane_is_not_proven() -> None:
    found = {"a.b[c]": RED}
    first, last = prove(_Runner((SEEN, ""), NOTHING, (found, "")), MARKED)
    assert (first.proven, last.proven, last.seen) == (True, False, found)


def test_ctrl_c_ends_the_checks_and_the_system(started: list[_System]) -> None:
    ended = threading.Event()

    class Interrupted(_Runner):
        def run(
            self, _: ReferenceSystem, checks: Collection[str]
        ) -> tuple[dict[str, CheckResult], str]:
            self.asked.append(set(checks))
            os.kill(os.getpid(), signal.SIGINT)  # the main thread takes it
            assert ended.wait(60)
            return {}, "interrupted"

        def interrupt(self) -> None:
            ended.set()

    runner = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        prove(runner, MARKED, MARKED)
    assert len(runner.asked) == 1
    assert [system.stopped for system in started] == [True]


@pytest.mark.parametrize(
    "runs",
    [
        [({}, "pytest ended by signal SIGKILL before the verdict.")],
        [(SEEN, ""), (SEEN, "")],
        [(SEEN, ""), ({}, "nothing was judged: x")],
    ],
    ids=["crash", "still failing", "cannot run again"],
)
def test_a_system_that_may_be_broken_is_replaced(
    started: list[_System], runs: list[tuple[dict[str, CheckResult], str]]
) -> None:
    runner = _Runner(*runs, (SEEN, ""), NOTHING, NOTHING)
    first, second, _ = prove(runner, MARKED, MARKED)
    assert (first.proven, second.proven) == (False, True)
    assert len(started) == 2
    assert runner.said == []


def test_a_system_on_which_a_fault_was_refuted_is_kept(started: list[_System]) -> None:
    first, second, _ = prove(
        _Runner(NOTHING, NOTHING, (SEEN, ""), NOTHING, NOTHING), MARKED, MARKED
    )
    assert (first.proven, second.proven) == (False, True)
    assert len(started) == 1


@pytest.mark.parametrize(
    ("second_run", "proven"), [((SEEN, ""), True), (NOTHING, False)], ids=["proven", "refuted"]
)
def test_an_unproven_fault_is_tried_again_on_a_new_system(
    started: list[_System], second_run: tuple[dict[str, CheckResult], str], *, proven: bool
) -> None:
    # Not seen, undone, healthy; then the second try.
    runner = _Runner(NOTHING, NOTHING, NOTHING, second_run, NOTHING, NOTHING)
    healthy, again, after = prove(runner, MARKED, second_try=True)
    assert (again.fault, again.proven, again.second_try) == (MARKED.name, proven, True)
    assert [p.second_try for p in (healthy, after)] == [False, False]
    assert len(started) == 2
    told = command.summary([healthy, again, after])
    assert ("on the second try, running alone" in told) is proven
    assert again.to_dict()["second_try"] is True


@pytest.mark.usefixtures("started")
def test_without_quick_all_parallel_checks_run() -> None:
    runner = _Runner((SEEN, ""), NOTHING, NOTHING)
    prove(runner, MARKED, quick=False)
    parallel = {s.id for s in runner.specs if not s.effect.needs_quiet}
    assert runner.asked[:2] == [parallel, parallel]


DRILL = Fault("d", "s", {"deployment.rollback[x]": MISSES}, lambda _: nullcontext())
SLOW = make_check(id="deployment.rollback", subject="x", outcome=Outcome.FAIL, measurements=(LATE,))


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("after", [{}, {SLOW.name: SLOW}], ids=["passing", "still failing"])
def test_drills_are_run_again_once_for_all_their_faults(after: dict[str, CheckResult]) -> None:
    found = ({SLOW.name: SLOW}, "")
    # The other fault comes first, with a run of its own afterwards.
    said = [(SEEN, ""), NOTHING, found, found, (after, "")]
    runner = _Runner(*said, *([] if after else [NOTHING]))
    proofs = {
        proof.fault: proof for proof in prove(runner, DRILL, MARKED, replace(DRILL, name="e"))
    }
    assert runner.said == []
    assert runner.asked[4] == {"deployment.rollback"}
    assert {proofs["d"].proven, proofs["e"].proven} == {not after}
    assert proofs["d"].after == proofs["e"].after == after


def test_a_fault_without_a_run_after_it_is_not_proven() -> None:
    assert not replace(PROVEN, rechecked=False).proven


def test_the_proof_names_the_judgements_that_missed() -> None:
    one = at_most(1.0)
    limits: list[tuple[str, float | str, Limit | None]] = [
        *(("late", 2.0, one), ("fine", 1.0, one), ("late", 3.0, one)),
        *(("endless", "inf", one), ("shown", 9.0, None)),
    ]
    measured = tuple(
        Measurement("time", value, "s", source="the test", limit=limit, key=key)
        for key, value, limit in limits
    )
    red = make_check(outcome=Outcome.FAIL, measurements=measured)
    assert proof(seen={"a.b[c]": red}).to_dict()["misses"] == {"a.b[c]": ["late", "endless"]}
    both = frozenset({"late", "endless"})
    assert proof(seen={"a.b[c]": red}, expected={"a.b[c]": both}).proven
    for keys in ({"late"}, {*both, "fine"}, set[str]()):
        refuted = proof(seen={"a.b[c]": red}, expected={"a.b[c]": frozenset(keys)})
        assert not refuted.proven
        (difference,) = refuted.differences
        assert "missed: endless, late" in difference


def test_only_a_fault_without_judgements_expects_an_error() -> None:
    lost = make_check(outcome=Outcome.ERROR)
    assert proof(seen={"a.b[c]": lost}, expected={"a.b[c]": frozenset()}).proven
    assert not proof(seen={"a.b[c]": lost}, expected={"a.b[c]": frozenset({"late"})}).proven
    failed = make_check(outcome=Outcome.FAIL)
    assert not proof(seen={"a.b[c]": failed}, expected={"a.b[c]": frozenset()}).proven


def test_every_fault_needs_a_part_that_can_be_absent() -> None:
    parts = {part.name for part in PARTS} | {""}
    assert {found.needs for found in catalogue.faults()} <= parts
