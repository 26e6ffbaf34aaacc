"""What the commented `readiness.toml` says of deployments."""

from typing import Final

DEPLOYMENT: Final = """\
# How the target changes its release. The drills deploy, roll back and deploy again while a prober
# requests `url`: they need `disrupt` in `allow`, and `--allow disrupt` on the command line.
#[deployment]
# The public URL; answers GET with a JSON object that names the release.
#url = "https://shop.staging.example.com/version"
#version_key = "version"
# The response header that names the replica, and how many replicas must serve.
#replica_header = "x-replica"
#replicas = 3
#bearer = "${API_TOKEN}"
#verify_tls = true
# The release under test (default: [target] release), and the one to roll back to.
#release = "1.5.0"
#previous = "1.4.0"
# "command", "compose", "kubectl", "helm" or "argo-rollouts"; each has a table of its own.
#adapter = "command"
# Requests per second, half of them over new connections, and the time-out of one in seconds.
#rate_per_s = 50
#timeout_s = 2
# Seconds without a failure before and after a change; and how long a change may take.
#steady_s = 10
#change_within_s = 300
# Limits at which a drill stops and restores: failed requests, or seconds without an answer.
#abort_failures = 20
#abort_outage_s = 5
# Seconds from the command to 30 good answers in a row, all of `previous`.
#rollback_max_s = 300
# The p99 during a change, against the one before; below the floor it is never too slow.
#p99_max_ratio = 3
#p99_floor_ms = 50
# A release that the target must roll back automatically, and within how many seconds.
#bad_release = "1.6.0-bad"
#auto_rollback_max_s = 300
# Commands of your own; `{release}` is filled in. `rollback` defaults to `deploy`.
#[deployment.command]
#deploy = ["./deploy.sh", "{release}"]
#rollback = ["./deploy.sh", "{release}"]
# Prints what must be the same again after a rollback, one KEY=value per line. Values are hashed.
#state = ["./state.sh"]
# Prints how many replicas serve; exits with 0 if no change is under way.
#replicas = ["./replicas.sh"]
#status = ["./status.sh"]

# Where adapter = "compose": a service, whose image's tag comes from a variable.
# [deployment.compose]
# tool = ["docker", "compose"]
# The engine's command, which lists what runs; default: `tool` without `compose`.
# engine = ["docker"]
# For docker-compose 1, which cannot wait until the containers are healthy: wait = false
# wait = true
# files = ["docker-compose.yml"]
# project = "shop"
# service = "api"
# variable = "TAG"

# Where adapter = "kubectl": a workload. The current context is never used.
# [deployment.kubectl]
# context = "staging"
# namespace = "shop"
# workload = "deployment/shop"
# container = "shop"
# image = "registry.example.com/shop:{release}"

# Where adapter = "helm".
# [deployment.helm]
# context = "staging"
# namespace = "shop"
# release_name = "shop"
# chart = "./chart"
# set = ["image.tag={release}"]

# Where adapter = "argo-rollouts".
# [deployment.argo_rollouts]
# context = "staging"
# namespace = "shop"
# rollout = "shop"
# container = "shop"
# image = "registry.example.com/shop:{release}"

# A synthetic row that the new release writes and the old one must be able to read. `read` prints
# the id.
#[deployment.data]
#write = ["./sentinel.sh", "write", "{id}"]
#read = ["./sentinel.sh", "read", "{id}"]
#remove = ["./sentinel.sh", "remove", "{id}"]

# A request that takes a second or more, and the command that stops one replica meanwhile, as a
# deployment does; the target must replace it. Only `replica_header` shows whether the stopped one
# had such a request under way.
#[deployment.slow_request]
#path = "/slow?s=2"
#stop_one = ["./stop-one.sh"]

"""
