"""The result of a check: its judged measurements and its outcome."""

import json
import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from readiness.model import course, figures
from readiness.model.errors import Cause, CouldNotMeasure, NoData, UsageError
from readiness.model.measurement import Limit, Measurement, Moment
from readiness.model.secrets import redact

PROPERTY: Final = "readiness.evidence/1"


class Outcome(StrEnum):
    """How a check ended, best first: `worst` relies on the order."""

    PASS = "pass"  # noqa: S105 - an outcome
    NOT_APPLICABLE = "not-applicable"
    WARN = "warn"
    WAIVED = "waived"
    NOT_RUN = "not-run"
    ERROR = "error"
    FAIL = "fail"


_ORDER: Final = {outcome: rank for rank, outcome in enumerate(Outcome)}


def worst(first: Outcome, second: Outcome) -> Outcome:
    """The worse of two outcomes; a measured `fail` outranks an `error`."""
    return max(first, second, key=_ORDER.__getitem__)


class CheckFailed(AssertionError):
    """At least one measurement missed its limit."""


class NotApplicable(Exception):
    """The requirement does not apply to this subject."""


@dataclass(slots=True)
class Evidence:
    """Collects what one check measured on one subject.

    A check calls `judge` for figures that decide and `record` for figures that are only shown.
    All misses are collected, so that one run reports all of them. A check that judged nothing
    ends as `error`.

    Attributes:
        judgements: the keys that the check declares; empty allows any.
        measurements: what was measured, in order.
        failures: the messages of missed limits.
        warnings: the same for judgements that only warn.
        commands: what to run for the missed limits, each to be pasted as it is.
        lost: the errors of judgements that could not be made.
    """

    judgements: Collection[str] = ()

    measurements: list[Measurement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    lost: list[CouldNotMeasure] = field(default_factory=list)

    def record(self, measurement: Measurement) -> None:
        """Add a figure that is shown and does not decide."""
        self.measurements.append(measurement)

    def judge(
        self,
        key: str,
        measurement: Measurement,
        limit: Limit,
        because: str = "",
        *,
        says: str = "",
        commands: Iterable[str] = (),
        warn_only: bool = False,
    ) -> bool:
        """Compare a measurement with its limit, and add both.

        Args:
            key: which judgement of the check it is; several measurements may decide one.
            measurement: what a probe returned.
            limit: what it must satisfy.
            because: details of a miss, such as the names of what is wrong; the end of the message.
            says: what was seen, as a sentence without a full stop: the beginning of the message.
                By default the measurement's name and figure.
            commands: what to run after a miss, with all names filled in.
            warn_only: a miss is a warning, which never decides.

        Returns:
            Whether the limit holds.

        Raises:
            NoData: the value cannot be compared with the limit.
            UsageError: the check does not declare this judgement.
        """
        if self.judgements and key not in self.judgements:
            raise UsageError(
                f"the check judges {key!r}, which is not declared",
                where="@check(judgements=...)",
                remedy="add the key to judgements=(...)",
            )
        judged = measurement.against(limit, key)
        self.measurements.append(judged)
        if limit.holds(judged.value):
            return True
        message = figures.miss(judged, says)
        if not warn_only:
            self.commands += commands
        (self.warnings if warn_only else self.failures).append(
            f"{message}: {because}" if because else message
        )
        return False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Continue with the other judgements if this one cannot be made.

        What could not be measured is kept, each reason once: the check ends as `error`, unless a
        judgement failed.
        """
        try:
            yield
        except CouldNotMeasure as error:
            if error.sentence not in {lost.sentence for lost in self.lost}:
                self.lost.append(error)

    def conclude(self) -> Outcome:
        """The outcome, once the check has returned.

        Raises:
            CheckFailed: with every miss and every error.
            CouldNotMeasure: nothing failed, and something could not be measured.
            NoData: nothing was judged.
        """
        if self.failures:
            also = [f"not measured: {error.sentence}" for error in self.lost]
            # A message may end with the semicolon of a statement.
            raise CheckFailed("; ".join([*self.failures, *also]).replace(";; ", "; "))
        if self.lost:
            raise self._first_lost()
        if not any(m.limit for m in self.measurements):
            raise NoData(
                "the check ended without judging any measurement",
                remedy="call evidence.judge(key, measurement, limit) in it",
            )
        return Outcome.WARN if self.warnings else Outcome.PASS

    def _first_lost(self) -> CouldNotMeasure:
        first, *others = self.lost
        for other in others:
            first.add_note(other.sentence)
        return first


@dataclass(frozen=True, slots=True)
class Finding:
    """A worker's result of one check: one JSON string in the test report."""

    outcome: Outcome
    message: str
    measurements: tuple[Measurement, ...]
    started: datetime
    duration_s: float
    causes: tuple[Cause, ...] = ()
    commands: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Encode as JSON; never raises, and secrets are redacted."""
        return json.dumps(
            {
                "outcome": self.outcome,
                "message": redact(self.message),
                "measurements": [_encode_or_tell(m) for m in self.measurements],
                "started": self.started.isoformat(),
                "duration_s": self.duration_s,
                "causes": [[redact(c.what), redact(c.remedy)] for c in self.causes],
                "commands": [redact(command) for command in self.commands],
            },
            default=_last_resort,
        )


def _encode_or_tell(measurement: Measurement) -> dict[str, object]:
    try:
        return encode_measurement(measurement)
    except Exception as error:  # noqa: BLE001 - what a check put in must not lose its report (H6)
        told = f"<a measurement that cannot be shown: {type(error).__name__}>"
        return encode_measurement(Measurement("unreadable", told, "text", source="the check"))


def encode_measurement(measurement: Measurement) -> dict[str, object]:
    """The measurement as JSON types, redacted; NaN and infinity become text."""
    limit = measurement.limit
    encoded: dict[str, object] = {
        "name": redact(str(measurement.name)),
        "value": _encode_value(measurement.value),
        "unit": str(measurement.unit),
        "limit": _encode_limit(limit) if limit else None,
        "samples": int(measurement.samples),
        "source": redact(str(measurement.source)),
        "at": measurement.at.isoformat(),
    }
    if measurement.key:
        encoded["key"] = measurement.key
    if measurement.quantiles:
        encoded["quantiles"] = [
            [float(q), float(v)] for q, v in measurement.quantiles if math.isfinite(v)
        ]
    if measurement.timeline:
        encoded["timeline"] = [_encode_moment(m) for m in measurement.timeline]
    if measurement.course and (drawn := course.encoded(measurement.course)):
        encoded["course"] = drawn
    return encoded


def _encode_limit(limit: Limit) -> dict[str, object]:
    encoded: dict[str, object] = {"op": limit.op, "value": _encode_value(limit.value)}
    return encoded | {"setting": limit.setting} if limit.setting else encoded


def _encode_moment(moment: Moment) -> dict[str, object]:
    return {"at_s": float(moment.at_s), "label": redact(moment.label), "good": moment.good}


def _encode_value(value: object) -> float | int | str | bool:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return redact(_last_resort(value))


def _last_resort(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a value whose str() raises must not lose the report (H6)
        return f"<{type(value).__name__} that cannot be shown>"
