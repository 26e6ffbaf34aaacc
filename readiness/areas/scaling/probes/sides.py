"""Reads the manifests and the live objects of one workload, from files or with kubectl."""

import glob
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from readiness.areas.scaling.config import Cluster, Scaling
from readiness.areas.scaling.kubernetes.inventory import Inventory, documents, read
from readiness.areas.scaling.kubernetes.view import View, view
from readiness.lib.command import Answer, ask
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.secrets import redact

# In the namespace of the workload; with the version, since v1 does not show the state.
_NEEDED: Final = (
    "deployments.v1.apps",
    "statefulsets.v1.apps",
    "horizontalpodautoscalers.v2.autoscaling",
    "poddisruptionbudgets.v1.policy",
    "resourcequotas",
    "limitranges",
)
# Custom resources, where they are installed.
_OPTIONAL: Final = (
    "scaledobjects.keda.sh",
    "rollouts.argoproj.io",
    "verticalpodautoscalers.autoscaling.k8s.io",
)
# Cluster-wide: many roles may not read them.
_CLUSTER: Final = "nodes,pods"
# What kubectl prints, the error that it means, and its remedy; the first one that matches.
_FAILURES: Final[Sequence[tuple[str, type[CouldNotMeasure], str]]] = (
    ("cannot locate context|no context exists", NoData, "kubectl config get-contexts"),
    (
        "forbidden|unauthorized|must be logged in",
        NotPermitted,
        "grant the role get and list on them",
    ),
    (
        "unable to connect|refused|no such host|i/o timeout|deadline exceeded|timed out",
        Unreachable,
        "check that the cluster is reachable: kubectl cluster-info",
    ),
)
_INSTALL: Final = "install kubectl, or set `manifests` instead of [scaling.NAME.cluster]"
_LARGEST: Final = 16 * 1024 * 1024
_MOST: Final = 1000
_HOUR_S: Final = 3600
MANIFESTS: Final = "manifests"
LIVE: Final = "live"


class Kubectl:
    """A client of one cluster, which never reads a Secret.

    The configuration is copied with that one context in it, so that switching the current context
    meanwhile changes nothing.

    Args:
        cluster: the context and the namespace.
        folder: private and removed at the end, since the copy holds credentials.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._config = folder / "kubeconfig"
        self._cache = folder / "cache"

    def inventory(self) -> Inventory:
        """Read everything that decides how workloads of the namespace scale.

        Raises:
            Unreachable: no answer from the cluster.
            NotPermitted: the credentials do not allow it.
            NoData: what it prints is not understood.
            CouldNotMeasure: kubectl is missing, hangs or fails.
        """
        self._copy_config()
        more = [name for name in _OPTIONAL if name in self._installed()]
        found = self._get(",".join([*_NEEDED, *more]), [f"--namespace={self._cluster.namespace}"])
        try:
            return found + self._get(_CLUSTER, ["--all-namespaces"])
        except CouldNotMeasure as error:
            # The answer may be too long with thousands of pods; only the room on nodes needs it.
            return found + Inventory((), {"nodes": error})

    def _copy_config(self) -> None:
        context = self._cluster.context
        verb = "read the configuration of kubectl"
        words = ["--raw", "--minify", "--flatten", f"--context={context}", "--output=json"]
        text = self._good(self._kubectl(verb, ["config", "view", *words]), verb).output
        try:
            names = [one["name"] for one in json.loads(text)["contexts"]]
        except (ValueError, TypeError, KeyError):
            raise NoData(
                "the output of kubectl config view is not a configuration", where="kubectl"
            ) from None
        if names != [context]:
            raise NoData(
                f"the configuration of kubectl has no context {context!r}",
                where="[scaling.NAME.cluster] context",
                remedy="kubectl config get-contexts",
            )
        self._config.touch(mode=0o600)
        self._config.write_text(text, encoding="utf-8")

    def _installed(self) -> list[str]:
        """The kinds that the cluster serves.

        If one API group is down (such as metrics), kubectl fails but lists the others, and that
        group is not needed here.
        """
        answer = self._ask("list the kinds of object", ["api-resources", "--output=name"])
        return (
            answer.output.split() or self._good(answer, "list the kinds of object").output.split()
        )

    def _get(self, kinds: str, where: Sequence[str]) -> Inventory:
        verb = f"read {kinds}"
        text = self._good(self._ask(verb, ["get", kinds, *where, "--output=json"]), verb).output
        found = documents(text, "kubectl get") if text.strip() else []
        inventory = read(found)
        if any(not one.metadata.uid for one in inventory.objects):
            raise NoData("kubectl get printed objects without a uid, which are not live")
        return inventory

    def _ask(self, verb: str, words: Sequence[str]) -> Answer:
        return self._kubectl(
            verb,
            [
                f"--kubeconfig={self._config}",
                f"--cache-dir={self._cache}",
                f"--context={self._cluster.context}",
                f"--request-timeout={self._cluster.timeout_s:g}s",
                *words,
            ],
        )

    def _kubectl(self, verb: str, words: Sequence[str]) -> Answer:
        return ask(["kubectl", *words], verb, _INSTALL, timeout_s=self._cluster.timeout_s)

    def _good(self, answer: Answer, verb: str) -> Answer:
        if answer.status == 0:
            return answer
        said = redact(answer.said)
        problem = f"the command to {verb} ended with {answer.status}: {said}"
        where = f"kubectl, context {self._cluster.context}"
        for pattern, error, remedy in _FAILURES:
            if re.search(pattern, said, re.IGNORECASE):
                raise error(problem, where=where, remedy=remedy)
        raise CouldNotMeasure(problem, where=where, remedy="run it by hand")


@dataclass(frozen=True, slots=True)
class Written:
    """The objects in files: those to apply, and live ones, which have a `uid`."""

    declared: Inventory
    live: Inventory


def written(patterns: list[str], live_max_age_h: float) -> Written:
    """Read all objects of all files that the patterns match; `**` matches folders.

    Raises:
        NoData: a pattern matches no file, or a file is not understood.
        CouldNotMeasure: a file cannot be read, is too large, or too old.
    """
    found = []
    for path in _files(patterns):
        inside = documents(_text(path), str(path))
        if any(_is_live(document.body) for document in inside):
            _refuse_old(path, live_max_age_h)
        found += inside
    objects = read(found)
    return Written(objects.where(live=False), objects.where(live=True))


def _files(patterns: list[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in patterns:
        # Path.glob accepts no absolute pattern.
        names = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        paths = [path for path in map(Path, names) if path.is_file()]
        if not paths:
            raise NoData("the pattern matches no file", where=pattern, remedy="correct `manifests`")
        found |= dict.fromkeys(paths)
    if len(found) > _MOST:
        raise CouldNotMeasure(
            f"{len(found)} files match, and at most {_MOST} are read",
            where=", ".join(patterns),
            remedy="narrow `manifests` to the files of the workload",
        )
    return list(found)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CouldNotMeasure("the file is larger than 16 MiB", where=str(path))
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CouldNotMeasure("the file is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        reason = clean(error.strerror or type(error).__name__)
        raise CouldNotMeasure(f"the file cannot be read: {reason}", where=str(path)) from None


def _is_live(body: object) -> bool:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("uid"))


def _refuse_old(path: Path, most_h: float) -> None:
    hours = (time.time() - path.stat().st_mtime) / _HOUR_S
    if hours > most_h:
        raise CouldNotMeasure(
            f"live objects are {hours:.0f} h old; limit {most_h:g} h (`live_max_age_h`)",
            where=str(path),
            remedy="write it again: kubectl get ... -o json > FILE; or add [scaling.NAME.cluster]",
        )


@dataclass(frozen=True, slots=True)
class Sides:
    """A workload as its manifests declare it, and as it runs; None if unknown."""

    declared: View | None
    live: View | None

    @property
    def known(self) -> list[View]:
        """The known ones, at least one."""
        return [view for view in (self.declared, self.live) if view is not None]


def sides(scaling: Scaling, live: Inventory | None) -> Sides:
    """Both sides of a workload; `live` are the objects of the cluster if one is declared.

    Raises:
        NoData: neither side has the workload, or one is not understood.
        CouldNotMeasure: a file cannot be read, or is too old.
    """
    namespace = scaling.cluster.namespace if scaling.cluster else scaling.namespace or ""
    files = written(scaling.manifests, scaling.live_max_age_h) if scaling.manifests else _NONE
    there = files.live if live is None else live
    found = _joined(
        view(files.declared, MANIFESTS, scaling.workload, namespace),
        view(there, LIVE, scaling.workload, namespace),
    )
    missing = found.live is None and live is not None
    if missing or not found.known:
        raise NoData(
            f"{scaling.workload} was not found in {_places(scaling)}",
            where=f"[scaling.{scaling.name}] workload",
            remedy="correct the name; kubectl get deployments,statefulsets -A lists them",
        )
    return found


def _joined(declared: View | None, live: View | None) -> Sides:
    """Manifests get the LimitRange of the live namespace, and that gets their Services."""
    if declared and live:
        declared = replace(declared, ranges=declared.ranges or live.ranges)
        live = replace(live, services=live.services or declared.services)
    return Sides(declared, live)


def _places(scaling: Scaling) -> str:
    if scaling.cluster:
        return f"namespace {scaling.cluster.namespace} of {scaling.cluster.context}"
    of = f"namespace {scaling.namespace} of " if scaling.namespace else ""
    return of + ", ".join(scaling.manifests)


_NONE: Final = Written(Inventory(()), Inventory(()))
