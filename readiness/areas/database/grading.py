"""Two limits for one figure: where a warning begins, and where it fails."""

from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_least, at_most


def no_more_than(
    evidence: Evidence,
    key: str,
    measured: Measurement,
    *,
    warn: float,
    fail: float,
    because: str = "",
) -> bool:
    """Hold a figure that must be small against both limits; judged once, by the worse one.

    Returns:
        Whether there is not even a warning.

    Raises:
        NoData: the value cannot be compared with the limits.
    """
    failed = not at_most(fail).holds(measured.value)
    limit = at_most(fail if failed else warn)
    return evidence.judge(key, measured, limit, because, warn_only=not failed)


def no_less_than(
    evidence: Evidence,
    key: str,
    measured: Measurement,
    *,
    warn: float,
    fail: float,
    because: str = "",
) -> bool:
    """The same for a figure that must be large."""
    failed = not at_least(fail).holds(measured.value)
    limit = at_least(fail if failed else warn)
    return evidence.judge(key, measured, limit, because, warn_only=not failed)
