"""Finds manifests, compose files and Dockerfiles in a folder."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from readiness.config.base.discovery import Finding, Gap, Line, Script, Sources
from readiness.lib.compose_file import NAMES
from readiness.lib.kubernetes.discovery import (
    CLUSTER_WIDE,
    EVERYTHING,
    ORIGIN,
    cluster,
    kinds_read,
)
from readiness.lib.kubernetes.files import manifests_below
from readiness.model.errors import CouldNotMeasure, NotPermitted
from readiness.model.figures import counted

_TABLE: Final = ("manifests",)
_ROLE: Final = "readiness-role.yaml"
# As kubectl names a kind to be read: `ingresses.v1.networking.k8s.io`.
_KIND: Final = re.compile(r"(?P<resource>[^.]+)(\.v\d\w*)?\.?(?P<group>.*)")
_USER: Final = re.compile(r'User "([^"]+)" cannot')


def declared(sources: Sources) -> Iterator[Finding]:
    """The files that declare what runs."""
    if compose := sources.first(*NAMES):
        yield Line(_TABLE, "compose", compose, "in this folder")
    if dockerfiles := sources.files("Dockerfile", "*/Dockerfile", "docker/Dockerfile*"):
        yield Line(_TABLE, "dockerfiles", dockerfiles, "in this folder")
    files = [one for one in sources.files("**/*.yaml", "**/*.yml") if one != _ROLE]
    found = manifests_below(sources.folder, files)
    if found.patterns:
        yield Line(_TABLE, "kubernetes", found.patterns, f"{found.objects} Kubernetes objects")
    for path in found.rendered_first:
        todo = "helm template, or kustomize build, into a file that `kubernetes` names"
        yield Gap(f"what {path} is rendered to", todo)


def live(sources: Sources) -> Iterator[Finding]:
    """The live objects of `--namespace`, and what the account may not read of them."""
    if not sources.context:
        return
    found = cluster(sources)
    if found.objects or found.broken:
        place = {"context": sources.context, "namespace": sources.namespace}
        number = len(found.objects) + len(found.broken)
        yield Line(_TABLE, "cluster", place, f"{ORIGIN}: {counted(number, 'object')}")
    elif not found.unseen:
        todo = f"correct it: kubectl --context {sources.context} get namespaces"
        yield Gap(f"an object in the namespace {sources.namespace}", todo)
    denied = [kind for kind, error in found.unseen.items() if _is_denied(kind, error)]
    for kind, error in found.unseen.items():
        if kind not in denied:
            yield Gap(error.cause.what, error.remedy)
    if denied:
        user = _USER.search(str(found.unseen[denied[0]]))
        text = _role(sources.namespace, denied, kinds_read(sources), user[1] if user else "USER")
        yield Script(_ROLE, text, "what the checks read; an administrator applies it")
        yield Gap(
            f"what may not be read: {', '.join(denied)}",
            f"kubectl --context ADMIN apply -f {_ROLE}, then readiness init again",
        )


def _is_denied(kind: str, error: CouldNotMeasure) -> bool:
    """Whether a role can allow it; credentials that are not valid are of no role."""
    return kind != EVERYTHING and isinstance(error, NotPermitted)


def _role(namespace: str, denied: Collection[str], kinds: Iterable[str], user: str) -> str:
    """The RBAC objects by which the account may list the kinds.

    A role has all kinds, and a name of its own: applied again, it takes nothing away.
    """
    grants = []
    if set(denied) - set(CLUSTER_WIDE):
        grants.append(_grant("Role", kinds, user, f"  namespace: {namespace}\n"))
    if set(denied) & set(CLUSTER_WIDE):
        grants.append(_grant("ClusterRole", CLUSTER_WIDE, user))
    return "---\n".join(grants)


def _grant(role: str, kinds: Iterable[str], user: str, namespace: str = "") -> str:
    name = f"readiness:{re.sub('[/%]', '-', user)}"  # neither may be in a name
    return f"""\
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}
metadata:
  name: "{name}"
{namespace}rules:
{"".join(map(_rule, kinds))}---
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}Binding
metadata:
  name: "{name}"
{namespace}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: "{name}"}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: "{user}"}}
"""


def _rule(kind: str) -> str:
    found = _KIND.fullmatch(kind)
    resource, group = (found["resource"], found["group"]) if found else (kind, "")
    return f'- {{apiGroups: ["{group}"], resources: [{resource}], verbs: [get, list]}}\n'
