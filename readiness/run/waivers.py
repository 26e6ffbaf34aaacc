"""Applies waivers: accepted failures with an owner and a last day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from readiness.config.base.tables import Config, Waiver
from readiness.model.errors import Problem
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, WaiverNote, WaiverState
from readiness.model.suggest import did_you_mean


def apply(
    results: Sequence[CheckResult], waivers: Sequence[Waiver], today: date
) -> tuple[list[CheckResult], list[WaiverState]]:
    """Accept the failures that an unexpired waiver covers.

    Only a `fail` can be waived, not an `error`. A waiver is valid through its `expires` day; after
    it the check fails again, and the message names the owner.

    Args:
        results: the checks as they ended.
        waivers: those of the configuration.
        today: the day on which they must be valid (UTC).

    Returns:
        The results and the state of each waiver, both in the given order.
    """
    judged = [_apply_one(result, waivers, today) for result in results]
    used = [waiver for _, waiver in judged if waiver is not None]
    return [result for result, _ in judged], [_state(w, used, today) for w in waivers]


def unmatched(
    waivers: Sequence[Waiver],
    known: Collection[tuple[str, str]],
    *,
    origins: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Waivers that match nothing, because check or subject is misspelled.

    Args:
        waivers: those of the configuration.
        known: check id and subject of everything planned; no subject is an empty text.
        origins: `Loaded.origins`, so that a problem can name the line.
    """
    problems = []
    for index, waiver in enumerate(waivers):
        place = (origins or {}).get(f"waiver[{index}].check", "")
        where = f"{place} [[waiver]]".strip()
        subjects = {subject for check, subject in known if check == waiver.check}
        if not subjects:
            ids = {check for check, _ in known}
            problems += unknown_ids([waiver.check], ids, f"{where} check")
        elif waiver.subject and waiver.subject not in subjects:
            problems.append(_unknown_subject(waiver, subjects, f"{where} subject"))
    return problems


def misnamed(
    config: Config,
    known: Collection[tuple[str, str]],
    *,
    origins: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Decisions of the configuration about unknown checks, suites or subjects.

    Args:
        config: the target.
        known: check id and subject of everything that is planned; no subject is an empty text.
        origins: `Loaded.origins`, so that a problem can name the line.
    """
    ids = {check for check, _ in known}
    names = ids | {f"{check}[{subject}]" for check, subject in known if subject}
    suites = {check.partition(".")[0] for check in ids}
    return [
        *unknown_ids(config.gate.not_applicable, names | suites, "[gate.not_applicable]"),
        *unknown_ids(
            [name for row in config.gate.independent for name in row],
            ids | suites,
            "[gate] independent",
        ),
        *unmatched(config.waiver, known, origins=origins),
    ]


def unknown_ids(
    ids: Iterable[str], known_ids: Collection[str], where: str, kind: str = "check"
) -> list[Problem]:
    """One problem for each unknown id.

    Args:
        ids: the written ids.
        known_ids: the valid ids.
        where: the file and key, or the option.
        kind: `check` or `suite`.
    """
    return [
        Problem(
            where,
            f"unknown {kind} {name!r}. {did_you_mean(name, known_ids)}".rstrip(),
            "list all ids: readiness list",
        )
        for name in ids
        if name not in known_ids
    ]


def _apply_one(
    result: CheckResult, waivers: Sequence[Waiver], today: date
) -> tuple[CheckResult, Waiver | None]:
    if result.outcome is not Outcome.FAIL:
        return result, None
    covering = [w for w in waivers if w.check == result.id and w.subject in {"", result.subject}]
    # A waiver for this subject outranks one for all subjects; a longer one a shorter one.
    covering.sort(key=lambda w: (w.subject != "", w.expires), reverse=True)
    valid = [w for w in covering if today <= w.expires]
    if valid:
        waived = {"outcome": Outcome.WAIVED, "waiver": _note(valid[0])}
        return result.model_copy(update=waived), valid[0]
    if covering:
        late = covering[0]
        told = f"{result.message} (waiver of {late.owner} expired on {late.expires})".strip()
        return result.model_copy(update={"message": told}), None
    return result, None


def _note(waiver: Waiver) -> WaiverNote:
    return WaiverNote(
        owner=waiver.owner,
        approver=waiver.approver,
        reason=waiver.reason,
        expires=waiver.expires,
    )


def _state(waiver: Waiver, used: Sequence[Waiver], today: date) -> WaiverState:
    state = WaiverState(**waiver.model_dump(), state="unused")
    if today > waiver.expires:
        return state.model_copy(update={"state": "expired"})
    return state.model_copy(update={"state": "applied"}) if waiver in used else state


def _unknown_subject(waiver: Waiver, subjects: Collection[str], where: str) -> Problem:
    message = f"{waiver.check} has no subject {waiver.subject!r}"
    named = sorted(subject for subject in subjects if subject)
    remedy = f"use one of: {', '.join(named)}" if named else "remove 'subject'"
    return Problem(where, f"{message}. {did_you_mean(waiver.subject, named)}".rstrip(". "), remedy)
