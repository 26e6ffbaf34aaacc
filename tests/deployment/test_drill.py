"""The drill of a real service, with tools that do nothing, hang, fail and print garbage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.areas.deployment.drill import restoring
from readiness.areas.deployment.drill.change import IN_A_ROW
from readiness.areas.deployment.drill.drill import Drilled
from readiness.lib.drill.safety import locked
from readiness.model.errors import CouldNotMeasure, NoData
from tests.support.drilled_target import NEW, OLD, DrilledTarget, drilled_target
from tests.support.processes import eventually
from tests.support.small_servers import Reply

pytestmark = pytest.mark.contract


@pytest.fixture(autouse=True)
def _short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come back is waited for as long as this target takes to change, and longer."""
    monkeypatch.setattr(restoring, "_GLANCE_S", 2.0)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DrilledTarget]:
    with drilled_target(tmp_path) as running:
        yield running


def undisturbed(target: DrilledTarget) -> Drilled:
    """The first drill for which this machine had time, within 5 minutes.

    The prober says if it had none; the service had none if a request that was under way in a
    change was answered so late that too few followed it.
    """
    done: list[Drilled] = []

    def tried() -> bool:
        try:
            done.append(target.drill())
        except NoData as error:
            if "starved" not in error.message:
                raise
            return False
        in_time = all(change.arrived_s is not None for change in done[-1].changes)
        return in_time and not done[-1].is_starved

    assert eventually(tried, 300)
    return done[-1]


def test_from_the_new_release_it_deploys_the_old_one_first(target: DrilledTarget) -> None:
    # A busy machine answers late: only a lost request is a failure here.
    drilled = undisturbed(target.again(timeout_s="20", change_within_s="120"))
    assert [change.name for change in drilled.changes] == [
        f"deploy {OLD}", f"deploy {NEW}", f"roll back to {OLD}", f"deploy {NEW} again",
    ]  # fmt: skip
    for change in drilled.changes:
        change.must_be_whole()
        assert not change.seen.failed
        assert change.arrived_s is not None
        assert len(change.settled) >= IN_A_ROW
    assert [read.found for read in drilled.reads] == [True, True]
    assert (target.version, drilled.origin, drilled.restored.already) == (NEW, NEW, True)
    assert not target.place.file.exists()
    assert not (target.folder / "row").exists()
    judged = {sample.slot for change in drilled.changes for sample in change.seen.samples}
    assert judged >= set(range(min(judged), len(drilled.whole.samples))), "none is left out"


def test_from_the_old_release_it_ends_there(tmp_path: Path) -> None:
    with drilled_target(tmp_path, OLD) as target:
        drilled = target.drill()
        assert [(change.goal, change.back) for change in drilled.changes] == [
            (NEW, False), (OLD, True), (NEW, False), (OLD, True),
        ]  # fmt: skip
        assert (target.version, drilled.origin) == (OLD, OLD)


BROKEN = {
    # what the tool does -> what is told, and whether it had to be put back
    "nothing": "not complete after 3 s",
    "hang": "not complete after 3 s",
    "fail:deploy": "ended with 1",
    "outage": "over 20 requests failed",
}


@pytest.mark.parametrize("how", BROKEN)
def test_change_that_does_not_complete_is_stopped_and_restored(
    target: DrilledTarget, how: str
) -> None:
    within_s = {"nothing": "3", "hang": "3", "outage": "6"}
    target = target.again(change_within_s=within_s.get(how, "20"))
    target.behave(how)
    if how in {"outage", "hang"}:  # what goes back must work
        target = with_other_rollback(target)
    drilled = target.drill()
    (change,) = drilled.changes
    assert BROKEN[how] in change.problem
    with pytest.raises(
        NoData, match=f"deploy {OLD}: the change was stopped, and the release restored"
    ):
        change.must_be_whole()
    assert target.version == NEW
    assert not target.place.file.exists()
    assert "abc-of-ours" not in change.problem
    if how == "outage":
        assert drilled.restored.arrived > drilled.restored.began


def with_other_rollback(target: DrilledTarget) -> DrilledTarget:
    """Goes back by a command that always works."""
    write = f"printf {{release}} > {target.folder / 'version'}"
    text = target.loaded.path.read_text()
    kept = [line for line in text.splitlines() if not line.startswith("rollback = ")]
    at = kept.index("[deployment.command]") + 1
    kept.insert(at, f'rollback = ["sh", "-c", "{write}"]')
    target.loaded.path.write_text("\n".join(kept))
    return target.again()


def test_a_rollback_that_exits_with_0_and_changes_nothing(target: DrilledTarget) -> None:
    target = target.again(change_within_s="4")
    target.behave("nothing:rollback")
    drilled = target.drill()
    lie = drilled.changes[-1]
    assert (lie.name, lie.status) == (f"roll back to {OLD}", 0)
    assert lie.others_in_the_end
    assert lie.arrived_s is None
    assert target.version == NEW


def test_a_command_that_is_missing_changes_nothing(target: DrilledTarget) -> None:
    text = target.loaded.path.read_text()
    target.loaded.path.write_text(text.replace('deploy = ["', 'deploy = ["/no/such', 1))
    (change,) = target.again().drill().changes
    assert "cannot be started" in change.problem
    assert target.version == NEW


def test_output_of_tools_is_cleaned_and_redacted(target: DrilledTarget) -> None:
    target.behave("garble fail:deploy")
    (change,) = target.drill().changes
    assert "\x1b" not in change.problem
    assert "\u202e" not in change.problem
    assert "of-ours" not in change.problem


UNSTEADY = {
    "no key": (Reply("{}"), "do not name the release in the key 'version'"),
    "no JSON": (Reply("<html>"), "do not name the release in the key 'version'"),
    "another release": (Reply('{"version": "0.9"}'), "neither"),
    "errors": (Reply("", 503), "requests failed"),
}


@pytest.mark.parametrize("how", UNSTEADY)
def test_drill_of_an_unsteady_service_changes_nothing(target: DrilledTarget, how: str) -> None:
    reply, told = UNSTEADY[how]
    target.server.routes["/version"] = reply
    with pytest.raises(NoData, match=told):
        target.drill()
    assert target.log == []
    assert not target.place.file.exists()


def test_two_releases_at_once_are_not_steady(target: DrilledTarget) -> None:
    turn = iter(range(10**6))
    target.server.routes["/version"] = lambda: Reply(
        f'{{"version": "{NEW if next(turn) % 2 else OLD}"}}'
    )
    with pytest.raises(NoData, match="2 releases answer"):
        target.drill()
    assert target.log == []


def test_a_second_drill_is_refused_at_once(target: DrilledTarget) -> None:
    with locked(target.place), pytest.raises(CouldNotMeasure, match="another drill"):
        target.drill()
    assert target.log == []


def test_no_drill_begins_before_a_killed_one_is_restored(target: DrilledTarget) -> None:
    target.place.folder.mkdir()
    target.place.file.write_text("{}")
    with pytest.raises(CouldNotMeasure, match="is not recovered yet"):
        target.drill()
    assert target.log == []


def test_notes_stay_where_the_release_cannot_be_restored(tmp_path: Path) -> None:
    with drilled_target(tmp_path, OLD) as running:
        target = running.again(change_within_s="3")
        target.behave(f"slow fail:{OLD}")
        with pytest.raises(CouldNotMeasure, match="could not be restored") as told:
            target.drill()
        assert "readiness recover" in told.value.remedy
        assert target.place.file.exists()


def test_restoring_tries_deploy_after_rollback(tmp_path: Path) -> None:
    with drilled_target(tmp_path, OLD) as running:
        target = running.again(change_within_s="3")
        target.behave("slow fail:rollback")
        drilled = target.drill()
        assert "ended with 1" in drilled.changes[-1].problem
        assert f"deploy {OLD}" in target.log
        assert target.version == OLD
        assert not target.place.file.exists()
