"""Which release serves: asked over new connections, until every replica has answered."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.config_before import Worker
from readiness.lib.command import run
from readiness.lib.http import JSON, Answer, Session
from readiness.lib.text import clean
from readiness.model.errors import NoData

_EACH: Final = 3
# Whoever sends requests on at random misses one of three in 90 answers once in 10^15.
_PATIENCE: Final = 30
_OK: Final = 200
_LARGEST: Final = 64 * 1024
# Asked is who serves, and not how quickly: that is what the drills measure.
_SLOWEST_S: Final = 10.0


@dataclass(slots=True)
class Served:
    """What was answered.

    Attributes:
        asked: how many requests were sent, each over a connection of its own.
        versions: how many answers told each release.
        replicas: which replicas answered, and how often; empty where nobody tells.
        silent: answers that told no release, in words.
    """

    asked: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    replicas: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)


def served(deployment: Deployment) -> Served:
    """Ask three times as often as there are replicas, and on until all of them have answered.

    Raises:
        CouldNotMeasure: and its kinds: a request got no answer.
    """
    found = Served()
    header = (deployment.replica_header or "").lower()
    least, most = _EACH * deployment.replicas, _PATIENCE * deployment.replicas
    while found.asked < least or (
        header and len(found.replicas) < deployment.replicas and found.asked < most
    ):
        answer = ask(deployment)
        found.asked += 1
        if version := version_in(answer, deployment.version_key):
            found.versions[version] += 1
        else:
            found.silent.append(str(answer))
        if header and (replica := answer.headers.get(header)):
            found.replicas[replica] += 1
    return found


def ask(deployment: Deployment) -> Answer:
    """Ask once, over a new connection.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.http.Session.request`.
    """
    timeout_s = max(deployment.timeout_s, _SLOWEST_S)
    with Session(
        timeout_s=timeout_s, bearer=deployment.bearer, verify=deployment.verify_tls
    ) as session:
        return session.get(deployment.url, accept=JSON, max_bytes=_LARGEST)


def release_now(deployment: Deployment) -> str:
    """The release that answers, by one request.

    Raises:
        NoData: the answer tells none.
        CouldNotMeasure: and its kinds: there was no answer.
    """
    answer = ask(deployment)
    if version := version_in(answer, deployment.version_key):
        return version
    raise NoData(
        f"the answer tells no release: status {answer.status}",
        where=deployment.url,
        remedy=f"answer 200, with a JSON object that has {deployment.version_key!r}",
    )


def version_in(answer: Answer, key: str) -> str:
    """The release that an answer tells; empty if it tells none."""
    if answer.status != _OK:
        return ""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    version = told.get(key) if isinstance(told, dict) else None
    return clean(version) if isinstance(version, str) else ""


def releases_of(worker: Worker) -> list[str]:
    """The releases that a kind of worker runs, one for each process.

    Raises:
        NoData: the command printed nothing.
        CouldNotMeasure: it failed, hangs, or cannot be started.
    """
    place = f"[deployment.workers.{worker.name}] command"
    printed = run(worker.command, "ask which release runs", f"see {place}")
    found = [clean(line) for line in printed.splitlines() if line.strip()]
    if not found:
        raise NoData(
            "it printed no release: does any of them run?",
            where=place,
            remedy="print a line for each process that runs",
        )
    return found
