"""Judgements that several checks of alerting share."""

from collections.abc import Sequence
from typing import Final

from readiness.lib.text import listed
from readiness.model.evidence import Evidence
from readiness.model.measurement import Limit, Measurement, equal_to

_SHOWN: Final = 5


def judge_none(
    evidence: Evidence,
    key: str,
    name: str,
    wrong: Sequence[str],
    source: str,
    samples: int = 1,
    *,
    hint: str = "",
    warn_only: bool = False,
) -> bool:
    """Judge that nothing is wrong.

    Args:
        evidence: of the check.
        key: of the judgement.
        name: what is counted, in the plural: "rules with an error".
        wrong: what was found, each in words.
        source: where it was read.
        samples: how many were looked at.
        hint: the consequence of a miss.
        warn_only: a miss is a warning.
    """
    because = listed(wrong, most=_SHOWN, between="; ")
    return evidence.judge(
        key,
        Measurement(name, len(wrong), "count", source, samples),
        equal_to(0),
        f"{because}. {hint}" if hint else because,
        says=f"{_sentence(name)} ({len(wrong)})",
        warn_only=warn_only,
    )


def judge_true(
    evidence: Evidence,
    key: str,
    name: str,
    source: str,
    *,
    true: bool,
    miss: str,
    because: str = "",
) -> bool:
    """Judge that a statement is true.

    `name` states it for the list of measurements, `miss` is the sentence if it is false, with
    details in `because`.
    """
    measured = Measurement(name, int(true), "count", source)
    return evidence.judge(key, measured, equal_to(1), because, says=miss)


def judge_within(
    evidence: Evidence,
    key: str,
    event: str,
    after_s: float | None,
    limit: Limit,
    source: str,
    *,
    never: str,
    because: str = "",
    late: str = "",
    late_key: str = "",
) -> bool:
    """Judge that something happened, and in time.

    Args:
        evidence: of the check.
        key: of the judgement that it happened, and that it was in time unless `late_key` is set.
        event: as "slack was notified".
        after_s: seconds until it happened; None if it never did.
        limit: for those seconds.
        source: where it was seen.
        never: the sentence if it did not happen.
        because: why it may not have happened.
        late: why it may have been late.
        late_key: of the judgement that it was in time.
    """
    came = judge_true(
        evidence, key, event, source, true=after_s is not None, miss=never, because=because
    )
    if not came or after_s is None:
        return False
    return evidence.judge(
        late_key or key,
        Measurement(f"seconds until {event}", after_s, "s", source),
        limit,
        late,
        says=f"{_sentence(event)} after {after_s:.3g} s",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
