"""Applies the decisions of the configuration to results, and finds those that match nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from readiness.config.base.tables import Config, Waiver
from readiness.model.decision import Decision, Kind, matches
from readiness.model.errors import Problem, did_you_mean
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult


def apply(
    results: Sequence[CheckResult], decisions: Sequence[Decision], today: date
) -> tuple[list[CheckResult], list[Decision]]:
    """Apply what is valid on that day (UTC); what has expired is named in the message.

    A waiver accepts a failure, or the error that it names. What does not apply was not run, and
    what is observed only is judged; both get the decision that says so.

    Returns:
        The results and the decisions with their state, both in the given order.
    """
    used: list[Decision] = []
    decided = [_decided(result, decisions, today, used) for result in results]
    return decided, [_with_state(decision, used, today) for decision in decisions]


def excusing(
    check: str, subject: str, decisions: Sequence[Decision], today: date
) -> tuple[Decision | None, Decision | None]:
    """The valid decision that a check does not apply, and one that has expired."""
    found = [d for d in decisions if d.kind is Kind.NOT_APPLICABLE and d.covers(check, subject)]
    valid = next((d for d in found if d.is_valid(today)), None)
    return valid, next((d for d in found if not d.is_valid(today)), None)


def misnamed(
    config: Config,
    known: Collection[tuple[str, str]],
    *,
    origins: Mapping[str, str] | None = None,
) -> list[Problem]:
    """What the configuration says about unknown checks, suites or subjects.

    Args:
        config: the target.
        known: check id and subject of everything that is planned; no subject is an empty text.
        origins: `Loaded.origins`, so that a problem can name the line.
    """
    origins = origins or {}
    ids = {check for check, _ in known}
    suites = {check.partition(".")[0] for check in ids}
    listed = config.gate.profile if isinstance(config.gate.profile, list) else []
    rows = [name for row in config.gate.independent for name in row]
    return [
        *unknown_ids(listed, ids, "[gate] profile"),
        *unknown_ids(rows, ids | suites, "[gate] independent"),
        *_unmatched_waivers(config.waiver, known, origins),
        *_unmatched("not_applicable", [d.each for d in config.not_applicable], known, origins),
        *_unmatched("observe_only", [[d.what] for d in config.observe_only], known, origins),
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


def _decided(
    result: CheckResult, decisions: Sequence[Decision], today: date, used: list[Decision]
) -> CheckResult:
    mine = [d for d in decisions if d.covers(result.id, result.subject)]
    valid = [d for d in mine if d.is_valid(today)]
    excused = next((d for d in valid if d.kind is Kind.NOT_APPLICABLE), None)
    if excused and result.outcome is Outcome.NOT_APPLICABLE:
        used.append(excused)
        return result.model_copy(update={"decision": excused})
    observed = next((d for d in valid if d.kind is Kind.OBSERVE_ONLY), None)
    if observed:
        used.append(observed)
        return result.model_copy(update={"decision": observed})
    return _waived(result, [d for d in mine if _accepts(d, result)], today, used)


def _accepts(waiver: Decision, result: CheckResult) -> bool:
    if waiver.kind is not Kind.WAIVER:
        return False
    if waiver.error:
        # Each of its causes must be the named one: a second cause is not accepted with it.
        causes = [cause.what for cause in result.causes] or [result.message]
        return result.outcome is Outcome.ERROR and all(waiver.error in what for what in causes)
    return result.outcome is Outcome.FAIL


def _waived(
    result: CheckResult, covering: Sequence[Decision], today: date, used: list[Decision]
) -> CheckResult:
    # A waiver for this subject outranks one for all subjects; a longer one a shorter one.
    order = sorted(covering, key=lambda w: (w.what != result.id, w.expires), reverse=True)
    valid = next((w for w in order if w.is_valid(today)), None)
    if valid:
        used.append(valid)
        return result.model_copy(update={"outcome": Outcome.WAIVED, "waiver": valid})
    if order:
        late = order[0]
        text = f"{result.message} (waiver of {late.owner} expired on {late.expires})".strip()
        return result.model_copy(update={"message": text})
    return result


def _with_state(decision: Decision, used: Sequence[Decision], today: date) -> Decision:
    if not decision.is_valid(today):
        return decision.model_copy(update={"state": "expired"})
    return decision.model_copy(update={"state": "applied"}) if decision in used else decision


def _unmatched_waivers(
    waivers: Sequence[Waiver], known: Collection[tuple[str, str]], origins: Mapping[str, str]
) -> list[Problem]:
    problems = []
    for index, waiver in enumerate(waivers):
        where = f"{origins.get(f'waiver[{index}].check', '')} [[waiver]]".strip()
        subjects = {subject for check, subject in known if check == waiver.check}
        if not subjects:
            ids = {check for check, _ in known}
            problems += unknown_ids([waiver.check], ids, f"{where} check")
        elif waiver.subject and waiver.subject not in subjects:
            problems.append(_unknown_subject(waiver, subjects, f"{where} subject"))
    return problems


def _unknown_subject(waiver: Waiver, subjects: Collection[str], where: str) -> Problem:
    message = f"{waiver.check} has no subject {waiver.subject!r}"
    named = sorted(subject for subject in subjects if subject)
    remedy = f"use one of: {', '.join(named)}" if named else "remove 'subject'"
    return Problem(where, f"{message}. {did_you_mean(waiver.subject, named)}".rstrip(". "), remedy)


def _unmatched(
    table: str,
    written: Sequence[Sequence[str]],
    known: Collection[tuple[str, str]],
    origins: Mapping[str, str],
) -> list[Problem]:
    """Patterns of a table of decisions that match no check."""
    names = {check for check, _ in known}
    names |= {check.partition(".")[0] for check in names}
    names |= {f"{check}[{subject}]" for check, subject in known if subject}
    problems = []
    for index, entry in enumerate(written):
        where = f"{origins.get(f'{table}[{index}].what', '')} [[{table}]] what".strip()
        unmatched = [
            what
            for what in entry
            if not any(matches(what, check, subject) for check, subject in known)
        ]
        problems += unknown_ids(unmatched, names, where, "check, area or pattern")
    return problems
