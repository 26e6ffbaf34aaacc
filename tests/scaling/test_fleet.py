"""The reference system's fleet: how users are served while its release or its size changes."""

import csv
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from readiness.lib.prober.judging import Behaviour, behaviour
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan
from readiness.lib.prober.prober import probing
from readiness.servers.fleet.behaviour import Behaviour as FleetBehaviour
from readiness.servers.fleet.behaviour import Rollout, Scaler
from readiness.servers.fleet.releases import BAD, NEW, OLD
from readiness.servers.fleet.starting import COUNT, Fleet
from tests.support.processes import eventually, gone

pytestmark = pytest.mark.contract

SOON_S = 20.0
ENOUGH = 20
DONE, NOT_DONE = 0, 1


@pytest.fixture(autouse=True)
def _as_it_was(fleet: Fleet) -> Iterator[None]:
    yield
    fleet.behaviour.unlink(missing_ok=True)
    fleet.reset()


def ask(fleet: Fleet, *asked: str) -> tuple[int, str]:
    command = fleet.tool(*asked)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout.strip()


def seen_during(fleet: Fleet, *changes: Sequence[str]) -> tuple[Observation, list[int]]:
    plan = Plan(url=f"{fleet.url}/version", version_key="version", replica_header="x-replica")
    with probing(plan) as prober:
        prober.wait(lambda seen: len(seen.samples) >= ENOUGH, SOON_S)
        codes = [ask(fleet, *change)[0] for change in changes]
        so_far = len(prober.seen().samples)
        prober.wait(lambda seen: len(seen.samples) >= so_far + ENOUGH, SOON_S)
        return prober.stop(), codes


def test_graceful_release_and_rollback_lose_no_request(fleet: Fleet) -> None:
    seen, codes = seen_during(fleet, ["rollback", OLD], ["deploy", NEW], ["rollback", OLD])
    assert codes == [DONE] * 3
    assert seen.versions == (NEW, OLD)
    assert len(seen.replicas) == 4 * COUNT
    assert not seen.failed
    assert not seen.hangups
    assert seen.samples[-1].version == OLD


def behave(fleet: Fleet, **switches: object) -> None:
    wrong = FleetBehaviour.model_validate(switches)
    fleet.behaviour.write_text(wrong.model_dump_json(exclude_unset=True))


HOW = {
    Rollout.RECREATE: Behaviour.AWAY,
    Rollout.LATE: Behaviour.LATE,
    Rollout.CLOSED: Behaviour.CLOSED,
    Rollout.STALL: Behaviour.STALLED,
}


@pytest.mark.parametrize("rollout", HOW)
def test_careless_rollout_is_classified(fleet: Fleet, rollout: Rollout) -> None:
    behave(fleet, rollout=rollout)
    seen, codes = seen_during(fleet, ["rollback", OLD])
    assert codes == [DONE]
    assert seen.samples[-1].version == OLD
    assert behaviour(seen) is HOW[rollout], [(s.mode, s.problem) for s in seen.failed]


def test_bad_release_is_rolled_back_before_users_see_it(fleet: Fleet) -> None:
    seen, codes = seen_during(fleet, ["deploy", BAD], ["rollback", OLD])
    assert codes == [NOT_DONE, DONE]
    assert seen.versions == (NEW, OLD)
    assert not seen.failed


def test_bad_release_without_automatic_rollback_reaches_users(fleet: Fleet) -> None:
    behave(fleet, no_automatic_rollback=True)
    seen, codes = seen_during(fleet, ["deploy", BAD])
    assert codes == [DONE]
    assert {sample.problem for sample in seen.samples} == {"", "status 500"}


def test_change_continues_when_its_command_is_killed(fleet: Fleet) -> None:
    before = tell(fleet, "status")
    with subprocess.Popen(fleet.tool("rollback", OLD)) as asking:
        assert eventually(lambda: ask(fleet, "status")[0] == NOT_DONE)
        asking.kill()
    assert eventually(lambda: ask(fleet, "status")[0] == DONE)
    assert configuration(fleet)["ACCOUNTS"] == "off"
    assert before == ""
    assert ask(fleet, "deploy", NEW)[0] == DONE
    assert configuration(fleet)["ACCOUNTS"] == "on"


def test_last_command_wins(fleet: Fleet) -> None:
    behave(fleet, pause_s=1)
    with subprocess.Popen(fleet.tool("rollback", OLD)) as first:
        assert eventually(lambda: ask(fleet, "status")[0] == NOT_DONE)
        assert ask(fleet, "deploy", NEW)[0] == DONE
        assert first.wait() == NOT_DONE
    assert configuration(fleet)["ACCOUNTS"] == "on"


def tell(fleet: Fleet, *asked: str) -> str:
    return ask(fleet, *asked)[1]


def configuration(fleet: Fleet) -> dict[str, str]:
    return dict(line.split("=") for line in tell(fleet, "state").splitlines())


def test_rollback_restores_the_configuration(fleet: Fleet) -> None:
    new = configuration(fleet)
    assert ask(fleet, "rollback", OLD)[0] == DONE
    assert configuration(fleet)["ACCOUNTS"] == "off"
    assert ask(fleet, "deploy", NEW)[0] == DONE
    assert configuration(fleet) == new
    behave(fleet, rollback_keeps_configuration=True)
    assert ask(fleet, "rollback", OLD)[0] == DONE
    assert configuration(fleet) == new


KEPT: tuple[tuple[dict[str, bool], bool], ...] = (
    ({}, True),
    ({"new_column_only": True}, False),
    ({"rollback_drops_data": True}, False),
)


@pytest.mark.parametrize(("wrong", "kept"), KEPT)
def test_previous_release_reads_what_the_new_one_wrote(
    fleet: Fleet, wrong: dict[str, bool], kept: bool
) -> None:
    behave(fleet, **wrong)
    assert ask(fleet, "write", "n1")[0] == DONE
    assert ask(fleet, "read", "n1") == (DONE, "n1")
    assert ask(fleet, "rollback", OLD)[0] == DONE
    assert ask(fleet, "read", "n1") == ((DONE, "n1") if kept else (NOT_DONE, ""))
    assert ask(fleet, "remove", "n1")[0] == DONE
    assert ask(fleet, "read", "n1")[0] == NOT_DONE


@pytest.mark.parametrize("abruptly", [False, True])
def test_stopped_replica_answers_or_drops_its_requests(fleet: Fleet, abruptly: bool) -> None:
    behave(fleet, abrupt_stop=abruptly)
    with ThreadPoolExecutor(2 * COUNT) as users:
        asked = [users.submit(httpx.get, f"{fleet.url}/slow?s=2") for _ in range(2 * COUNT)]
        assert eventually(lambda: slow_ones_under_way(fleet) == 2 * COUNT)
        assert ask(fleet, "stop-one")[0] == DONE
        statuses = [answer.result().status_code for answer in asked]
    assert (set(statuses) == {200}) is not abruptly
    assert tell(fleet, "replicas") == str(COUNT)


def slow_ones_under_way(fleet: Fleet) -> int:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(f"{fleet.daemon.folder}/haproxy.sock")
        line.sendall(b"show stat\n")
        said = "".join(iter(lambda: line.recv(65536).decode(), ""))
    rows = list(csv.DictReader(said.removeprefix("# ").splitlines()))
    return sum(int(row["scur"]) for row in rows if row["svname"].startswith("s"))


def test_fleet_misreports_when_told_to(fleet: Fleet) -> None:
    behave(fleet, does_nothing=True)
    assert ask(fleet, "rollback", OLD)[0] == DONE
    behave(fleet, rollback_changes_nothing=True)
    assert ask(fleet, "rollback", OLD)[0] == DONE
    behave(fleet, rollback_fails=True)
    assert ask(fleet, "rollback", OLD)[0] == NOT_DONE
    assert configuration(fleet)["ACCOUNTS"] == "on"
    behave(fleet, says_busy=True)
    assert ask(fleet, "status")[0] == NOT_DONE
    behave(fleet, redeploy_fails=True)
    assert [ask(fleet, *c)[0] for c in (("rollback", OLD), ("deploy", NEW))] == [DONE, NOT_DONE]
    assert configuration(fleet)["ACCOUNTS"] == "off"


def test_replica_that_stays_old_serves_beside_the_others(fleet: Fleet) -> None:
    behave(fleet, one_stays_old=True)
    seen, codes = seen_during(fleet, ["rollback", OLD])
    assert codes == [DONE]
    assert {sample.version for sample in seen.samples[-ENOUGH:]} == {OLD, NEW}
    assert not seen.failed


def test_rollout_with_maxunavailable_serves_one_replica_less(fleet: Fleet) -> None:
    behave(fleet, unavailable=1, pause_s=0.5)
    with subprocess.Popen(fleet.tool("rollback", OLD)) as asking:
        counts = {int(tell(fleet, "replicas")) for _ in iter(asking.poll, DONE)}
    assert counts == {COUNT - 1, COUNT}


@pytest.mark.fast
def test_fleet_is_scaled_by_command(fleet: Fleet) -> None:
    behave(fleet, scaler=Scaler.NONE)
    for count in (5, 2):
        assert ask(fleet, "scale", str(count))[0] == DONE
        assert tell(fleet, "replicas") == str(count)


def test_fleet_scales_with_its_request_rate(fleet: Fleet) -> None:
    counts = [COUNT]

    def serving(count: int) -> bool:
        counts.append(int(tell(fleet, "replicas")))
        return counts[-1] == count

    plan = Plan(url=f"{fleet.url}/version", rate_per_s=90, timeout_s=15)
    with probing(plan) as users:
        assert eventually(lambda: serving(COUNT + 2))
        seen = users.stop()
    assert eventually(lambda: serving(COUNT))
    most = counts.index(COUNT + 2)
    assert counts == sorted(counts[:most]) + sorted(counts[most:], reverse=True)
    assert not seen.failed


def test_disabled_autoscaler_keeps_the_replica_count(fleet: Fleet) -> None:
    behave(fleet, scaler=Scaler.NONE)
    seen, _ = seen_during(fleet, ["status"])
    assert len(seen.replicas) == COUNT


def test_a_replica_that_dies_is_replaced(fleet: Fleet) -> None:
    before = replicas_of(fleet)
    os.kill(before[0], signal.SIGKILL)
    assert eventually(lambda: before[0] not in (now := replicas_of(fleet)) and len(now) == COUNT)
    assert eventually(lambda: tell(fleet, "replicas") == str(COUNT))


def replicas_of(fleet: Fleet) -> list[int]:
    """The processes of its group that are replicas."""
    assert fleet.daemon.process
    return [pid for pid in group(fleet.daemon.process.pid) if b"replica" in command_of(pid)]


def group(leader: int) -> list[int]:
    listed = subprocess.check_output(["ps", "-eo", "pid=,pgid=,stat="], text=True)
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, pgid, stat in rows if int(pgid) == leader and stat[0] != "Z"]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


OWNER = """
import sys
from pathlib import Path
from readiness.lib.guardian import Guardian
from readiness.servers.fleet.starting import start_fleet
fleet = start_fleet("", "1.5.0", Path(sys.argv[1]), Guardian())
print(fleet.daemon.process.pid, flush=True)
sys.stdin.read()
"""


def test_fleet_ends_with_its_killed_owner(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path / "fleet")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        leader = int(owner.stdout.readline())
        members = group(leader)
        assert len(members) == 2 + COUNT, "fleetd, HAProxy and the replicas"
        owner.kill()
    assert eventually(lambda: all(map(gone, members)))
