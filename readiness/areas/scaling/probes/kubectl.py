"""Reads live objects with kubectl: of one named context, and never anything that is secret."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from readiness.areas.scaling.config import Cluster
from readiness.areas.scaling.kubernetes.inventory import Inventory, documents, read
from readiness.lib.command import Answer, ask
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.secrets import redact

# In the namespace of the workload; the version is named, for v1 hides the state of an autoscaler.
_NEEDED: Final = (
    "deployments.v1.apps",
    "statefulsets.v1.apps",
    "horizontalpodautoscalers.v2.autoscaling",
    "poddisruptionbudgets.v1.policy",
    "resourcequotas",
    "limitranges",
)
# There only where somebody installed them.
_OPTIONAL: Final = (
    "scaledobjects.keda.sh",
    "verticalpodautoscalers.autoscaling.k8s.io",
)
# Of the whole cluster: not everybody may see them.
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
_INSTALL: Final = "install kubectl, or name files in `manifests` instead of a cluster"


class Kubectl:
    """Asks one cluster.

    The configuration is copied with that one context in it: whatever is switched to while we
    look, and wherever the current context points, it is this cluster that is asked.

    Args:
        cluster: the context, and the namespace.
        folder: private, and removed at the end: the copy holds credentials.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._config = folder / "kubeconfig"
        self._cache = folder / "cache"

    def inventory(self) -> Inventory:
        """All that decides how workloads of the namespace scale.

        Raises:
            Unreachable: the cluster does not answer.
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
            # Of thousands of pods, the answer is too long; only what counts on nodes needs them.
            return found + Inventory((), {"nodes": error})

    def _copy_config(self) -> None:
        context = self._cluster.context
        verb = "read the configuration of kubectl"
        words = ["--raw", "--minify", "--flatten", f"--context={context}", "--output=json"]
        text = self._good(self._kubectl(verb, ["config", "view", *words]), verb).output
        try:
            names = [one["name"] for one in json.loads(text)["contexts"]]
        except (ValueError, TypeError, KeyError):
            raise NoData("kubectl config view prints no configuration", where="kubectl") from None
        if names != [context]:
            raise NoData(
                f"the configuration of kubectl has no context {context!r}",
                where="[scaling.NAME.cluster] context",
                remedy="kubectl config get-contexts",
            )
        self._config.touch(mode=0o600)
        self._config.write_text(text, encoding="utf-8")

    def _installed(self) -> list[str]:
        """The kinds that the cluster knows.

        Where one of its groups is down (that of the metrics, say) kubectl fails, and lists the
        others: that group is not asked for anything here.
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
            raise NoData("kubectl get printed objects without a uid: no live ones")
        return inventory

    def _ask(self, verb: str, words: Sequence[str]) -> Answer:
        """By the copy of the configuration."""
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
        """The answer, if it is one."""
        if answer.status == 0:
            return answer
        said = redact(answer.said)
        told = f"the command to {verb} ended with {answer.status}: {said}"
        where = f"kubectl, context {self._cluster.context}"
        if any(words in said.lower() for words in _NO_CONTEXT):
            raise NoData(told, where=where, remedy="kubectl config get-contexts")
        if any(word in said.lower() for word in _REFUSED):
            raise NotPermitted(told, where=where, remedy="give the role get and list on them")
        if any(word in said.lower() for word in _AWAY):
            raise Unreachable(told, where=where, remedy="is the cluster reachable from here?")
        raise CouldNotMeasure(told, where=where, remedy="run it by hand")
