from contextlib import nullcontext

from readiness.model.fault import Fault, one_for_each_check


def made(name: str, *turns_red: str) -> Fault:
    return Fault(name, "a story", frozenset(turns_red), lambda _: nullcontext())


def test_every_check_keeps_a_fault_that_turns_as_little_red_as_can_be() -> None:
    wide = made("wide", "a.x[1]", "a.y", "a.z")
    narrow, other = made("narrow", "a.x[1]", "a.x[2]"), made("other", "a.x[3]")
    found = one_for_each_check([wide, narrow, other])
    assert [fault.name for fault in found] == ["narrow", "wide"]
    assert {check for fault in found for check in fault.checks} == {"a.x", "a.y", "a.z"}
