"""Finds which release serves, which one is available, and which one the report names."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from readiness.areas.deployment.config import RELEASE, Artifact, Deployment, Worker
from readiness.areas.deployment.probes.files import parsed
from readiness.lib.command import ask, run
from readiness.lib.http import JSON, Answer, Session
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import now

_EACH: Final = 3
# A random balancer misses one of three replicas in 90 answers once in 10^15.
_PATIENCE: Final = 30
_OK: Final = 200
_LARGEST: Final = 64 * 1024
# Latency does not matter here: the drills judge it.
_SLOWEST_S: Final = 10.0
NO_RELEASE: Final = "0.0.0-readiness-no-such-release"
"""A release that cannot exist: a command that finds it finds anything."""
_REMEDY: Final = "correct `command` in [deployment.artifact]"
SUCCESS: Final = "success"
_CLOCKS_DIFFER_S: Final = 300


@dataclass(slots=True)
class Served:
    """The answers of the service.

    Attributes:
        asked: how many requests were sent, each over a new connection.
        versions: how many answers named each release.
        replicas: how many answers named each replica; empty if they name none.
        silent: descriptions of the answers that named no release.
    """

    asked: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    replicas: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)


def served(deployment: Deployment) -> Served:
    """Send three requests for each replica, and more until all replicas have answered.

    Raises:
        CouldNotMeasure: a request got no answer.
    """
    found = Served()
    header = (deployment.replica_header or "").lower()
    least, most = _EACH * deployment.replicas, _PATIENCE * deployment.replicas
    while found.asked < least or (
        header and len(found.replicas) < deployment.replicas and found.asked < most
    ):
        answer = _request(deployment)
        found.asked += 1
        if version := _version_in(answer, deployment.version_key):
            found.versions[version] += 1
        else:
            found.silent.append(str(answer))
        if header and (replica := answer.headers.get(header)):
            found.replicas[replica] += 1
    return found


def _request(deployment: Deployment) -> Answer:
    """Send one request, over a new connection."""
    timeout_s = max(deployment.timeout_s, _SLOWEST_S)
    with Session(
        timeout_s=timeout_s, bearer=deployment.bearer, verify=deployment.verify_tls
    ) as session:
        return session.get(deployment.url, accept=JSON, max_bytes=_LARGEST)


def _version_in(answer: Answer, key: str) -> str:
    """The release that an answer names; empty if it names none."""
    if answer.status != _OK:
        return ""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    version = document.get(key) if isinstance(document, dict) else None
    return clean(version) if isinstance(version, str) else ""


def releases_of(worker: Worker) -> list[str]:
    """The releases that the processes of a worker run.

    Raises:
        NoData: the command printed nothing.
        CouldNotMeasure: it failed, hangs, or cannot be started.
    """
    place = f"[deployment.workers.{worker.name}] command"
    printed = run(worker.command, "print which release runs", f"correct {place}")
    found = [clean(line) for line in printed.splitlines() if line.strip()]
    if not found:
        raise NoData(
            "printed no release, as if no process of the worker ran",
            where=place,
            remedy="start the worker, or make the command print one line for each of its processes",
        )
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Whether a release's artifact was found, by which command, and why not."""

    there: bool
    why: str
    source: str


def find(artifact: Artifact, release: str) -> Found:
    """Look for the artifact of one release; CouldNotMeasure if the command cannot be run."""
    command = [word.replace(RELEASE, release) for word in artifact.command]
    answer = ask(command, f"find the artifact of {release}", _REMEDY)
    source = shlex.join(command)
    if answer.status != 0:
        return Found(False, f"status {answer.status}: {answer.said}", source)
    if artifact.prints:
        pattern = artifact.prints.replace(RELEASE, re.escape(release))
        if not re.search(pattern, answer.output, re.MULTILINE):
            return Found(False, "its output does not match `prints`", source)
    return Found(True, "", source)


def find_believed(deployment: Deployment) -> Found:
    """Look for the previous release, and check that the command can say yes and no.

    Raises:
        NoData: the command or the release is not declared.
        CouldNotMeasure: it finds a release that cannot exist, or does not find the one under test
            either, so that its answer means nothing.
    """
    artifact, previous, release = deployment.artifact, deployment.previous, deployment.release
    if artifact is None or previous is None:
        raise NoData("needs [deployment.artifact] and [deployment] previous")
    found = find(artifact, previous)
    if found.there:
        if (anything := find(artifact, NO_RELEASE)).there:
            raise CouldNotMeasure(
                "the command also finds a release that cannot exist: its yes means nothing",
                where=anything.source,
                remedy="make it exit with a status other than 0 if the artifact does not exist, or"
                " set `prints` to what it must print",
            )
        return found
    if not find(artifact, release).there:
        raise CouldNotMeasure(
            f"finds neither {previous} nor {release}, so that its answer means nothing:"
            f" {found.why}",
            where=found.source,
            remedy=_REMEDY,
        )
    return found


Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Step(BaseModel):
    """One step of a deployment."""

    model_config = ConfigDict(frozen=True)

    name: Words
    duration_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DeploymentReport(BaseModel):
    """What a deployment report must have; it may have more.

    Attributes:
        by: the person or program that deployed it.
        backup: the name of the backup made before.
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
        """The release that must serve if the report is correct."""
        return self.release if self.result == SUCCESS else self.previous

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()


def read_report(deployment: Deployment) -> tuple[str, DeploymentReport | None, list[str]]:
    """The path of the report, the report, and the mistakes in it.

    Raises:
        NoData: no path is declared.
        CouldNotMeasure: the file exists, and cannot be read.
    """
    if deployment.report is None:
        raise NoData("needs [deployment.report]")
    place = deployment.report.path
    return place, *_read(place)


def _read(place: str) -> tuple[DeploymentReport | None, list[str]]:
    if not Path(place).exists():
        return None, ["the file does not exist"]
    if wrong := parsed(place).mistakes:
        return None, list(wrong)
    try:
        report = DeploymentReport.model_validate_json(Path(place).read_bytes())
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=place) from None
    except ValidationError as problems:
        return None, [
            f"{'.'.join(map(str, problem['loc'])) or 'report'}: {clean(problem['msg'])}"
            for problem in problems.errors(include_input=False, include_url=False)
        ]
    return report, list(_wrong_times(report))


def _wrong_times(report: DeploymentReport) -> Iterator[str]:
    ended = report.finished_at
    if (ended - now()).total_seconds() > _CLOCKS_DIFFER_S:
        yield f"finished_at: {ended:%Y-%m-%d %H:%M:%S %Z} is in the future"
    if report.duration_s < 0:
        yield "finished_at is before started_at"
