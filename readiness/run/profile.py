"""The profile of a run: which checks a verdict requires."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from readiness.areas.registry import areas
from readiness.config.base.tables import Config
from readiness.config.subjects import declares
from readiness.model.check import CheckSpec
from readiness.model.record import Policy


@dataclass(frozen=True, slots=True)
class Profile:
    """What a verdict requires of a target.

    Attributes:
        name: `core`, `full` or `own`.
        ids: the checks of a team's own list.
        areas: the areas that the configuration declares, or that what it declares implies.
    """

    name: str
    ids: Collection[str]
    areas: Collection[str]

    @classmethod
    def of(cls, config: Config) -> Self:
        """The profile of a configuration."""
        chosen = config.gate.profile
        declared = {
            area.name for area in areas() if declares(config, (*area.kinds, *area.implied_by))
        }
        if isinstance(chosen, str):
            return cls(chosen, (), declared)
        return cls("own", frozenset(chosen), declared)

    def requires(self, spec: CheckSpec) -> bool:
        """Whether the verdict requires a check, whether or not the file declares a subject.

        `core` requires its checks in declared areas alone; areas of the user's own checks are
        declared by their folder.
        """
        if self.name == "own":
            return spec.id in self.ids
        return self.name == "full" or (spec.core and spec.suite in self.areas)


def policy(config: Config) -> Policy:
    """What the record says of it."""
    return Policy(profile=Profile.of(config).name, min_coverage=config.gate.min_coverage or 0)
