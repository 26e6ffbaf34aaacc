"""Faults of the manifests of the orders that the checks of Kubernetes objects find."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import Fault, broken_by

if TYPE_CHECKING:
    from readiness.reference.levers import Levers

_ORDERS: Final = "orders.yaml"
_TRAFFIC: Final = "traffic.yaml"
_VALID: Final = "manifests.valid[manifests]"
_IMAGES: Final = "manifests.images[manifests]"
_PRIVILEGES: Final = "manifests.privileges[manifests]"
_HARDENING: Final = "manifests.hardening[manifests]"
_SECRETS: Final = "manifests.secrets[manifests]"
_RESOURCES: Final = "manifests.resources[manifests]"
_PROBES: Final = "manifests.probes[manifests]"
_SHUTDOWN: Final = "manifests.shutdown[manifests]"
_SPREAD: Final = "manifests.spread[manifests]"
_SERVICES: Final = "manifests.services[manifests]"
_INGRESS: Final = "manifests.ingress[manifests]"
_NETWORK: Final = "manifests.network[manifests]"
_READINESS: Final = "readinessProbe: {httpGet: {path: /health/ready, port: http}, periodSeconds: 5}"
_LIVE: Final = "httpGet: {path: /health/live, port: http}, periodSeconds: 10"
_ZONES: Final = """\
        - maxSkew: 1
          topologyKey: topology.kubernetes.io/zone
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app.kubernetes.io/component: web}}
"""
_ENV: Final = "          env:\n"
_RULE: Final = """\
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
      ports: [{port: http}]
"""


def _edited(
    name: str, story: str, misses: Mapping[str, set[str]], file: str, old: str, new: str
) -> Fault:
    """A fault that replaces the first occurrence of a text by another in one of the files."""

    def edit(levers: "Levers") -> AbstractContextManager[None]:
        return levers.edit_file(file, old, new)

    return broken_by(name, story, misses, edit)


service_port_out_of_range = _edited(
    "service_port_out_of_range",
    "A port has two digits too many: the API server refuses the Service, and the apply stops",
    {_VALID: {"accepted"}},
    _TRAFFIC,
    "port: 80, targetPort: http",
    "port: 800000, targetPort: http",
)
limit_misspelled = _edited(
    "limit_misspelled",
    "`maxUnavailable` is misspelled: older clients drop it, and updates take a quarter away",
    {_VALID: {"known-fields"}},
    _ORDERS,
    "maxUnavailable: 0",
    "maxUnavailible: 0",
)
version_no_longer_served = _edited(
    "version_no_longer_served",
    "The CronJob is of batch/v1beta1, which clusters have not served since 1.25",
    {_VALID: {"accepted", "served"}},
    _ORDERS,
    "apiVersion: batch/v1\n",
    "apiVersion: batch/v1beta1\n",
)
archive_runs_latest = _edited(
    "archive_runs_latest",
    "The nightly job has no tag: it runs whatever was pushed last",
    {_IMAGES: {"pinned"}},
    _ORDERS,
    "- name: archive\n              image: registry.example.com/orders:1.5.0",
    "- name: archive\n              image: registry.example.com/orders",
)
job_is_privileged = _edited(
    "job_is_privileged",
    "The nightly job is privileged, because its mount did not work otherwise",
    {_PRIVILEGES: {"privileged"}},
    _ORDERS,
    'args: ["archive", "--older-than=90d"]\n              securityContext:\n',
    'args: ["archive", "--older-than=90d"]\n              securityContext:\n'
    "                privileged: true\n",
)
pods_on_the_network_of_the_node = _edited(
    "pods_on_the_network_of_the_node",
    "The pods use the network of their node: they reach its metadata service and the kubelet",
    {_PRIVILEGES: {"node"}},
    _ORDERS,
    "      terminationGracePeriodSeconds: 45\n",
    "      terminationGracePeriodSeconds: 45\n      hostNetwork: true\n",
)
logs_on_the_node = _edited(
    "logs_on_the_node",
    "A folder of the node is mounted: data of one pod is left for the next one, and fills the disk",
    {_PRIVILEGES: {"node"}},
    _ORDERS,
    "- {name: tmp, emptyDir: {}}",
    "- {name: tmp, hostPath: {path: /srv/orders}}",
)
user_left_to_the_image = _edited(
    "user_left_to_the_image",
    "Nothing says which user the job runs as, and its image has no USER: it is root",
    {_PRIVILEGES: {"root"}},
    _ORDERS,
    "            runAsUser: 10001\n",
    "",
)
root_is_writable = _edited(
    "root_is_writable",
    "The root file system is writable: whoever breaks in replaces the program",
    {_HARDENING: {"read-only-root"}},
    _ORDERS,
    "readOnlyRootFilesystem: true",
    "readOnlyRootFilesystem: false",
)
escalation_left_out = _edited(
    "escalation_left_out",
    "allowPrivilegeEscalation is left out, and therefore true",
    {_HARDENING: {"escalation"}},
    _ORDERS,
    "            allowPrivilegeEscalation: false\n",
    "",
)
capability_added = _edited(
    "capability_added",
    "NET_ADMIN was added to find a fault, and stayed",
    {_HARDENING: {"capabilities"}},
    _ORDERS,
    "{drop: [ALL]}",
    "{drop: [ALL], add: [NET_ADMIN]}",
)
seccomp_left_out = _edited(
    "seccomp_left_out",
    "No seccomp profile is set, and the default is none",
    {_HARDENING: {"seccomp"}},
    _ORDERS,
    "        seccompProfile: {type: RuntimeDefault}\n",
    "",
)
password_in_a_variable = _edited(
    "password_in_a_variable",
    "A password is in the environment of the Deployment, and so in the repository",
    {_SECRETS: {"variables"}},
    _ORDERS,
    _ENV,
    f"{_ENV}            - {{name: SMTP_PASSWORD, value: not-a-real-one}}\n",
)
password_in_an_argument = _edited(
    "password_in_an_argument",
    "A URL with its password is an argument, which every process of the node sees",
    {_SECRETS: {"arguments"}},
    _ORDERS,
    "--database-url-file=/etc/orders/database-url",
    "--database-url=postgres://orders:not-a-real-one@database/orders",
)
password_in_the_settings = _edited(
    "password_in_the_settings",
    "A ConfigMap has a file of settings with a password in it",
    {_SECRETS: {"config-map"}},
    _ORDERS,
    "password_file: /etc/orders/redis-password",
    "password: not-a-real-one",
)
job_requests_no_cpu = _edited(
    "job_requests_no_cpu",
    "The nightly job requests no CPU",
    {_RESOURCES: {"cpu-request"}},
    _ORDERS,
    "requests: {cpu: 100m, memory: 128Mi}",
    "requests: {memory: 128Mi}",
)
job_says_nothing_of_memory = _edited(
    "job_says_nothing_of_memory",
    "The nightly job says nothing of memory: neither a request, nor a limit that stands for one",
    {_RESOURCES: {"memory-request", "memory-limit"}},
    _ORDERS,
    "requests: {cpu: 100m, memory: 128Mi}\n                limits: {memory: 128Mi}",
    "requests: {cpu: 100m}",
)
job_has_no_memory_limit = _edited(
    "job_has_no_memory_limit",
    "The nightly job has no memory limit: it takes what the node has",
    {_RESOURCES: {"memory-limit"}},
    _ORDERS,
    "requests: {cpu: 100m, memory: 128Mi}\n                limits: {memory: 128Mi}",
    "requests: {cpu: 100m, memory: 128Mi}",
)
no_readiness_probe_for_orders = _edited(
    "no_readiness_probe_for_orders",
    "The readiness probe was commented out: new pods get requests before they can serve",
    {_PROBES: {"readiness"}},
    _ORDERS,
    _READINESS,
    "stdin: false",
)
liveness_always_succeeds = _edited(
    "liveness_always_succeeds",
    "The liveness probe ends with `|| true`: a deadlocked process is never restarted",
    {_PROBES: {"can-fail"}},
    _ORDERS,
    _LIVE,
    'exec: {command: [sh, -c, "curl -f localhost:8080/health/live || true"]}, periodSeconds: 10',
)
probe_of_a_missing_port = _edited(
    "probe_of_a_missing_port",
    "The port was renamed, and the liveness probe was not: every pod is restarted for ever",
    {_PROBES: {"port"}},
    _ORDERS,
    _LIVE,
    "httpGet: {path: /health/live, port: web}, periodSeconds: 10",
)
liveness_asks_readiness = _edited(
    "liveness_asks_readiness",
    "Liveness asks the path of readiness, as often: a slow database restarts every pod",
    {_PROBES: {"distinct"}},
    _ORDERS,
    _LIVE,
    "httpGet: {path: /health/ready, port: http}, periodSeconds: 5",
)
liveness_asks_the_database = _edited(
    "liveness_asks_the_database",
    "Liveness asks the database itself: when that restarts, every pod does, too",
    {_PROBES: {"dependency"}},
    _ORDERS,
    _LIVE,
    "exec: {command: [pg_isready, -h, database.orders.svc]}, periodSeconds: 10",
)
hook_takes_the_grace_period = broken_by(
    "hook_takes_the_grace_period",
    "The grace period is left out, and therefore 30 s: the hook takes all of it",
    {_SHUTDOWN: {"grace"}},
    lambda levers: (
        levers.edit_file(_ORDERS, "      terminationGracePeriodSeconds: 45\n", ""),
        levers.edit_file(_ORDERS, "seconds: 10", "seconds: 30"),
    ),
)
hook_longer_than_the_grace_period = _edited(
    "hook_longer_than_the_grace_period",
    "The hook sleeps a minute, and the pod is killed after 45 s",
    {_SHUTDOWN: {"grace"}},
    _ORDERS,
    "preStop: {sleep: {seconds: 10}}",
    'preStop: {exec: {command: [sh, -c, "nginx -s quit; sleep 1m"]}}',
)
nothing_spreads_the_pods = broken_by(
    "nothing_spreads_the_pods",
    "The constraints were dropped with the old chart: all replicas may share one node",
    {_SPREAD: {"nodes", "zones"}},
    lambda levers: (
        levers.edit_file(_ORDERS, _ZONES, ""),
        levers.edit_file(
            _ORDERS,
            _ZONES.replace("topology.kubernetes.io/zone", "kubernetes.io/hostname").replace(
                "ScheduleAnyway", "DoNotSchedule"
            ),
            "",
        ),
    ),
)
one_zone_takes_all = _edited(
    "one_zone_takes_all",
    "Pods are spread over nodes, and all of these may be in one zone",
    {_SPREAD: {"zones"}},
    _ORDERS,
    _ZONES,
    "",
)
constraint_counts_other_pods = _edited(
    "constraint_counts_other_pods",
    "A label was renamed: the constraint counts pods that do not exist, and spreads nothing",
    {_SPREAD: {"selector"}},
    _ORDERS,
    "labelSelector: {matchLabels: {app.kubernetes.io/component: web}}",
    "labelSelector: {matchLabels: {app.kubernetes.io/component: api}}",
)
service_selects_nothing = _edited(
    "service_selects_nothing",
    "A label was renamed: the Service has no pods, and every request to it fails",
    {_SERVICES: {"selects"}},
    _TRAFFIC,
    "selector: {app.kubernetes.io/name: orders, app.kubernetes.io/component: web}",
    "selector: {app.kubernetes.io/name: order, app.kubernetes.io/component: web}",
)
service_to_a_port_without_listener = _edited(
    "service_to_a_port_without_listener",
    "The Service sends requests to port 8000, and the container listens on 8080",
    {_SERVICES: {"port"}},
    _TRAFFIC,
    "targetPort: http",
    "targetPort: 8000",
)
service_selects_the_job = _edited(
    "service_selects_the_job",
    "The Service selects by the name of the release alone: the nightly job gets requests, too",
    {_SERVICES: {"only"}},
    _TRAFFIC,
    "selector: {app.kubernetes.io/name: orders, app.kubernetes.io/component: web}",
    "selector: {app.kubernetes.io/name: orders}",
)
tls_is_empty = _edited(
    "tls_is_empty",
    "`tls` is an empty list: it is there, and nothing is encrypted",
    {_INGRESS: {"tls"}},
    _TRAFFIC,
    "tls: [{hosts: [orders.example.com], secretName: orders-tls}]",
    "tls: []",
)
certificate_of_another_host = _edited(
    "certificate_of_another_host",
    "The certificate is declared for another host than the rule",
    {_INGRESS: {"tls"}},
    _TRAFFIC,
    "hosts: [orders.example.com]",
    "hosts: [order.example.com]",
)
plain_http_is_served = _edited(
    "plain_http_is_served",
    "The redirect to HTTPS is turned off: passwords are sent in plain text",
    {_INGRESS: {"redirect"}},
    _TRAFFIC,
    "    nginx.ingress.kubernetes.io/proxy-body-size: 10m\n",
    "    nginx.ingress.kubernetes.io/proxy-body-size: 10m\n"
    '    nginx.ingress.kubernetes.io/ssl-redirect: "false"\n',
)
ingress_without_backend = _edited(
    "ingress_without_backend",
    "The Ingress names a port that the Service does not have: it answers 503",
    {_INGRESS: {"backend"}},
    _TRAFFIC,
    "backend: {service: {name: orders, port: {name: http}}}",
    "backend: {service: {name: orders, port: {number: 8080}}}",
)
burst_left_out = _edited(
    "burst_left_out",
    "The burst is left out, and therefore five times the rate: 600 requests instead of 200",
    {_INGRESS: {"rate"}},
    _TRAFFIC,
    '    nginx.ingress.kubernetes.io/limit-burst-multiplier: "1"\n',
    "",
)
body_without_limit = _edited(
    "body_without_limit",
    "The size of bodies is 0, which is no limit",
    {_INGRESS: {"body"}},
    _TRAFFIC,
    "proxy-body-size: 10m",
    'proxy-body-size: "0"',
)
policy_for_egress_only = _edited(
    "policy_for_egress_only",
    "The policy of the namespace concerns Egress: the job accepts connections from every pod",
    {_NETWORK: {"isolated"}},
    _TRAFFIC,
    "policyTypes: [Ingress]",
    "policyTypes: [Egress]",
)
policy_lets_everything_in = _edited(
    "policy_lets_everything_in",
    "The rule is empty, which was meant as nothing and is everything",
    {_NETWORK: {"open"}},
    _TRAFFIC,
    _RULE,
    "    - {}\n",
)
