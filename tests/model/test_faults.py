from contextlib import nullcontext

from readiness.model.fault import Fault, one_for_each_judgement


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
