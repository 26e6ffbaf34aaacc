"""Whether the API server accepts the manifests, and whether their pods are safe to run."""

from collections.abc import Callable

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.kubernetes.accepted import changed, refused, shared, unknown
from readiness.areas.scaling.kubernetes.view import View
from readiness.areas.scaling.probes.sides import Sides
from readiness.lib.kubernetes import pods
from readiness.lib.text import listed, worst
from readiness.model.errors import NoData

SidesOf = Callable[[Scaling], Sides]


@check(
    "scaling.manifests",
    title="The API server accepts the manifests, and applies every field of them",
    failure_title="The API server refuses a manifest, or a field of it has no effect",
    each="scaling",
    needs="on_paper",
    severity="blocker",
    why="""A manifest that the API server refuses stops the release halfway: some objects are new,
    and some are old. A misspelled field is refused by newer clients and silently dropped by older
    ones, so that the probe or the limit that everybody reads in the file does not exist.""",
    fix="""Ask the API server, which changes nothing:
      kubectl apply --dry-run=server --validate=strict -f FILE
    accepted, known-fields: correct the field that the message names
      kubectl explain deployment.spec.template.spec.containers --recursive
    immutable: spec.selector and the claims of a StatefulSet cannot change: keep the old value, or
      kubectl delete deployment NAME --cascade=orphan
    selectors: give each workload a label of its own, in spec.selector and in the pod template:
      app.kubernetes.io/component: worker""",
    judgements=("accepted", "known-fields", "immutable", "selectors"),
)
def test_manifests(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """By the validation rules and the field names of Kubernetes, without a cluster."""
    sides = sides_of(scaling)
    if sides.declared:
        _judge_declared(sides.declared, evidence)
    if sides.declared and sides.live:
        found = changed(sides.declared, sides.live)
        _judge(evidence, "immutable", "changes of immutable fields", found, sides.declared.side)
    for view in sides.known:
        found = shared(view)
        what = "workloads whose pods match the same selector"
        _judge(evidence, "selectors", what, found, view.side)


def _judge_declared(view: View, evidence: Evidence) -> None:
    if not view.documents and not view.broken:
        raise NoData("no manifest of the workload is known", where=view.side)
    _judge(evidence, "accepted", "fields that the API server refuses", refused(view), view.side)
    _judge(evidence, "known-fields", "unknown fields", unknown(view), view.side)


def _judge(evidence: Evidence, key: str, what: str, found: list[str], side: str) -> None:
    evidence.judge(
        key,
        Measurement(what, len(found), "count", side),
        equal_to(0),
        worst(found),
        says=f"{side}: {len(found) or 'no'} {what}",
    )


@check(
    "scaling.pod-template",
    title="Pods run a pinned image, without access to their node and without secrets in plain text",
    failure_title="Pods run a moving image tag, reach into their node or show a secret",
    each="scaling",
    needs="on_paper",
    why="""With `:latest` two pods of one Deployment may run different releases, and a rollback
    pulls the broken one again. A privileged container, or one that sees the socket of the container
    runtime, is root on the node; a password in the manifest is read by everybody who may read
    the repository or the Deployment.""",
    fix="""image-tag: name a version or a digest:
      image: registry.example.com/shop:1.5.0
    privileged: leave this in, and of `capabilities` only what is needed:
      securityContext: {privileged: false, runAsNonRoot: true}
    host-path: a volume of the cluster (persistentVolumeClaim, emptyDir) instead of hostPath
    secret: a new password, as the old one is known, from a Secret:
      env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: shop, key: password}}}]""",
    judgements=("image-tag", "privileged", "host-path", "secret"),
)
def test_pod_template(scaling: Scaling, sides_of: SidesOf, evidence: Evidence) -> None:
    """Only what is written; defaults of the image, such as its user, are not known here."""
    for view in sides_of(scaling).known:
        spec = view.workload.spec.template.spec
        for key, what, found in (
            ("image-tag", "images without a fixed version", pods.moving_images(spec)),
            ("privileged", "privileged containers", pods.privileged(spec)),
            ("host-path", "volumes that control the node", pods.node_volumes(spec)),
            ("secret", "secrets in plain text", pods.plain_secrets(spec)),
        ):
            evidence.judge(
                key,
                Measurement(what, len(found), "count", view.side),
                equal_to(0),
                listed(found),
                says=f"{view.side}: {len(found) or 'no'} {what}",
            )
        root = pods.as_root(spec)
        evidence.judge(
            "privileged",
            Measurement("containers as root", len(root), "count", view.side),
            equal_to(0),
            "set runAsNonRoot: true, or another runAsUser",
            says=f"{view.side}: {len(root)} containers run as root: {listed(root)}",
            warn_only=True,
        )
