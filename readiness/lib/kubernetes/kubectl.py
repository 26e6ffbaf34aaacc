"""Reads live objects with kubectl; changes nothing, and never reads the value of a Secret."""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import Field

from readiness.config.base import Model, Positive, Text
from readiness.lib.command import Answer, ask
from readiness.lib.guardian import Guardian
from readiness.lib.kubernetes.inventory import Document, documents
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong, Unreachable
from readiness.model.secrets import redact

# The first command that is run, as one types it.
_TRY: Final = "kubectl --context {} api-resources"
# What kubectl prints, the error that it means, and its remedy; the first one that matches.
_FAILURES: Final[Sequence[tuple[str, type[CouldNotMeasure], str]]] = (
    ("cannot locate|no context exists", NoData, "kubectl config get-contexts"),
    (
        "unauthorized|must be logged in|getting credentials|(credential|exec|auth) plugin",
        NotPermitted,
        f"log in again, until this works: {_TRY}",
    ),
    ("forbidden", NotPermitted, "grant the role get and list on them"),
    (
        "unable to connect|refused|no such host|i/o timeout|deadline exceeded|timed out",
        Unreachable,
        f"check that the cluster is reachable: {_TRY}",
    ),
)


# A line for each Secret, and one for each of its keys with the length of the value.
_KEYS: Final = (
    '{{range .items}}{{$name := .metadata.name}}{{$name}}{{"\\n"}}'
    '{{range $key, $value := .data}}{{$name}}{{"\\t"}}{{$key}}{{"\\t"}}{{len $value}}{{"\\n"}}'
    "{{end}}{{end}}"
)
_KEY_WORDS: Final = 3
_MOST_MIB: Final = 64  # a pod of four containers is 16 KiB, as kubectl prints it
# With the version where an older one shows less.
DECLARED_KINDS: Final = (
    "deployments.v1.apps",
    "statefulsets.v1.apps",
    "daemonsets.v1.apps",
    "cronjobs.v1.batch",
    "jobs.v1.batch",
    "services",
    "ingresses.v1.networking.k8s.io",
    "networkpolicies.v1.networking.k8s.io",
    "horizontalpodautoscalers.v2.autoscaling",
    "configmaps",
    "limitranges",
)
"""What teams declare in manifests, and judge there, as kubectl names it."""
INSTALLED_KINDS: Final = (
    "scaledobjects.keda.sh",
    "rollouts.argoproj.io",
    "verticalpodautoscalers.autoscaling.k8s.io",
)
"""Custom resources that decide how workloads scale, where they are installed."""


class Cluster(Model):
    """The cluster whose live objects are read with kubectl; nothing is changed."""

    context: Text = Field(
        ..., description="the context of kubectl; the current context is never used"
    )
    namespace: Text = Field(..., description="the namespace of the workload")
    timeout_s: Positive = Field(30, description="seconds; the longest that one command may take")


@contextmanager
def private() -> Iterator[Path]:
    """A folder for the copy of credentials; it is removed at the end, even if we are killed."""
    with tempfile.TemporaryDirectory(prefix="readiness-") as folder, Guardian() as guardian:
        guardian.remove(Path(folder))
        yield Path(folder)


class Kubectl:
    """A client of one cluster.

    The configuration is copied with that one context in it, so that switching the current context
    meanwhile changes nothing.

    Args:
        cluster: the context and the namespace.
        folder: private and removed at the end, since the copy holds credentials.
        table: where the cluster is named, for messages, as `[scaling.NAME.cluster]`.
    """

    def __init__(self, cluster: Cluster, folder: Path, table: str) -> None:
        self._cluster = cluster
        self._config = folder / "kubeconfig"
        self._cache = folder / "cache"
        self._table = table
        self._where = f"kubectl, context {cluster.context}"

    def copy_config(self) -> None:
        """Copy the configuration of the context; everything else needs it.

        Raises:
            NoData: there is no such context.
            CouldNotMeasure: kubectl is missing, hangs or fails.
        """
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
                where=self._table,
                remedy="kubectl config get-contexts",
            )
        self._config.touch(mode=0o600)
        self._config.write_text(text, encoding="utf-8")

    def installed(self) -> list[str]:
        """The kinds that the cluster serves.

        If one API group is down (such as metrics), kubectl fails but lists the others, and that
        group is not needed here.
        """
        answer = self._ask("list the kinds of object", ["api-resources", "--output=name"])
        return (
            answer.output.split() or self._good(answer, "list the kinds of object").output.split()
        )

    def get(
        self, kinds: Sequence[str], *, everywhere: bool = False, managers: bool = False
    ) -> list[Document]:
        """The objects of some kinds, in the namespace or in all of them.

        Args:
            kinds: as kubectl names them.
            everywhere: whether of all namespaces.
            managers: whether with `managedFields`, which show who applied what.

        Raises:
            Unreachable: no answer from the cluster.
            NotPermitted: the credentials do not allow it.
            NoData: what it prints is not understood.
            CouldNotMeasure: kubectl is missing, hangs or fails.
        """
        names = ",".join(kinds)
        verb = f"read {names}"
        where = "--all-namespaces" if everywhere else f"--namespace={self._cluster.namespace}"
        words = ["get", names, where, "--output=json"]
        words += ["--show-managed-fields"] if managers else []
        text = self._good(self._ask(verb, words), verb).output
        found = documents(text, "kubectl get") if text.strip() else []
        if any(not one.is_live for one in found):
            raise NoData("kubectl get printed objects without a uid, which are not live")
        return found

    def get_each(
        self, kinds: Sequence[str], *, everywhere: bool = False
    ) -> tuple[list[Document], dict[str, CouldNotMeasure]]:
        """As `get`, and the kinds that cannot be read, which do not hide the others.

        Raises:
            Unreachable: no answer from the cluster.
            TookTooLong: no answer in time.
        """
        found: list[Document] = []
        unseen: dict[str, CouldNotMeasure] = {}
        try:
            return self.get(kinds, everywhere=everywhere), {}
        except (Unreachable, TookTooLong):
            raise  # the other kinds would take as long
        except CouldNotMeasure as error:
            if len(kinds) == 1:
                return [], {kinds[0]: error}
        for kind in kinds:
            more, refused = self.get_each([kind], everywhere=everywhere)
            found += more
            unseen |= refused
        return found, unseen

    def secret_keys(self) -> dict[str, dict[str, int]]:
        """The Secrets of the namespace: for each key the length of its value, in base64.

        kubectl prints no value: a template selects what leaves it.

        Raises:
            CouldNotMeasure: and its kinds, as `get`.
        """
        verb = "list the keys of secrets"
        words = ["get", "secrets", f"--namespace={self._cluster.namespace}"]
        answer = self._good(self._ask(verb, [*words, f"--output=go-template={_KEYS}"]), verb)
        found: dict[str, dict[str, int]] = {}
        for line in answer.output.splitlines():
            words = line.split("\t")
            keys = found.setdefault(words[0], {})
            if len(words) == _KEY_WORDS and words[2].isdigit():
                keys[words[1]] = int(words[2])
        return found

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
        install = f"install kubectl, or set `manifests` instead of {self._table}"
        timeout_s = self._cluster.timeout_s
        try:
            return ask(["kubectl", *words], verb, install, timeout_s=timeout_s, most_mib=_MOST_MIB)
        except TookTooLong as error:
            remedy = f"raise `timeout_s` of {self._table}, if this answers: {_TRY}"
            raise TookTooLong(
                error.message, where=self._where, remedy=remedy.format(self._cluster.context)
            ) from None

    def _good(self, answer: Answer, verb: str) -> Answer:
        if answer.status == 0:
            return answer
        said = redact(answer.said)
        problem = f"the command to {verb} ended with {answer.status}: {said}"
        for pattern, error, remedy in _FAILURES:
            if re.search(pattern, said, re.IGNORECASE):
                advice = remedy.format(self._cluster.context)
                raise error(problem, where=self._where, remedy=advice)
        raise CouldNotMeasure(problem, where=self._where, remedy="run it by hand")
