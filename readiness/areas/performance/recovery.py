"""A burst of requests, and what comes after it."""

from dataclasses import dataclass
from typing import Final

from readiness.areas.performance.config import Load, Spike
from readiness.areas.performance.load import (
    FEWEST_SENT,
    Loaded,
    Stage,
    bottleneck,
    p95_ms,
    slots,
    staged,
)
from readiness.config.base.tables import Service
from readiness.model.course import Band
from readiness.model.measurement import Measurement

# What is shown of the time before.
_BEFORE_S: Final = 2.0
_SLOT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """A load with a spike.

    Attributes:
        whole: all of it, for the picture.
        peak: what was due while the spike lasted.
        calming: what was due in the time that the service had to recover, and later.
        after: what was due once that time was over.
    """

    whole: Loaded
    peak: Loaded
    calming: Loaded
    after: Loaded

    def bands(self, spike: Spike) -> tuple[Band, ...]:
        """The phases, for the picture."""
        end = _BEFORE_S + spike.seconds
        judged = end + spike.within_s
        return (
            Band(0.0, _BEFORE_S, "before"),
            Band(_BEFORE_S, end, "spike"),
            Band(end, judged, "may recover"),
            Band(judged, self.whole.seconds, "is judged"),
        )

    def recovered_s(self, load: Load) -> float:
        """Seconds after the spike until the end of the last one that missed an objective."""
        missed = [
            number
            for number, slot in enumerate(slots(self.calming, _SLOT_S), 1)
            if (p95_ms(slot) or 0) > load.max_p95_ms
            or sum(bool(one.problem) for one in slot) > load.max_error_ratio * len(slot)
        ]
        return _SLOT_S * max(missed, default=0)

    def figures(self, load: Load) -> tuple[Measurement, ...]:
        """What the spike did; only what comes after it is judged."""
        count, source = len(self.peak.asked), self.whole.source
        failed = self.peak.failed / count
        p95 = p95_ms(self.peak.asked)
        worst = [] if p95 is None else [Measurement("spike: p95", p95, "ms", source, samples=count)]
        return (
            *worst,
            Measurement("spike: failed requests", failed, "ratio", source, samples=count),
            Measurement(
                "seconds after it until the last one that missed an objective",
                self.recovered_s(load),
                "s",
                source,
                samples=len(self.calming.asked),
            ),
        )


def recover(load: Load, spike: Spike, service: Service, *, seconds: float) -> Recovery:
    """Send the load with a spike, and go on for so many seconds once it may be judged.

    Raises:
        CouldNotMeasure: as for `staged`.
        TookTooLong: the generators could not send the spike.
    """
    rate = load.rate or 0.0
    calm_s = spike.within_s + seconds
    stages = [Stage(rate, _BEFORE_S), Stage(spike.rate, spike.seconds), Stage(rate, calm_s)]
    whole = staged(load, service, stages)
    end_s = _BEFORE_S + spike.seconds
    peak = whole.part(_BEFORE_S, spike.seconds)
    deadline = whole.asked[0].due + end_s + load.max_late_ms / 1000
    sent, planned = sum(one.sent <= deadline for one in peak.asked), spike.rate * spike.seconds
    if sent < FEWEST_SENT * planned:
        raise bottleneck(load, f"it sent {sent} of the {planned:.0f} requests of the spike in time")
    calming = whole.part(end_s, calm_s)
    return Recovery(whole, peak, calming, whole.part(end_s + spike.within_s, seconds))
