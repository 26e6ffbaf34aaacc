"""Plans checks that will not run here from the catalogue, without importing their modules.

A module is skipped only if none of its checks runs in this process, for example because the target
declares no subject for them. The plan is the same as after collecting it, in the same order.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from readiness.config.subjects import subjects
from readiness.lib import bundle
from readiness.run import catalogue_file
from readiness.run.catalogue_file import Declared
from readiness.run.ledger import Planned
from readiness.run.plugin import collection
from readiness.run.plugin.collection import NOTHING, planned_on
from readiness.run.plugin.state import State

_NAME: Final = "readiness-foreseen"
FEW: Final = 20
"""Up to this many checks run faster in one process than a worker starts."""
_NARROWING: Final = (
    *("keyword", "markexpr", "deselect", "ignore", "ignore_glob"),
    *("lf", "failedfirst", "stepwise", "pyargs"),
)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The part of the plan that is known before collecting.

    Attributes:
        modules: the files that are not collected.
        planned: their plan, in the order in which they would have been collected.
        prefix: the common beginning of the node ids of shipped checks.
    """

    modules: frozenset[Path] = frozenset()
    planned: tuple[Planned, ...] = ()
    prefix: str = ""

    @property
    def nodeids(self) -> set[str]:
        """The node ids of the foreseen plan."""
        return {planned.nodeid for planned in self.planned}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip these modules."""
        return True if collection_path in self.modules else None


def foresee(config: pytest.Config, state: State, *, leaves_quiet: bool) -> Foreseen:
    """Register and return the foreseen plan.

    Args:
        config: pytest's configuration.
        state: the run.
        leaves_quiet: whether this process leaves the checks that need quiet to a later one.
    """
    found = _foreseen(config, state, leaves_quiet=leaves_quiet)
    config.pluginmanager.register(found, _NAME)
    return found


def plan(items: Sequence[pytest.Item], state: State, foreseen: Foreseen) -> list[Planned]:
    """The whole plan, collected and foreseen.

    Raises:
        UsageError: an item is not a check, or two are the same check on one subject.
    """
    planned = _merged(collection.plan(items, state), foreseen)
    collection.refuse_twins(planned)
    return planned


def _merged(collected: Sequence[Planned], foreseen: Foreseen) -> list[Planned]:
    """The whole plan, in the order of a full collection."""
    if not foreseen.planned:
        return list(collected)
    shipped = [p for p in collected if p.nodeid.startswith(foreseen.prefix)]
    own = [p for p in collected if not p.nodeid.startswith(foreseen.prefix)]
    # By folder and file, as pytest walks them; the order within a file stays.
    return sorted([*shipped, *foreseen.planned], key=_module) + own


def _module(planned: Planned) -> list[str]:
    return planned.nodeid.partition("::")[0].split("/")


def workers(config: pytest.Config, state: State, most: int) -> int:
    """How many workers pay off: none for few checks, and never more than files with checks.

    A worker takes whole files, and one without a file takes memory for nothing.

    Args:
        config: pytest's configuration.
        state: the run.
        most: the most workers, also if it is not known what will run.
    """
    plan = _known_plan(config, state)
    if plan is None:
        return most
    running = [planned for planned in plan if _runs(planned, leaves_quiet=True)]
    files = {planned.nodeid.partition("::")[0] for planned in running}
    return 0 if len(running) < FEW or len(files) == 1 else min(most, len(files))


def _known_plan(config: pytest.Config, state: State) -> list[Planned] | None:
    """The plan, if all of it is known before collecting."""
    if not _is_whole(config) or _places(config) != [bundle.suites()]:
        return None
    known = catalogue_file.unchanged()
    if len({one.module for one in known}) < len(catalogue_file.check_files()):
        return None  # some suites are unknown
    return _plan(config, state, known)


def _foreseen(config: pytest.Config, state: State, *, leaves_quiet: bool) -> Foreseen:
    if not _is_whole(config):
        return Foreseen()
    modules: list[Path] = []
    planned: list[Planned] = []
    for module, declared in groupby(catalogue_file.unchanged(), key=lambda one: one.module):
        rows = _plan(config, state, declared)
        if rows is None:
            continue
        runs = any(_runs(row, leaves_quiet=leaves_quiet) for row in rows)
        if config.option.collectonly or not runs:
            modules.append(bundle.suites() / module)
            planned += rows
    prefix = bundle.suites().relative_to(config.rootpath).as_posix() + "/"
    return Foreseen(frozenset(modules), tuple(planned), prefix)


def _runs(planned: Planned, *, leaves_quiet: bool) -> bool:
    later = leaves_quiet and planned.effect.needs_quiet
    return planned.selected and (planned.looks or not planned.settled) and not later


def _is_whole(config: pytest.Config) -> bool:
    """Whether pytest is to run all shipped suites, without `-k` and the like.

    Only pytest knows what those match.
    """
    places = _places(config)
    return (
        bundle.suites() in places
        and not any(bundle.suites() in place.parents for place in places)
        and bundle.suites().is_relative_to(config.rootpath)
        and not any(getattr(config.option, name, None) for name in _NARROWING)
    )


def _places(config: pytest.Config) -> list[Path]:
    """The paths given to pytest; links are not resolved, as in pytest's node ids."""
    folder = config.invocation_params.dir
    return [Path(os.path.normpath(folder / arg.partition("::")[0])) for arg in config.args]


def _plan(
    config: pytest.Config, state: State, declared: Iterable[Declared]
) -> list[Planned] | None:
    """The plan of these checks; None if pytest might use another node id for one of them."""
    rows = []
    for one in declared:
        path = bundle.suites() / one.module
        nodeid = f"{path.relative_to(config.rootpath).as_posix()}::{one.function}"
        if not one.spec.each:
            rows.append(planned_on(state.target.name, nodeid, one.spec, state))
            continue
        names = [
            subject.name for subject in subjects(state.loaded.config, one.spec.each, one.spec.needs)
        ]
        if len(set(names)) < len(names) or not all(map(_is_plain, names)):
            return None
        rows += [planned_on(name, f"{nodeid}[{name}]", one.spec, state) for name in names]
        if not names:
            rows.append(planned_on(None, f"{nodeid}[{NOTHING}]", one.spec, state))
    return rows


def _is_plain(name: str) -> bool:
    return bool(name) and name.isascii() and name.isprintable()
