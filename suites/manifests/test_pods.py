"""Whether Kubernetes objects are valid, and their pods safe to run, with all defaults resolved."""

from collections.abc import Callable

from readiness import Evidence, Measurement, at_least, check
from readiness.areas.manifests import health, pods
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.judging import judge_missing, judge_none, named
from readiness.areas.manifests.pods import custom, judged, refused, unknown, unserved
from readiness.areas.manifests.workloads import Side
from readiness.lib.kubernetes.definitions import newest, of_release
from readiness.lib.kubernetes.resources import CPU, MEMORY
from readiness.model.evidence import NotApplicable

KubernetesOf = Callable[[Manifests], list[Side]]


@check(
    "manifests.valid",
    title="Every manifest can be read, and the API server applies every field of it",
    failure_title="The API server refuses a manifest, or a field of it has no effect",
    each="manifests",
    needs="on_kubernetes",
    severity="blocker",
    why="""A manifest that the API server refuses stops the release halfway: some objects are new,
    and some are old. A misspelled field is refused by newer clients and silently dropped by older
    ones, so that the limit or the policy that everybody reads in the file does not exist.""",
    fix="""Ask the API server, which changes nothing:
      kubectl apply --dry-run=server --validate=strict -f FILE
    accepted, known-fields: correct the field that the message names
      kubectl explain ingress.spec --recursive
    served: write the version that the cluster serves
      kubectl api-resources;  kubectl convert -f FILE --output-version GROUP/VERSION
    A file that is not read: name what is applied, the output of helm template or kustomize build,
    in `kubernetes` of [manifests]""",
    judgements=("accepted", "known-fields", "served"),
)
def test_valid(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """By the fields and the validation rules of Kubernetes; live objects were accepted already."""
    release = manifests.kubernetes_version
    fields = of_release(release) if release else newest()
    for side in kubernetes_of(manifests):
        for error in side.lost:
            with evidence.attempt():
                raise error
        known = judged(side, fields)
        count = len(known)
        if known:
            source = f"{side.name}, {fields.source}"
            for key, what, found in (
                ("accepted", "fields that the API server refuses", refused(side, known, fields)),
                ("known-fields", "unknown fields", unknown(known, fields)),
                ("served", "objects of a kind that is not served", unserved(known, fields)),
            ):
                judge_none(evidence, key, what, found, source, count)
        others = custom(side, fields)
        if others:
            evidence.record(
                Measurement("custom kinds, not judged", named(others), "text", side.name)
            )
        evidence.record(Measurement("workloads", len(side.workloads), "count", side.name))
        without = [one for one in side.workloads if one.source and not one.is_covered]
        what = "workloads without [scaling.NAME]: replica counts not judged"
        evidence.record(Measurement(what, named(without), "text", side.name))
    if not evidence.lost and not any(one.limit for one in evidence.measurements):
        raise NotApplicable(
            "live objects were accepted already, scaling.manifests judges the others, or all kinds"
            " are custom"
        )


@check(
    "manifests.images",
    title="Every container runs an image of a fixed version",
    failure_title="A container runs whatever its image tag points to",
    each="manifests",
    needs="on_kubernetes",
    why="""With `:latest`, or without a tag, two pods of one Deployment may run different releases,
    and a rollback pulls the broken one again.""",
    fix="""Name the version, or better the digest, that was tested:
      image: registry.example.com/shop:1.5.0
      image: registry.example.com/shop@sha256:...
      docker inspect --format '{{.RepoDigests}}' IMAGE""",
    judgements=("pinned",),
)
def test_images(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """Of workloads in [scaling.NAME], scaling.pod-template judges them."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            workloads = side.running()
            found = pods.moving_images(workloads)
            what = "images without a fixed version"
            judge_none(evidence, "pinned", what, found, side.name, len(workloads))


@check(
    "manifests.privileges",
    title="Containers run as an ordinary user, without access to their node",
    failure_title="A container runs as root, or reaches into its node",
    each="manifests",
    needs="on_kubernetes",
    severity="blocker",
    why="""A privileged container, or one that mounts the socket of the container runtime, is root
    on the node, and reads the secrets of every other pod there. Root in a container is one kernel
    mistake away from that; it is the default, unless the image or the manifest says otherwise.""",
    fix="""privileged: securityContext: {privileged: false}, and of capabilities only what is needed
    node: a volume of the cluster (persistentVolumeClaim, emptyDir) instead of hostPath; a Service
    instead of hostNetwork
    root: in the pod template, which the kubelet then enforces whatever the image says
      securityContext: {runAsNonRoot: true, runAsUser: 10001}""",
    judgements=("privileged", "node", "root"),
)
def test_privileges(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """Pod Security Standards, "baseline", and the user of "restricted"."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            workloads = side.running()
            for key, what, found in (
                ("privileged", "privileged containers", pods.privileged(workloads)),
                ("node", "uses of the node", pods.on_the_node(workloads)),
                ("root", "containers that run as root, or may", pods.as_root(workloads)),
            ):
                judge_none(evidence, key, what, found, side.name, len(workloads))


@check(
    "manifests.hardening",
    title="Containers cannot change their image, gain rights or make any system call",
    failure_title="A container keeps rights that it does not need",
    each="manifests",
    needs="on_kubernetes",
    severity="minor",
    why="""These settings decide whether a flaw in the application stays one. By default, whoever
    breaks in can replace the program, use setuid binaries, and make every system call.""",
    fix="""For each container, also init containers:
      securityContext:
        readOnlyRootFilesystem: true     (writable folders: an emptyDir, as for /tmp)
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
    and for the pod
      securityContext: {seccompProfile: {type: RuntimeDefault}}
    Try it: kubectl label --dry-run=server ns NAME pod-security.kubernetes.io/enforce=restricted""",
    judgements=("read-only-root", "escalation", "capabilities", "seccomp"),
)
def test_hardening(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """Pod Security Standards, "restricted", and the read-only root of NSA and CISA."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            workloads = side.running()
            for key, what, found in (
                ("read-only-root", "containers with a writable root", pods.writable(workloads)),
                ("escalation", "containers that may gain rights", pods.escalating(workloads)),
                ("capabilities", "containers that keep capabilities", pods.capable(workloads)),
                ("seccomp", "containers without a seccomp profile", pods.unfiltered(workloads)),
            ):
                judge_none(evidence, key, what, found, side.name, len(workloads))


@check(
    "manifests.secrets",
    title="No secret is in plain text in a manifest",
    failure_title="A manifest shows a secret",
    each="manifests",
    needs="on_kubernetes",
    severity="blocker",
    why="""What is in a manifest is in the repository and its history, and everybody who may read
    the Deployment or the ConfigMap sees it; arguments are also visible to every process of the
    node.""",
    fix="""Replace the secret first: the old one is known.
    variables: take it from a Secret
      env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: shop, key: password}}}]
    arguments: give the name of a file, and mount the Secret there
    config-map: move the key into a Secret:
      kubectl create secret generic NAME --from-env-file=FILE""",
    judgements=("variables", "arguments", "config-map"),
)
def test_secrets(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """By the names of settings, and by the forms of keys and tokens; no value is shown."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            workloads = side.running()
            for key, what, found in (
                ("variables", "variables with a secret", pods.secret_variables(workloads)),
                ("arguments", "arguments with a secret", pods.secret_arguments(workloads)),
                ("config-map", "settings with a secret", pods.secret_settings(side)),
            ):
                judge_none(evidence, key, what, found, side.name, len(workloads))


@check(
    "manifests.resources",
    title="Every container requests CPU and memory, and has a memory limit",
    failure_title="A container requests no CPU or memory, or has no memory limit",
    each="manifests",
    needs="on_kubernetes",
    why="""Without requests the scheduler fills a node beyond what it has, and evicts these pods
    first. Without a memory limit, one leak takes the neighbors on its node down.""",
    fix="""In the pod template, for each container, by what it uses (kubectl top pods --containers):
      resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 256Mi}}
    For a whole namespace: a LimitRange with defaultRequest and default""",
    judgements=("cpu-request", "memory-request", "memory-limit"),
)
def test_resources(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """After the LimitRange; of workloads in [scaling.NAME], scaling.capacity judges them."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            count = len(side.running())
            for key, what, found in (
                ("cpu-request", "containers without a CPU request", pods.without(side, CPU)),
                (
                    "memory-request",
                    "containers without a memory request",
                    pods.without(side, MEMORY),
                ),
                (
                    "memory-limit",
                    "containers without a memory limit",
                    pods.without(side, MEMORY, limit=True),
                ),
            ):
                judge_missing(evidence, key, what, found, side, count)


@check(
    "manifests.probes",
    title="Probes tell ready from alive, and each can fail and be answered",
    failure_title="A probe cannot fail, asks the wrong thing, or is missing where requests arrive",
    each="manifests",
    needs="on_kubernetes",
    why="""Without a readiness probe a pod gets requests before it can serve. A liveness probe that
    asks the database, or what the readiness probe asks, restarts every pod when the database is
    slow, and turns a short disturbance into an outage.""",
    fix="""readiness: on the container that the Service sends requests to
      readinessProbe: {httpGet: {path: /health/ready, port: http}}
    liveness: a path that answers as long as the process can, without asking anything else
      livenessProbe: {httpGet: {path: /health/live, port: http}}; or none at all
    dependency: let liveness ask the process alone, and readiness the database.
    distinct: a path of its own, or a failureThreshold well above that of readiness
    can-fail: a command whose exit status depends on the application
    port: the name of the port, in `ports` of the same container""",
    judgements=("readiness", "can-fail", "port", "distinct", "dependency"),
)
def test_probes(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """A missing liveness probe is not a mistake: a wrong one does more harm than none."""
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            workloads = side.running()
            for key, what, found in (
                ("readiness", "serving containers without a readiness probe", health.unready(side)),
                ("can-fail", "probes that cannot fail", health.unfailing(workloads)),
                ("port", "probes of a port that does not exist", health.without_port(workloads)),
                (
                    "distinct",
                    "liveness probes that restart what is not ready",
                    health.identical(workloads),
                ),
                ("dependency", "liveness probes of another host", health.on_others(workloads)),
            ):
                judge_none(evidence, key, what, found, side.name, len(workloads))


@check(
    "manifests.shutdown",
    title="The preStop hook ends before the grace period does",
    failure_title="A pod is killed while its preStop hook still waits",
    each="manifests",
    needs="on_kubernetes",
    why="""The grace period begins with the hook, and is 30 s by default. If the hook takes all of
    it, the application never gets SIGTERM, and is killed in the middle of its requests.""",
    fix="""In the pod template: the seconds of the hook, and those that the longest request needs
      terminationGracePeriodSeconds: 60
      lifecycle: {preStop: {sleep: {seconds: 10}}}""",
    judgements=("grace",),
)
def test_shutdown(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """By `sleep` in the hook; what else a hook does takes longer still."""
    hooks = 0
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            for one in side.running():
                left = health.left_after_hook(one)
                if left is not None:
                    hooks += 1
                    seconds, name = left
                    evidence.judge(
                        "grace",
                        Measurement("grace period left after preStop", seconds, "s", side.name),
                        at_least(1),
                        says=f"{side.name}: container {name} of {one} has {seconds:g} s between"
                        " its preStop hook and SIGKILL",
                    )
    if not hooks and not evidence.lost:
        raise NotApplicable("no container has a preStop hook that sleeps")


@check(
    "manifests.spread",
    title="Replicas are spread over nodes, and over zones where that is agreed",
    failure_title="All replicas may run on one node or in one zone",
    each="manifests",
    needs="on_kubernetes",
    severity="minor",
    why="""Three replicas on one node are as available as one: its failure takes all of them. What
    the scheduler does by itself lets three pods share a node while another one is empty.""",
    fix="""In the pod template, with the labels of its own pods:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
           labelSelector: {matchLabels: {app: NAME}}}
    nodes, selector: the labels are those of the pod template, not of the Deployment
    zones: the same with topology.kubernetes.io/zone; if there are none, leave `zones` out""",
    judgements=("nodes", "zones", "selector"),
)
def test_spread(manifests: Manifests, kubernetes_of: KubernetesOf, evidence: Evidence) -> None:
    """Of workloads with two replicas or more, also by an autoscaler's minimum."""
    judged = 0
    for side in kubernetes_of(manifests):
        with evidence.attempt():
            several = pods.replicated(side.running())
            judged += len(several)
            count = len(several)
            apart = pods.together(several, (pods.NODE, pods.ZONE))
            judge_none(
                evidence, "nodes", "workloads that may share one node", apart, side.name, count
            )
            lost = pods.without_effect(several)
            what = "spread constraints that do not select their own pods"
            judge_none(evidence, "selector", what, lost, side.name, count)
            if manifests.zones:
                found = pods.together(several, (pods.ZONE,))
                what = "workloads that may share one zone"
                judge_none(evidence, "zones", what, found, side.name, count)
    if not judged and not evidence.lost:
        raise NotApplicable("no workload has two replicas or more")
