"""The compose adapter and a whole drill, against docker-compose 1 and an engine of our own."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker  # type: ignore[import-untyped]
import pytest

from readiness.lib import command
from readiness.model.errors import NoData, ReadinessError
from readiness.servers.processes import free_port
from tests.support.docker_engine import NEEDED
from tests.support.drilled_target import (
    ABSENT,
    NEW,
    OLD,
    ComposedTarget,
    build,
    composed_target,
    programs,
)
from tests.support.processes import eventually

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def registry(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address in the names of the images, where no registry listens: the engine has them."""
    try:
        programs()
    except ReadinessError as error:
        if os.environ.get(NEEDED):
            pytest.fail(f"{NEEDED} is set: {error}")
        pytest.skip(error.sentence)
    address = f"127.0.0.1:{free_port()}"
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(docker.DockerClient(docker_host)) as client,
    ):
        patch.setenv("DOCKER_HOST", docker_host)
        build(client.api, address, tmp_path_factory.mktemp("image") / "layer.tar")
        yield address


@pytest.fixture
def target(registry: str, tmp_path: Path) -> Iterator[ComposedTarget]:
    with composed_target(tmp_path, registry) as running:
        assert eventually(lambda: running.adapter.replicas() == 1)
        yield running


def test_the_state_is_restored_by_a_rollback(
    target: ComposedTarget,
) -> None:
    before = target.adapter.state()
    target.up(NEW)
    after = target.adapter.state()
    assert before
    assert after
    assert before.keys() == after.keys() >= {"environment PASSWORD", "Cmd"}
    assert {key for key in before if before[key] != after[key]} == {"environment OF"}
    assert "of-ours" not in str(before)
    target.up(OLD)
    assert target.adapter.state() == before
    assert (target.adapter.replicas(), target.adapter.under_way()) == (1, "")


def test_container_that_is_not_healthy_does_not_serve(target: ComposedTarget) -> None:
    target.compose("up", "--detach", "beside")
    beside = target.adapter_of("beside")
    assert (beside.replicas(), beside.under_way()) == (0, "containers are starting")
    target.compose("exec", "-T", "beside", "/bin/busybox", "touch", "/well")
    assert eventually(lambda: (beside.replicas(), beside.under_way()) == (1, ""))
    target.compose("run", "--detach", "beside")
    assert (beside.replicas(), beside.under_way()) == (1, ""), "what is `run` once is none"
    assert (target.adapter.replicas(), target.adapter.under_way()) == (1, ""), "nor another service"


def test_stopped_container_is_not_counted_and_has_no_state(target: ComposedTarget) -> None:
    target.compose("stop", "api")
    assert (target.adapter.replicas(), target.adapter.under_way()) == (0, "")
    with pytest.raises(NoData, match="no container runs"):
        target.adapter.state()
    target.compose("rm", "--force", "api")
    assert (target.adapter.replicas(), target.adapter.under_way()) == (0, "")


def test_a_release_that_does_not_exist_is_named_and_changes_nothing(
    target: ComposedTarget,
) -> None:
    (call,) = target.adapter.deploy(ABSENT)
    with command.started(call.argv, call.verb, "", env=call.env) as running:
        answer = running.wait(60)
    assert answer.status == 1
    assert f"shop:{ABSENT}" in answer.said
    assert target.version == OLD


def test_the_whole_drill(target: ComposedTarget) -> None:
    drilled = target.drill()
    assert [(change.goal, change.back) for change in drilled.changes] == [
        (NEW, False), (OLD, True), (NEW, False), (OLD, True),
    ]  # fmt: skip
    for change in drilled.changes:
        assert (change.status, change.problem) == (0, "")
        assert set(change.seen.versions) == {OLD, NEW}
        assert change.seen.failed, "one container is made again, and nobody serves meanwhile"
        assert change.counts
    deployed, back = drilled.changes[:2]
    assert drilled.state == back.state
    assert drilled.state != deployed.state
    assert drilled.count_problem is None
    assert (target.version, drilled.restored.already) == (OLD, True)
    assert not target.place.file.exists()


def test_a_stopped_drill_restores_the_old_release(target: ComposedTarget) -> None:
    before = target.adapter.state()
    (change,) = target.again(abort_failures="1").drill().changes
    assert "over 1 requests failed" in change.problem
    assert (target.version, target.adapter.state()) == (OLD, before)
    assert (target.adapter.replicas(), target.adapter.under_way()) == (1, "")
    assert not target.place.file.exists()


def test_a_tool_without_wait_that_exits_with_0_is_not_trusted(
    target: ComposedTarget,
) -> None:
    text = target.loaded.path.read_text()
    target.loaded.path.write_text(text.replace("wait = false", "wait = true"))
    (change,) = target.again(change_within_s="3").drill().changes
    assert change.status == 0
    assert "not complete after 3 s" in change.problem
    assert target.version == OLD
