"""The scaling drill on a small target whose replica count is in a file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from readiness.areas.scaling.config import Live, Scaling
from readiness.areas.scaling.probes.drill import Scaled, drill
from readiness.lib.drill.locking import locked
from readiness.lib.drill.notes import FOLDER, Place
from readiness.lib.drill.safety import Safety
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from suites.scaling.test_live import test_under_load as judge
from tests.support.processes import Undo, eventually, gone
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
FEWEST, NEEDED = 2, 4


@dataclass
class Small:
    """A target whose replica count is in a file."""

    folder: Path
    server: SmallServer
    undo: Undo

    @property
    def place(self) -> Place:
        return Place(self.folder / FOLDER, "shop", "production", "0123456789abcdef")

    @property
    def count(self) -> int:
        return int((self.folder / "count").read_text())

    def set(self, count: object) -> list[str]:
        """The command that sets the count, whole or not at all."""
        new = self.folder / "new"
        return ["sh", "-c", f"echo {count} > {new}; mv {new} {self.folder}/count"]

    def scaling(self, **changes: object) -> Scaling:
        keys: dict[str, object] = {
            "url": self.server.url,
            "replicas": ["cat", str(self.folder / "count")],
            "loaded_replicas": NEEDED,
            "up": self.set(NEEDED),
            "down": self.set(FEWEST),
            "up_within_s": 2,
            "down_within_s": 2,
            "steady_s": 1,
            **changes,
        }
        live = Live.model_validate({key: value for key, value in keys.items() if value is not None})
        return Scaling(
            name="shop", min_replicas=FEWEST, max_replicas=5, up_pods=2, up_s=2, down_pods=2,
            down_s=2, live=live,
        )  # fmt: skip

    def drill(self, scaling: Scaling | None = None) -> Scaled:
        scaling = scaling or self.scaling()
        assert scaling.live
        return drill(scaling, scaling.live, Safety(self.place, self.folder, None, self.undo))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    (tmp_path / "count").write_text(f"{FEWEST}\n")
    with SmallServer({"": Reply("{}"), "/": Reply("{}")}) as server:
        yield Small(tmp_path, server, Undo())


def judged(scaling: Scaling, scaled: Scaled) -> dict[str, str]:
    """By judgement: what its miss says; and under "error", what could not be measured."""
    evidence = Evidence()
    judge(scaling, lambda _: scaled, evidence)
    keys = [m.key for m in evidence.measurements if m.is_missed]
    said = dict(zip(keys, evidence.failures, strict=True))
    return said | {"error": "; ".join(e.sentence for e in evidence.lost)} if evidence.lost else said


def test_commands_scale_it_up_and_down(small: Small) -> None:
    scaling = small.scaling()
    scaled = small.drill(scaling)
    assert judged(scaling, scaled) == {}
    assert (small.count, small.undo.ever, small.undo.commands) == (FEWEST, 1, {})
    assert scaled.loading is None


def test_a_load_command_is_stopped(small: Small) -> None:
    pid = small.folder / "pid"
    load = [*small.set(NEEDED)[:2], f"{small.set(NEEDED)[2]}; echo $$ > {pid}; exec sleep 600"]
    scaling = small.scaling(load=load, up=None, down=None)
    scaled = small.drill(scaling)
    assert gone(int(pid.read_text()))
    assert small.undo.processes == {}
    said = judged(scaling, scaled)
    assert set(said) == {"scaled-down"}
    assert said["scaled-down"].startswith("4 replicas served after the load, ")
    assert "limit 2 (`.min_replicas`)" in said["scaled-down"]


def test_a_load_that_ends_by_itself(small: Small) -> None:
    scaling = small.scaling(load=["sh", "-c", "echo no users >&2; exit 3"], up=None, down=None)
    with pytest.raises(CouldNotMeasure, match="ended by itself, with 3: no users"):
        small.drill(scaling)
    assert small.undo.processes == {}


def test_a_target_that_does_not_scale_up(small: Small) -> None:
    scaling = small.scaling(load_rate_per_s=60, up=None, down=None)
    said = judged(scaling, small.drill(scaling))
    assert set(said) == {"scaled-up", "error"}
    assert "2 replicas served under load, " in said["scaled-up"]
    assert "at least 4 required (`.loaded_replicas`)" in said["scaled-up"]
    assert "scaling down could not be seen" in said["error"]


def test_more_at_once_than_agreed(small: Small) -> None:
    scaling = small.scaling(loaded_replicas=5, up=small.set(5))
    assert judged(scaling, small.drill(scaling)) == {
        "added": "3 replicas added in 2 s; limit 2 (`.up_pods`)",
        "removed": "3 replicas removed in 2 s; limit 2 (`.down_pods`)",
    }


def test_replicas_that_do_not_answer_are_a_miss(small: Small) -> None:
    scaling = small.scaling(replica_header="x-replica")
    said = judged(scaling, small.drill(scaling))
    assert set(said) == {"answering"}
    assert said["answering"].startswith("0 replicas are named by the header x-replica")


@pytest.mark.parametrize("printed", ["", "many", "-3", "4 replicas"])
def test_replicas_that_cannot_be_counted_are_an_error(small: Small, printed: str) -> None:
    scaling = small.scaling(up=small.set(f"'{printed}'"))
    with pytest.raises(NoData, match="not a number of replicas"):
        small.drill(scaling)
    assert small.count == FEWEST


def test_a_target_above_its_minimum_is_not_loaded(small: Small) -> None:
    (small.folder / "count").write_text("3")
    with pytest.raises(NoData, match="3 replicas serve, and `min_replicas` is 2"):
        small.drill()
    assert small.undo.ever == 0


def test_failing_requests_abort_the_drill(small: Small) -> None:
    breaks = ["sh", "-c", f"{small.set(NEEDED)[2]}; touch {small.folder}/down; sleep 60"]
    reply = {True: Reply("", 503), False: Reply("{}")}
    for path in ("", "/"):
        small.server.routes[path] = lambda: reply[(small.folder / "down").exists()]
    scaling = small.scaling(up=breaks, up_within_s=60, steady_s=5)
    said = judged(scaling, small.drill(scaling))
    assert "scaling up under" in said["failed-requests"]
    assert "over 20 requests failed" in said["error"]
    assert small.count == FEWEST


def test_no_two_drills_at_once(small: Small) -> None:
    with locked(small.place), pytest.raises(CouldNotMeasure, match="another drill"):
        small.drill()
    assert small.undo.ever == 0


# As `readiness run` does it: a guardian of its own, and the drill.
_SCRIPT = """
import sys
from pathlib import Path
from readiness.areas.scaling.config import Scaling
from readiness.lib.guardian import Guardian
from readiness.lib.drill.safety import Safety
from readiness.lib.drill.notes import Place
from readiness.areas.scaling.probes.drill import drill
scaling, folder = Scaling.model_validate_json(sys.argv[1]), Path(sys.argv[2])
with Guardian() as guardian:
    place = Place(folder, "shop", "production", "0123456789abcdef")
    drill(scaling, scaling.live, Safety(place, folder, None, guardian))
"""


def test_a_killed_drill_scales_it_down_again(small: Small) -> None:
    # It scales up soon, and then waits for a replica that never comes.
    scaling = small.scaling(up_within_s=60, loaded_replicas=5)
    with killed(small, scaling):
        assert eventually(lambda: small.count == NEEDED)
    assert eventually(lambda: small.count == FEWEST), "the watchdog scales it down"


def test_a_killed_drill_stops_the_load(small: Small) -> None:
    pid = small.folder / "pid"
    load = ["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600"]
    scaling = small.scaling(load=load, up=None, down=None, up_within_s=60)
    with killed(small, scaling):
        assert eventually(pid.exists)
    assert eventually(lambda: gone(int(pid.read_text())))


@contextmanager
def killed(small: Small, scaling: Scaling) -> Iterator[None]:
    """A drill in a process of its own, killed at the end of the block."""
    command = [
        sys.executable,
        "-c",
        _SCRIPT,
        scaling.model_dump_json(exclude_unset=True),
        str(small.folder),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environ, start_new_session=True) as process:
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGKILL)
