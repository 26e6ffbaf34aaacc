"""Judgements that several checks share: lists that must be empty."""

from collections.abc import Callable, Iterable, Sequence

from readiness.lib.http import Answer
from readiness.lib.text import worst
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, equal_to


def none_of(
    evidence: Evidence,
    key: str,
    name: str,
    found: Sequence[str],
    among: int,
    source: str,
    *,
    setting: str = "",
    warn_only: bool = False,
) -> bool:
    """Judge that a list is empty: `found` has one text for each thing that is wrong.

    `name` says what is wrong, after "2 of 7": "answers without nosniff"; `among` is how many things
    were judged.
    """
    return evidence.judge(
        key,
        Measurement(name, len(found), "count", source, samples=among),
        equal_to(0, setting),
        worst(found),
        says=f"{len(found)} of {among} {name}",
        warn_only=warn_only,
    )


def which(answers: Iterable[Answer], wrong: Callable[[Answer], object]) -> list[str]:
    """The answers that are wrong, as "404 https://shop.example.com/nowhere"."""
    return [f"{answer.status} {answer.url}" for answer in answers if wrong(answer)]
