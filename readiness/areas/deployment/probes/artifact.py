"""Asks whether the release before can still be had, and whether the answer can be believed."""

import re
import shlex
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.config_before import RELEASE, Artifact
from readiness.lib.command import ask
from readiness.model.errors import CouldNotMeasure, NoData

NOBODYS: Final = "0.0.0-readiness-no-such-release"
"""A release that cannot be: whoever finds it would find anything."""
_REMEDY: Final = "see [deployment.artifact] command"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of asking for one release.

    Attributes:
        there: whether its artifact is there.
        why: what the command said, or that its output tells of another one.
        source: the command.
    """

    there: bool
    why: str
    source: str


def find(artifact: Artifact, release: str) -> Found:
    """Ask for one release.

    Raises:
        CouldNotMeasure: the command cannot be started, or hangs.
    """
    command = [word.replace(RELEASE, release) for word in artifact.command]
    answer = ask(command, f"find the artifact of {release}", _REMEDY)
    source = shlex.join(command)
    if answer.status != 0:
        return Found(False, f"status {answer.status}: {answer.said}", source)
    if artifact.prints:
        pattern = artifact.prints.replace(RELEASE, re.escape(release))
        if not re.search(pattern, answer.output, re.MULTILINE):
            return Found(False, "what it printed does not match `prints`", source)
    return Found(True, "", source)


def find_believed(deployment: Deployment) -> Found:
    """Ask for the release before, and see that the command can say yes and no.

    Raises:
        NoData: nobody says how to ask, or for which release.
        CouldNotMeasure: it finds a release that cannot be, or does not find the one that is
            judged either: then it says nothing.
    """
    artifact, previous, release = deployment.artifact, deployment.previous, deployment.release
    if artifact is None or previous is None:
        raise NoData("needs [deployment.artifact] and [deployment] previous")
    found = find(artifact, previous)
    if found.there:
        if (nobody := find(artifact, NOBODYS)).there:
            raise CouldNotMeasure(
                "the command also finds a release that cannot be: its yes means nothing",
                where=nobody.source,
                remedy="let it end with another status than 0 where the artifact is not there, or"
                " write what it must print into `prints`",
            )
        return found
    if not find(artifact, release).there:
        raise CouldNotMeasure(
            f"neither {previous} nor {release} is found: is it asked in the right place?"
            f" {found.why}",
            where=found.source,
            remedy=_REMEDY,
        )
    return found
