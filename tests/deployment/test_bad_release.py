"""Drills of a bad release, and of a replica that is stopped while it answers."""

import itertools
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill import stopping
from readiness.areas.deployment.drill.bad_release import BadRelease, deploy_bad_release
from readiness.areas.deployment.drill.stopping import Stopped, stopped
from readiness.areas.deployment.reference.target import deployment as toml_of
from readiness.lib.drill.safety import FOLDER, Place, Safety
from readiness.model.errors import NoData
from readiness.servers.fleet.behaviour import Behaviour
from readiness.servers.fleet.starting import Fleet
from tests.support.drilled_target import NEW, OLD, DrilledTarget, drilled_target
from tests.support.processes import Undo
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

BAD = "1.6.0-bad"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[DrilledTarget]:
    with drilled_target(tmp_path) as running:
        yield running.again(bad_release=f'"{BAD}"', change_within_s="3", auto_rollback_max_s="3")


def deploy_bad(target: DrilledTarget) -> BadRelease:
    return deploy_bad_release(target.deployment, adapter_of(target.deployment), target.safety())


def deploying_by(target: DrilledTarget, script: str) -> DrilledTarget:
    """Another way to deploy; the release is `$0`, and the file that is served `$1`."""
    version = str(target.folder / "version")
    lines = target.loaded.path.read_text().splitlines()
    argv = json.dumps(["sh", "-c", script, "{release}", version])
    kept = [f"deploy = {argv}" if line.startswith("deploy = ") else line for line in lines]
    target.loaded.path.write_text("\n".join(kept))
    return target.again()


def put(text: str) -> str:
    return f"printf {text} > $1.new; mv $1.new $1"


def test_target_rolls_a_bad_release_back(target: DrilledTarget) -> None:
    target = target.again(change_within_s="6", auto_rollback_max_s="6")
    target = deploying_by(target, f"{put('$0')}; sleep 1; {put(NEW)}; exit 1")
    done = deploy_bad(target)
    assert (done.problem, done.status) == ("", 1)
    assert done.restored.already
    assert done.noticed_s is not None
    assert done.command_s is not None
    assert done.over_s is not None
    assert done.noticed_s < done.command_s <= done.over_s + 1
    assert BAD in done.seen.versions
    assert target.version == NEW


def test_a_bad_release_that_stays_is_rolled_back_by_the_gate(target: DrilledTarget) -> None:
    done = deploy_bad(target)
    assert "not complete after 3 s; the last answers were from 1.6.0-bad" in done.problem
    assert done.over_s is None
    assert not done.restored.already
    assert target.version == NEW
    assert not target.place.file.exists()


@pytest.mark.parametrize("script", ["exit 0", "exit 1"])
def test_a_bad_release_that_was_not_deployed_is_an_error(
    target: DrilledTarget, script: str
) -> None:
    with pytest.raises(NoData, match=r"nothing shows that the deployment of 1\.6\.0-bad began"):
        deploy_bad(deploying_by(target, script))
    assert target.version == NEW


def settings(fleet: Fleet, **changes: object) -> Deployment:
    found = tomllib.loads(toml_of(fleet))["deployment"]
    return Deployment.model_validate(found | changes)


def stop_one(deployment: Deployment, folder: Path) -> Stopped:
    assert deployment.slow_request
    place = Place(folder / FOLDER, "shop", "reference", "0123456789abcdef")
    safety = Safety(place, folder / "readiness.toml", None, Undo())
    return stopped(deployment, deployment.slow_request, adapter_of(deployment), safety)


def test_a_killed_replica_loses_its_requests(fleet: Fleet, tmp_path: Path) -> None:
    fleet.behaviour.write_text(Behaviour(abrupt_stop=True).model_dump_json())
    try:
        done = stop_one(settings(fleet), tmp_path)
    finally:
        fleet.behaviour.unlink()
        fleet.reset()
    assert any(sample in done.slow.failed for sample in done.under_way)


def test_without_replica_header_the_result_is_unknown(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(NoData, match="it is unknown whether the stopped replica") as problem:
        stop_one(settings(fleet, replica_header=None), tmp_path)
    assert problem.value.where == "[deployment] replica_header"


def test_a_command_that_stops_no_replica_is_an_error(fleet: Fleet, tmp_path: Path) -> None:
    slow = {"path": "/slow?s=2", "stop_one": ["true"]}
    with pytest.raises(NoData, match="nothing shows that one was stopped"):
        stop_one(settings(fleet, slow_request=slow), tmp_path)


def test_no_replica_is_stopped_before_all_answered_a_slow_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_SLOW_TIMEOUT_S", 1.0)
    turn = itertools.cycle(["a", "b"])

    def version() -> Reply:
        return Reply(json.dumps({"version": NEW}), headers={"x-replica": next(turn)})

    def slow() -> Reply:
        return Reply("{}", headers={"x-replica": "a"})

    stop = tmp_path / "stopped"
    with SmallServer({"/version": version, "/slow": slow}) as server:
        deployment = Deployment.model_validate(
            {"url": f"{server.url}/version", "replica_header": "x-replica", "replicas": 2,
             "release": NEW, "previous": OLD, "adapter": "command", "steady_s": 1,
             "command": {"deploy": ["true", "{release}"]},
             "slow_request": {"path": "/slow", "stop_one": ["touch", str(stop)]}}
        )  # fmt: skip
        with pytest.raises(NoData, match="only some replicas answered a slow request"):
            stop_one(deployment, tmp_path)
    assert not stop.exists()
