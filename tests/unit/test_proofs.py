"""What `readiness prove` says of a fault that this machine cannot try: never that it is proven."""

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Self

import pytest

from readiness import catalogue
from readiness.commands import prove as command
from readiness.evidence import Outcome
from readiness.exitcodes import ExitCode
from readiness.faults import Fault, fault
from readiness.prove import Proof, Prover
from readiness.reference.system import ReferenceSystem
from readiness.report import proofs
from tests.records import make_check

RED = make_check(outcome=Outcome.FAIL)


def proof(**changes: Any) -> Proof:
    facts: dict[str, Any] = {
        "fault": "f", "story": "s", "expected": ("a.b[c]",), "seen": {"a.b[c]": RED}, "after": {},
        "error": "", "duration_s": 1.0,
    }  # fmt: skip
    return Proof(**(facts | changes))


PROVEN = proof()
REFUTED = proof(seen={})
UNTRIED = proof(seen={}, untried="timescale is absent: not built")


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
def test_the_exit_code_tells_untried_from_proven_and_refuted(
    ended: list[Proof], code: ExitCode
) -> None:
    assert command._exit_code(ended) == code


def test_the_table_and_the_page_tell_it_with_the_reason() -> None:
    text = proofs.summary([PROVEN, UNTRIED])
    assert "NOT TRIED" in text
    assert "cannot be tried here: timescale is absent: not built" in text
    assert text.endswith("1 of 2 proven, 1 not tried")
    assert proofs.summary([PROVEN]).endswith("1 of 1 proven")
    page = proofs.page([PROVEN, UNTRIED])
    assert "<h1>1 of 2 proven, 1 not tried</h1>" in page
    assert ">NOT TRIED</td>" in page


class _System(SimpleNamespace):
    """A reference system without one part."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


def test_a_fault_of_an_absent_part_is_not_applied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def apply(_: ReferenceSystem) -> Any:
        raise AssertionError("it was tried")

    broken = Fault("f", "s", frozenset({"a.b[c]"}), apply, needs="timescale")
    monkeypatch.setattr(catalogue, "faults", lambda: [broken])
    system = _System(absent={"timescale": "it is not built"})
    monkeypatch.setattr(ReferenceSystem, "start", lambda **_: system)
    code = command.run(
        pattern="f", quick=True, healthy=0, systems=1, provider=None, form="json", html=None
    )
    told = json.loads(capsys.readouterr().out)[0]
    assert code == ExitCode.INCOMPLETE
    assert (told["proven"], told["untried"]) == (False, "timescale is absent: it is not built")


def test_a_fault_that_needs_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    system = _System(absent={"": "nothing", "timescale": "it is not built"})
    monkeypatch.setattr(ReferenceSystem, "start", lambda **_: system)
    tried = []
    monkeypatch.setattr("readiness.prove._try", lambda fault, *_, **__: tried.append(fault))
    plain = Fault("f", "s", frozenset({"a.b[c]"}), lambda _: nullcontext())
    prover = Prover(provider=None, systems=1, say=lambda _: None)
    assert list(prover.prove([plain], healthy=0)) == [None]
    assert tried == [plain]


def test_every_fault_needs_a_part_that_can_be_absent() -> None:
    assert {found.needs for found in catalogue.faults()} == {"", "timescale", "WAL archive"}
    assert fault(turns_red={"a.b"}, story="s", needs="timescale")(lambda _: nullcontext()).needs
