"""Makes the plan from collected tests: which checks, on which subjects, in which order."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from readiness.config.base.tables import Config
from readiness.config.subjects import absence, filled, subjects
from readiness.config.subjects import undeclared as missing
from readiness.lib import bundle
from readiness.model.check import CheckSpec, Effect, spec_of
from readiness.model.errors import ConfigError, Problem, UsageError
from readiness.run.decisions import excusing, misnamed, unknown_ids
from readiness.run.ledger import OR_NOT, Planned
from readiness.run.plugin.state import State

PLANNED: Final = pytest.StashKey[Planned]()
NOTHING: Final = "not-configured"
"""The subject in the node id of a check that has none."""


def parametrize(metafunc: pytest.Metafunc, state: State) -> None:
    """Run a check once for each subject of its kind, in sorted order.

    Without any subject there is still one item, so that the check is planned and reported as not
    run.
    """
    spec = spec_of(metafunc.function)
    if spec is None or not spec.each:
        return
    found = subjects(state.loaded.config, spec.each, spec.needs)
    if found:
        metafunc.parametrize(spec.each, found, ids=[subject.name for subject in found])
    else:
        metafunc.parametrize(spec.each, [None], ids=[NOTHING])


def plan(items: Sequence[pytest.Item], state: State) -> list[Planned]:
    """The plan of all collected items, stored on each of them.

    Raises:
        UsageError: an item is not a check.
    """
    planned = []
    for item in items:
        spec = spec_of(getattr(item, "function", None))
        if spec is None:
            raise UsageError(
                "this test is not a check",
                where=item.nodeid,
                remedy="declare it with @check(...), or move it out of the folder",
            )
        item.stash[PLANNED] = _planned(item, spec, state)
        planned.append(item.stash[PLANNED])
    return planned


def _planned(item: pytest.Item, spec: CheckSpec, state: State) -> Planned:
    callspec: Any = getattr(item, "callspec", None)
    nothing = bool(spec.each) and callspec is not None and callspec.params[spec.each] is None
    subject = None if nothing else callspec.id if callspec else state.target.name
    return planned_on(subject, item.nodeid, spec, state)


def planned_on(subject: str | None, nodeid: str, spec: CheckSpec, state: State) -> Planned:
    """The plan of a check on one subject.

    Args:
        subject: its name; None if the target declares none.
        nodeid: pytest's node id.
        spec: the check.
        state: the run.
    """
    today = state.run.started.date()
    excused, expired = excusing(spec.id, subject or "", state.decisions, today)
    permission = state.permissions[spec.effect]
    settled, reason, remedy, undeclared = "", "", "", ""
    looks = False
    if excused:
        settled, reason = "not-applicable", excused.reason
    elif subject is None:
        settled = "not-run"
        looks = state.profile.requires(spec) and absence(spec.id) is not None
        undeclared = missing(state.loaded.config, spec.each, spec.needs)
        reason = f"Not configured: {undeclared}, {OR_NOT}"
        remedy = f"{undeclared}, or decide in [[not_applicable]] that it does not apply"
        if expired:
            reason += f" ({expired.owner}'s decision expired on {expired.expires})"
    elif not permission.allowed:
        settled, reason, remedy = "not-run", permission.reason, permission.remedy
    named = {spec.id, spec.suite} & {*state.run.selection.select, *state.run.selection.suites}
    return Planned(
        nodeid=nodeid,
        spec=_with_names(spec, subject, state.loaded.config),
        subject=subject or "",
        settled=settled,  # type: ignore[arg-type]
        reason=reason,
        remedy=remedy,
        undeclared=undeclared,
        looks=looks,
        asked=subject is not None or state.profile.requires(spec) or bool(named),
        selected=_selected(spec, subject or "", state),
    )


def _with_names(spec: CheckSpec, subject: str | None, config: Config) -> CheckSpec:
    """The check whose fix names what the file says of the subject."""
    found = subjects(config, spec.each, spec.needs) if subject and spec.each else ()
    known = next((one for one in found if one.name == subject), None)
    return replace(spec, fix=filled(spec.fix, known, config))


def _selected(spec: CheckSpec, subject: str, state: State) -> bool:
    choice = state.run.selection
    names = {spec.id, f"{spec.id}[{subject}]"}
    return (
        (not choice.suites or spec.suite in choice.suites)
        and (not choice.select or not names.isdisjoint(choice.select))
        and names.isdisjoint(choice.ignore)
    )


def refuse_twins(planned: Iterable[Planned]) -> None:
    """Refuse a plan in which two items are the same check on the same subject.

    Raises:
        UsageError: there are such items.
    """
    seen = Counter((p.id, p.subject) for p in planned)
    for (check, subject), times in seen.items():
        if times > 1:
            raise UsageError(
                f"{times} tests have this check id and subject",
                where=f"{check}[{subject}]",
                remedy="give each check a unique id",
            )


def validate(planned: Sequence[Planned], state: State) -> None:
    """Check that the ids written by the user exist.

    Raises:
        ReadinessError: an id, suite or waiver matches nothing, or nothing is selected or asked for.
    """
    choice = state.run.selection
    names = {p.id for p in planned} | {f"{p.id}[{p.subject}]" for p in planned if p.subject}
    suites = {p.suite for p in planned}
    problems: list[Problem] = [
        *unknown_ids(choice.suites, suites, "--suite", "suite"),
        *unknown_ids(choice.select, names, "--select"),
        *unknown_ids(choice.ignore, names, "--ignore"),
        *misnamed(state.loaded.config, {(p.id, p.subject) for p in planned}),
    ]
    if problems:
        raise ConfigError(problems)
    if not any(p.selected for p in planned):
        raise UsageError(
            "the selection matches no check",
            where="--suite / --select / --ignore",
            remedy="list all checks: readiness list",
        )
    if not any(p.selected and p.asked for p in planned):
        raise UsageError(
            "declares nothing that could be judged",
            where=str(state.loaded.path),
            remedy="declare services, databases or backups; an example of each table: readiness"
            " init --template example.toml",
        )


def partial_reason(config: pytest.Config, planned: Sequence[Planned], chosen: set[str]) -> str:
    """Why the selection is partial; empty if everything was selected.

    Args:
        config: pytest's configuration.
        planned: everything that was collected.
        chosen: node ids that were not deselected by pytest (`-k`, `-m`, `--deselect`, ...).
    """
    option = config.option
    left_out = [p for p in planned if not p.selected or p.nodeid not in chosen]
    if left_out:
        return f"{len(left_out)} of {len(planned)} collected checks were left out"
    narrowing = [
        name
        for name in ("lf", "ignore", "ignore_glob", "stepwise", "deselect")
        if getattr(option, name, None)
    ]
    if narrowing:
        return f"pytest options narrowed the collection (--{narrowing[0].replace('_', '-')})"
    narrow = [arg for arg in config.args if "::" in arg or Path(arg).suffix == ".py"]
    inside = [
        arg
        for arg in config.args
        if bundle.suites()
        in (config.invocation_params.dir / arg.partition("::")[0]).resolve().parents
    ]
    if narrow or inside:
        return f"only {(narrow + inside)[0]} was given to pytest"
    return ""


def missing_ids(config: pytest.Config, planned: Iterable[Planned]) -> list[str]:
    """The ids of shipped checks that were not collected."""
    places = {(config.invocation_params.dir / arg).resolve() for arg in config.args}
    if bundle.suites() not in places:
        return []
    return sorted(bundle.known_ids() - {p.id for p in planned})


def keep_selected(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect in pytest what the user's selection leaves out."""
    deselect(config, items, lambda item: item.stash[PLANNED].selected)


def deselect(
    config: pytest.Config, items: list[pytest.Item], keep: Callable[[pytest.Item], bool]
) -> None:
    """Keep some of the items, in place, and report the others to pytest as deselected."""
    dropped = [item for item in items if not keep(item)]
    if dropped:
        items[:] = [item for item in items if keep(item)]
        config.hook.pytest_deselected(items=dropped)


def put_slow_first(items: list[pytest.Item]) -> None:
    """Put files with `write` checks first, as restores and deliveries take longest.

    Files stay whole; otherwise the order stays.
    """
    slow = {item.path for item in items if item.stash[PLANNED].effect is Effect.WRITE}
    items.sort(key=lambda item: item.path not in slow)


def needs_quiet(item: pytest.Item) -> bool:
    """Whether the item must run alone, after the parallel phase."""
    return item.stash[PLANNED].effect.needs_quiet
