"""Measures whether a system is ready for production, and shows the evidence."""

from readiness.model.check import Effect, Severity, check
from readiness.model.evidence import Evidence
from readiness.model.measurement import Limit, Measurement, at_least, at_most, equal_to

__all__ = [
    "Effect",
    "Evidence",
    "Limit",
    "Measurement",
    "Severity",
    "__version__",
    "at_least",
    "at_most",
    "check",
    "equal_to",
]

__version__ = "0.1.0"
