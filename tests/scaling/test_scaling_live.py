"""The scaling drill on a small target whose replica count is in a file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from readiness.areas.scaling.config import Live, Scaling
from readiness.areas.scaling.probes.drill import Scaled, drill
from readiness.lib.drill.safety import FOLDER, Place, Safety, locked
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
        """The first drill during which this machine had time for the prober, within 2 minutes."""
        scaling = scaling or self.scaling()
        assert scaling.live
        safety = Safety(self.place, self.folder, None, self.undo)
        deadline = time.monotonic() + 120
        while True:
            try:
                done = drill(scaling, scaling.live, safety)
            except NoData as error:
                if "starved" not in error.message or time.monotonic() > deadline:
                    raise
            else:
                if not done.is_starved or time.monotonic() > deadline:
                    return done


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


def test_load_that_ends_by_itself_is_an_error(small: Small) -> None:
    scaling = small.scaling(load=["sh", "-c", "echo no users >&2; exit 3"], up=None, down=None)
    with pytest.raises(CouldNotMeasure, match="ended by itself, with 3: no users"):
        small.drill(scaling)
    assert small.undo.processes == {}


def test_target_that_does_not_scale_up_is_a_miss(small: Small) -> None:
    scaling = small.scaling(load_rate_per_s=60, up=None, down=None)
    said = judged(scaling, small.drill(scaling))
    assert set(said) == {"scaled-up", "error"}
    assert "2 replicas served under load, " in said["scaled-up"]
    assert "at least 4 required (`.loaded_replicas`)" in said["scaled-up"]
    assert "scaling down could not be seen" in said["error"]


def not_agreed(scaling: Scaling) -> Scaling:
    keys = ("min_replicas", "max_replicas", "up_pods", "up_s", "down_pods", "down_s")
    return scaling.model_copy(update=dict.fromkeys(keys))


def test_without_min_replicas_the_count_before_the_load_is_the_limit(small: Small) -> None:
    scaling = not_agreed(small.scaling(loaded_replicas=6, up=small.set(6)))
    assert judged(scaling, small.drill(scaling)) == {}
    scaling = not_agreed(small.scaling(down=small.set(FEWEST + 1)))
    said = judged(scaling, small.drill(scaling))
    assert set(said) == {"scaled-down"}
    assert "limit 2 (the replica count before the load)" in said["scaled-down"]


def test_drill_waits_for_a_slow_count(small: Small) -> None:
    slow = ["sh", "-c", f"sleep 1.5; cat {small.folder}/count"]
    scaled = small.drill(small.scaling(replicas=slow, up_within_s=20, down_within_s=20))
    assert (scaled.fewest, scaled.up.problem, scaled.up.last) == (FEWEST, "", NEEDED)


def test_a_target_that_already_has_the_replicas_of_the_load_is_not_loaded(small: Small) -> None:
    (small.folder / "count").write_text(str(NEEDED))
    with pytest.raises(NoData, match="4 replicas serve, and `loaded_replicas` is 4"):
        small.drill(not_agreed(small.scaling()))
    assert small.undo.ever == 0


def test_too_fast_scaling_is_a_miss(small: Small) -> None:
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


def test_failing_requests_abort_the_scaling_drill(small: Small) -> None:
    breaks = ["sh", "-c", f"{small.set(NEEDED)[2]}; touch {small.folder}/down; sleep 60"]
    reply = {True: Reply("", 503), False: Reply("{}")}
    for path in ("", "/"):
        small.server.routes[path] = lambda: reply[(small.folder / "down").exists()]
    scaling = small.scaling(up=breaks, up_within_s=60, steady_s=5)
    said = judged(scaling, small.drill(scaling))
    assert "scaling up under" in said["failed-requests"]
    assert "over 20 requests failed" in said["error"]
    assert small.count == FEWEST


def test_second_scaling_drill_is_refused(small: Small) -> None:
    with locked(small.place), pytest.raises(CouldNotMeasure, match="another drill"):
        small.drill()
    assert small.undo.ever == 0


# As `readiness run` does it: a guardian of its own, and the drill; again where others starve it.
_SCRIPT = """
import sys
from pathlib import Path
from readiness.areas.scaling.config import Scaling
from readiness.lib.guardian import Guardian
from readiness.lib.drill.safety import Safety
from readiness.lib.drill.safety import Place
from readiness.areas.scaling.probes.drill import drill
from readiness.model.errors import CouldNotMeasure
scaling, folder = Scaling.model_validate_json(sys.argv[1]), Path(sys.argv[2])
with Guardian() as guardian:
    place = Place(folder, "shop", "production", "0123456789abcdef")
    safety = Safety(place, folder, None, guardian)
    while True:
        try:
            drill(scaling, scaling.live, safety)
            break
        except CouldNotMeasure as error:
            if "starved" not in error.message:
                raise
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
