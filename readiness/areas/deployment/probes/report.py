"""Reads what a deployment leaves behind: who changed what, when, in which steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.probes.files import parsed
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import now

SUCCESS: Final = "success"
_CLOCKS_DIFFER_S: Final = 300
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Step(BaseModel):
    """One step of it."""

    model_config = ConfigDict(frozen=True)

    name: Words
    duration_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DeploymentReport(BaseModel):
    """What such a report must tell; it may tell more.

    Attributes:
        release: what was deployed.
        previous: what ran before.
        by: who, or what, deployed it.
        started_at: when it began.
        finished_at: when it ended.
        result: how it ended.
        backup: what was saved before, by its name.
        steps: what was done.
    """

    model_config = ConfigDict(frozen=True)

    release: Words
    previous: Words
    by: Words
    started_at: AwareDatetime
    finished_at: AwareDatetime
    result: Literal["success", "failed", "rolled-back"]
    backup: Words
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @property
    def live(self) -> str:
        """The release that must serve, if the report is right."""
        return self.release if self.result == SUCCESS else self.previous

    @property
    def duration_s(self) -> float:
        """Seconds that it took."""
        return (self.finished_at - self.started_at).total_seconds()


def read_report(deployment: Deployment) -> tuple[str, DeploymentReport | None, list[str]]:
    """Where the report is, the report, or else what is wrong with it, in words.

    Raises:
        NoData: nobody says where it is.
        CouldNotMeasure: the file is there, and cannot be read.
    """
    if deployment.report is None:
        raise NoData("needs [deployment.report]")
    place = deployment.report.path
    return place, *_read(place)


def _read(place: str) -> tuple[DeploymentReport | None, list[str]]:
    if not Path(place).exists():
        return None, ["there is no such file"]
    if wrong := parsed(place).mistakes:
        return None, list(wrong)
    try:
        report = DeploymentReport.model_validate_json(Path(place).read_bytes())
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=place) from None
    except ValidationError as problems:
        return None, [
            f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {clean(problem['msg'])}"
            for problem in problems.errors(include_input=False, include_url=False)
        ]
    return report, list(_wrong_times(report))


def _wrong_times(report: DeploymentReport) -> Iterator[str]:
    ended = report.finished_at
    if (ended - now()).total_seconds() > _CLOCKS_DIFFER_S:
        yield f"finished_at: {ended:%Y-%m-%d %H:%M:%S %Z} is in the future"
    if report.duration_s < 0:
        yield "finished_at is before started_at"
