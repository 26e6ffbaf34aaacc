"""A replica is stopped while it answers: what it had under way, and whether it had anything."""

import itertools
import json
import tomllib
from pathlib import Path

import pytest

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill import stopping
from readiness.areas.deployment.drill.stopping import Stopped, stopped
from readiness.areas.deployment.reference.target import deployment as toml_of
from readiness.lib.drill.notes import FOLDER, Place
from readiness.lib.drill.safety import Safety
from readiness.model.errors import NoData
from readiness.servers.fleet.behaviour import Behaviour
from readiness.servers.fleet.releases import NEW, OLD
from readiness.servers.fleet.starting import Fleet
from tests.support.processes import Undo
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract


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
