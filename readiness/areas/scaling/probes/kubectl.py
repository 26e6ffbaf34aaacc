"""Reads live objects with kubectl, from one named context, and never a Secret."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from readiness.areas.scaling.config import Cluster
from readiness.areas.scaling.kubernetes.inventory import Inventory, documents, read
from readiness.lib.command import Answer, ask
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.secrets import redact

# In the namespace of the workload; with the version, since v1 hides an autoscaler's state.
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
    "verticalpodautoscalers.autoscaling.k8s.io",
)
# Cluster-wide: many roles may not read them.
_CLUSTER: Final = "nodes,pods"
_REFUSED: Final = ("forbidden", "unauthorized", "must be logged in")
_AWAY: Final = (
    "unable to connect",
    "refused",
    "no such host",
    "i/o timeout",
    "deadline exceeded",
    "timed out",
)
_NO_CONTEXT: Final = ("cannot locate context", "no context exists")
_INSTALL: Final = "install kubectl, or set `manifests` instead of [scaling.NAME.cluster]"


class Kubectl:
    """A client of one cluster.

    The configuration is copied with that one context in it, so that switching the current context
    meanwhile changes nothing.

    Args:
        cluster: the context, and the namespace.
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
            # The answer of thousands of pods may be too long; only the room on nodes needs it.
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

        Where one API group is down (such as metrics) kubectl fails but lists the others, and
        that group is not needed here.
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
        told = f"the command to {verb} ended with {answer.status}: {said}"
        where = f"kubectl, context {self._cluster.context}"
        if any(words in said.lower() for words in _NO_CONTEXT):
            raise NoData(told, where=where, remedy="kubectl config get-contexts")
        if any(word in said.lower() for word in _REFUSED):
            raise NotPermitted(told, where=where, remedy="grant the role get and list on them")
        if any(word in said.lower() for word in _AWAY):
            raise Unreachable(
                told,
                where=where,
                remedy="check that the cluster is reachable: kubectl cluster-info",
            )
        raise CouldNotMeasure(told, where=where, remedy="run it by hand")
