"""The chart and the timeline of a scaling drill."""

from collections.abc import Sequence
from dataclasses import replace

from readiness.areas.scaling.probes.course import course, timeline
from readiness.areas.scaling.probes.drill import Phase, Scaled
from readiness.lib.drill.counting import Said
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import MODES, Plan, Sample

PLAN = Plan(url="http://shop/version", rate_per_s=50)


def seen(lost: Sequence[int] = ()) -> Observation:
    """Ten seconds."""
    samples = tuple(
        Sample(slot, MODES[slot % 2], slot / 50, slot / 50, slot / 50 + 0.01, 200,
               "refused" if slot in lost else "", "1")
        for slot in range(500)
    )  # fmt: skip
    return Observation(PLAN, samples, ())


def phase(
    name: str, began: float, ended: float, counts: Sequence[int], whole: Observation, *, good: int
) -> Phase:
    """One count each second, each answered at once."""
    said = tuple(Said(began - 0.5 + i, began - 0.5 + i, n) for i, n in enumerate(counts))
    arrived = next((s.came - began for s in said if s.what == good), None)
    return Phase(name, began, ended, arrived, "", said, whole.between(began, ended))


def scaled(up: Sequence[int], lost: Sequence[int] = ()) -> Scaled:
    whole = seen(lost)
    grown = phase("scaling up under 90 requests/s", 2, 6, up, whole, good=5)
    down = phase("scaling down", 6, 10, [5, 5, 4, 3], whole, good=3)
    return Scaled(
        fewest=3, load="90 requests/s to http://shop/version", loading=None, load_ended=6.0,
        up=grown, down=down if grown.arrived_s is not None else None, whole=whole,
    )  # fmt: skip


def test_chart_has_load_replicas_and_failures() -> None:
    found = course(scaled([3, 3, 4, 5], lost=[200, 202]), 5)
    assert [(b.begin_s, b.label) for b in found.bands] == [
        (0, "steady"), (2, "under load"), (6, "after the load"),
    ]  # fmt: skip
    levels, failed = found.tracks
    assert (levels.limit, levels.limit_label) == (5, "5 needed under load")
    values = levels.series[0].values
    assert [values[int(at / found.step_s)] for at in (0.5, 4, 6, 8.5)] == [3, 4, 5, 3]
    assert sum(filter(None, failed.series[0].values)) == 2
    assert found.better[0].startswith("scaling up under 90 requests/s (2 failed): ")


def test_chart_shows_the_time_until_the_first_change() -> None:
    assert course(scaled([3, 3, 4, 5]), 5).better == (
        "nothing: no request was lost",
        "scaling up took 2.5 s, of which 1.5 s passed before the first replica served",
        "scaling down took 2.5 s, of which 1.5 s passed before the first replica was removed",
    )


def test_drill_that_never_scaled_up_shows_its_highest_count() -> None:
    stuck = scaled([3, 3, 4, 4])
    assert course(stuck, 5).better == ("the load needs 5 replicas, and at most 4 served",)
    assert "the replicas that the load needs serve" not in str(timeline(stuck))


def test_drill_that_did_not_scale_down_shows_its_last_count() -> None:
    done = scaled([3, 3, 4, 5])
    assert done.down
    down = replace(done.down, arrived_s=None, counts=done.down.counts[:3])
    assert course(replace(done, down=down), 5).better == (
        "it did not scale down to 3 replicas: 4 were left",
    )


def test_starved_prober_gives_no_advice_on_scaling() -> None:
    done = scaled([3, 3, 4, 5])
    late = replace(done.whole, samples=done.whole.samples[:100] + done.whole.samples[200:])
    assert late.starved
    assert course(replace(done, whole=late), 5).better == ()


def test_timeline_of_a_scaling_drill() -> None:
    assert [(m.at_s, m.label) for m in timeline(scaled([3, 3, 4, 5]))] == [
        (0, "steady: 3 replicas serve"),
        (2, "the load starts: 90 requests/s to http://shop/version"),
        (4.5, "the replicas that the load needs serve, after 2.50 s; 5 in the end"),
        (6, "the load ends"),
        (8.5, "the minimum is left, after 2.50 s; 3 in the end"),
    ]
