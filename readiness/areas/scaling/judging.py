"""What a check of scaling does not judge, because the target does not say what was agreed.

It stands alone because the checks of objects and the drill both say it.
"""

from collections.abc import Mapping
from typing import Final

from readiness.areas.scaling.config import Scaling
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement

_SUBJECTS: Final[Mapping[str, str]] = {
    "min_replicas": "minimum replica count",
    "max_replicas": "maximum replica count",
    "cpu_percent": "target utilization of CPU",
    "memory_percent": "target utilization of memory",
    "up_pods": "how fast pods are added",
    "down_pods": "how fast pods are removed",
}


def record_not_judged(scaling: Scaling, evidence: Evidence, *keys: str) -> None:
    """Record each of these keys that is not set, and what is not judged without it."""
    table = f"[scaling.{scaling.name}]"
    for key in keys:
        if getattr(scaling, key) is None:
            how = f"set `{key}` in {table}"
            evidence.record(Measurement(f"not judged: {_SUBJECTS[key]}", how, "text", table))
