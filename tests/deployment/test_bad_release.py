"""Bad releases, and replicas that are stopped, on a small target."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.drill.bad_release import BadRelease, deploy_bad_release
from readiness.model.errors import NoData
from tests.support.drilled_target import NEW, DrilledTarget, drilled_target

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


def test_a_bad_release_that_the_target_rolls_back(target: DrilledTarget) -> None:
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
