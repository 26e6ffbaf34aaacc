"""Runs the checks of manifests on files, without a system."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.probes import reading
from readiness.areas.manifests.workloads import Agreed, Side
from readiness.model.check import CheckSpec, spec_of
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed, Evidence, NotApplicable
from tests.support.monitored_service import suite

HAS_PARSER = find_spec("dockerfile") is not None


def checks() -> Iterator[tuple[CheckSpec, Callable[..., None]]]:
    """All checks of the area; that of Dockerfiles where their parser is installed."""
    for module in ("test_pods", "test_traffic", "test_images"):
        for function in vars(suite(f"manifests.{module}")).values():
            spec = spec_of(function)
            if spec and (HAS_PARSER or spec.id != "manifests.dockerfile"):
                yield spec, function


class Judged:
    """What all checks say.

    Attributes:
        misses: the judgements that miss, by check; none of a check that could not be judged.
        texts: the message of each check that did not pass.
        unfit: the checks that do not apply.
    """

    def __init__(self, manifests: Manifests, agreed: Sequence[Agreed] = ()) -> None:
        self.misses: dict[str, set[str]] = {}
        self.texts: dict[str, str] = {}
        self.unfit: set[str] = set()
        self._manifests = manifests.placed("manifests")
        self._agreed = agreed
        self._sides: list[Side] | CouldNotMeasure | None = None
        for spec, function in checks():
            if not spec.needs or getattr(manifests, spec.needs[0]):
                self._judge(spec.id, spec.judgements, function)

    def _judge(self, name: str, judgements: tuple[str, ...], function: Callable[..., Any]) -> None:
        evidence = Evidence(judgements)
        known = {"manifests": self._manifests, "evidence": evidence, "kubernetes_of": self._read}
        try:
            function(**{key: known[key] for key in inspect.signature(function).parameters})
            evidence.conclude()
        except NotApplicable:
            self.unfit.add(name)
        except (CheckFailed, CouldNotMeasure) as error:
            notes = getattr(error, "__notes__", [])
            self.texts[name] = "; ".join([str(error), *notes])
            self.misses[name] = {m.key for m in evidence.measurements if m.is_missed}

    def _read(self, manifests: Manifests) -> list[Side]:
        if self._sides is None:
            try:
                self._sides = reading.sides_of_files(manifests, self._agreed)
            except CouldNotMeasure as error:
                self._sides = error
        if isinstance(self._sides, CouldNotMeasure):
            raise self._sides
        return self._sides


def judged(folder: Path, agreed: Sequence[Agreed] = (), **more: Any) -> Judged:
    """All checks of Kubernetes objects, on all files of a folder."""
    return Judged(Manifests(kubernetes=[f"{folder}/*.yaml"], **more), agreed)
