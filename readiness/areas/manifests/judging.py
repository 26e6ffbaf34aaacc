"""The judgement that most checks of manifests make: a list of findings must be empty."""

from collections.abc import Iterable, Sequence

from readiness.areas.manifests.workloads import Side
from readiness.lib.text import listed
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, equal_to

_SHOWN = 5


def judge_none(
    evidence: Evidence, key: str, what: str, found: Sequence[str], source: str, samples: int = 1
) -> bool:
    """Judge that nothing was found.

    Args:
        evidence: of the check.
        key: the judgement.
        what: what was looked for, in the plural.
        found: where, each as a few words, without values.
        source: `manifests`, `live` or a file.
        samples: how many were looked at.
    """
    return evidence.judge(
        key,
        Measurement(what, len(found), "count", source, samples=samples),
        equal_to(0),
        listed(found, most=_SHOWN),
        says=f"{source}: {what}, {len(found)} found",
    )


def judge_missing(
    evidence: Evidence, key: str, what: str, found: Sequence[str], side: Side, samples: int = 1
) -> bool:
    """The same of what lacks something, which a file that could not be read may have.

    Raises:
        CouldNotMeasure: something lacks, and something was not read.
    """
    if found:
        side.sure()
    return judge_none(evidence, key, what, found, side.name, samples)


def named(found: Iterable[object]) -> str:
    """Some names, for a figure that is only shown."""
    return listed(map(str, found), most=_SHOWN) or "none"
