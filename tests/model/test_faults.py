from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

from readiness.model.fault import Fault, broken_by, one_for_each_judgement


def made(name: str, **misses: str) -> Fault:
    expected = {
        f"a.{check}[1]": frozenset(keys.split()) if keys else frozenset[str]()
        for check, keys in misses.items()
    }
    return Fault(name, "a story", expected, lambda _: nullcontext())


def test_every_judgement_keeps_a_fault_that_makes_as_little_miss_as_can_be() -> None:
    wide = made("wide", x="age", y="size", z="")
    narrow, other, more = made("narrow", x="age"), made("other", x="age"), made("sized", x="size")
    found = one_for_each_judgement([wide, narrow, other, more])
    assert [fault.name for fault in found] == ["narrow", "sized", "wide"]
    assert {check for fault in found for check in fault.checks} == {"a.x", "a.y", "a.z"}


def test_levers_are_pulled_in_their_order_and_put_back() -> None:
    pulled: list[str] = []

    @contextmanager
    def lever(name: str) -> Iterator[None]:
        pulled.append(name)
        yield
        pulled.remove(name)

    one = broken_by("one", "One lever.", {"a.b": {"c"}}, lambda levers: levers("first"))
    two = broken_by(
        "two", "Two.", {"a.b": ()}, lambda levers: (levers("first"), levers("second")), needs="x"
    )
    for fault, expected in ((one, ["first"]), (two, ["first", "second"])):
        with fault.apply(SimpleNamespace(levers=lever)):
            assert pulled == expected
        assert pulled == []
    assert (one.name, one.judgements, two.needs) == ("one", {"a.b": ("c",)}, "x")
