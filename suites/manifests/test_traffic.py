"""Whether requests reach the pods that they are for, encrypted and limited, and no other pods."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_most, check
from readiness.areas.manifests import traffic
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.judging import judge_missing, judge_none
from readiness.areas.manifests.workloads import Side
from readiness.lib.kubernetes.objects import Ingress, Service
from readiness.model.evidence import NotApplicable

KubernetesOf = Callable[[Manifests], list[Side]]


@check(
    "manifests.services",
    title="Each Service selects the pods that it is for, on a port where they listen",
    failure_title="A Service sends requests to no pod, to a wrong port or to a stranger",
    each="manifests",
    needs="on_kubernetes",
    severity="blocker",
    why="""A label that was renamed in one place leaves a Service without pods, and every request to
    it fails. A label that a worker or a migration shares sends it requests that it cannot answer:
    one of several fails, and nobody finds out why.""",
    fix="""See what it selects, and where that listens:
      kubectl get endpointslices -l kubernetes.io/service-name=NAME -o wide
    selects: the labels of the pod template, in spec.selector of the Service
    port: the name or the number of a container's port, in targetPort
    only: a label of its own for each workload, in the selector, too:
      app.kubernetes.io/component: web""",
    judgements=("selects", "port", "only"),
)
def test_services(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """By labels, names and numbers, in each namespace."""
    judged = 0
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            side.running()
            count = len(side.of(Service))
            judged += count
            for key, what, found in (
                ("selects", "Services without pods", traffic.idle(side)),
                ("port", "ports on which no pod listens", traffic.unheard(side)),
                (
                    "only",
                    "workloads that are selected by mistake",
                    traffic.strangers(side),
                ),
            ):
                judge_missing(evidence, key, what, found, side, count)
    if not judged and not evidence.lost:
        raise NotApplicable("there is no Service")


@check(
    "manifests.ingress",
    title="Each Ingress encrypts every host, reaches a Service, and limits what it accepts",
    failure_title="An Ingress serves a host in plain text, reaches nothing or accepts too much",
    each="manifests",
    needs="on_kubernetes",
    why="""An empty `tls`, or one without this host, serves it without encryption. The burst of five
    times the rate, which nobody wrote, lets a client send six times as many requests as agreed; a
    body of any size fills the disk of the controller.""",
    fix="""tls: each host of `rules` in `hosts` of `tls`, with its Secret
      tls: [{hosts: [shop.example.com], secretName: shop-tls}]
    redirect: remove the annotation ssl-redirect: "false"
    backend: the name and the port of a Service of the same namespace
      kubectl get services -n NAMESPACE
    rate, body: annotations of ingress-nginx, as `requests_per_min` and `max_body_bytes` have it
      nginx.ingress.kubernetes.io/limit-rpm: "100"
      nginx.ingress.kubernetes.io/limit-burst-multiplier: "1"
      nginx.ingress.kubernetes.io/proxy-body-size: 10m""",
    judgements=("tls", "redirect", "backend", "rate", "body"),
)
def test_ingress(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """What the annotations have as effect; of several replicas of a controller, each counts."""
    judged = 0
    for side in kubernetes_of(manifests):
        ingresses = side.of(Ingress)
        judged += len(ingresses)
        if not ingresses:
            continue
        count = len(ingresses)
        for key, what, found in (
            ("tls", "hosts without a certificate", traffic.without_tls(side)),
            ("redirect", "Ingresses that also serve plain HTTP", traffic.unredirected(side)),
        ):
            judge_none(evidence, key, what, found, side.name, count)
        with evidence.attempt():
            what, found = "backends that do not exist", traffic.backendless(side)
            judge_missing(evidence, "backend", what, found, side, count)
        for one in ingresses:
            with evidence.attempt():
                _judge_limits(manifests, one, side, evidence)
    if not judged:
        for side in kubernetes_of(manifests):
            side.sure()
        raise NotApplicable("there is no Ingress")


def _judge_limits(manifests: Manifests, one: Ingress, side: Side, evidence: Evidence) -> None:
    if not (manifests.requests_per_min or manifests.max_body_bytes):
        return
    found = traffic.limits(one)
    if manifests.requests_per_min:
        what = "requests of one client in the first minute"
        evidence.judge(
            "rate",
            Measurement(what, found.first_minute, "count", side.name),
            at_most(manifests.requests_per_min, manifests.deciding("requests_per_min")),
            found.why,
            says=f"{side.name}: {found.name} accepts {_said(found.first_minute)} requests of one"
            " client in the first minute, for each replica of the controller",
        )
    if manifests.max_body_bytes:
        evidence.judge(
            "body",
            Measurement("largest body", found.body, "bytes", side.name),
            at_most(manifests.max_body_bytes, manifests.deciding("max_body_bytes")),
            says=f"{side.name}: {found.name} accepts bodies of {_said(found.body)} bytes",
        )


def _said(figure: float) -> str:
    return "any number of" if figure == float("inf") else f"{figure:,.0f}"


@check(
    "manifests.network",
    title="A network policy decides what reaches each pod",
    failure_title="Every pod of the cluster reaches a workload",
    each="manifests",
    needs="on_kubernetes",
    why="""Without a policy that selects it, a pod accepts connections from every other pod of the
    cluster: whoever breaks into any of them reaches all.""",
    fix="""Deny all traffic in the namespace, and allow what each workload needs:
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      metadata: {name: default-deny}
      spec: {podSelector: {}, policyTypes: [Ingress]}
    isolated: the network plugin must enforce policies: kubectl get pods -n kube-system
    open: name the peers or the ports: an empty rule, `ingress: [{}]`, lets everything in""",
    judgements=("isolated", "open"),
)
def test_network(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """By the selectors of policies of the direction Ingress, which is the default."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            count = len(side.running())
            found = traffic.unisolated(side)
            what = "workloads that no policy isolates"
            judge_missing(evidence, "isolated", what, found, side, count)
            what = "workloads whose policy lets everything in"
            judge_none(evidence, "open", what, traffic.wide_open(side), side.name, count)
