"""What the commented `readiness.toml` says of deployments."""

from typing import Final

DEPLOYMENT: Final = """\
# How the target changes its release. The drills deploy, roll back and deploy again while a prober
# asks `url`: they need `disrupt` in `allow`, and `--allow disrupt` on the command line.
#[deployment]
# Through the public way in; answers GET with a JSON object that tells the release.
#url = "https://shop.staging.example.com/version"
#version_key = "version"
# The header that tells which replica answered, and how many have to serve.
#replica_header = "x-replica"
#replicas = 3
#bearer = "${API_TOKEN}"
#verify_tls = true
# What is judged (left out: [target] release), and what one goes back to.
#release = "1.5.0"
#previous = "1.4.0"
# "command", "compose", "kubectl", "helm" or "argo-rollouts"; each has a table of its own.
#adapter = "command"
# Requests a second, half of them over new connections, and when one counts as unanswered.
#rate_per_s = 50
#timeout_s = 2
# Seconds without a failure before and after a change; and how long a change may take.
#steady_s = 10
#change_within_s = 300
# From here on a drill puts back at once: failed requests, or seconds without an answer.
#abort_failures = 20
#abort_outage_s = 5
# Seconds from the command to 30 good answers in a row, all of `previous`.
#rollback_max_s = 300
# The p99 during a change, against the one before; below the floor it is never too slow.
#p99_max_ratio = 3
#p99_floor_ms = 50
# A release that the target must take back by itself, and within how many seconds.
#bad_release = "1.6.0-bad"
#auto_rollback_max_s = 300
# Commands of your own; `{release}` is filled in. `rollback` is `deploy` where it is left out.
#[deployment.command]
#deploy = ["./deploy.sh", "{release}"]
#rollback = ["./deploy.sh", "{release}"]
# Prints KEY=value a line: what must be the same again after a rollback. Values are hashed.
#state = ["./state.sh"]
# Prints how many replicas serve; and exits with 0 when no change is under way.
#replicas = ["./replicas.sh"]
#status = ["./status.sh"]

# Where adapter = "compose": a service, whose image's tag comes from a variable.
# [deployment.compose]
# tool = ["docker", "compose"]
# Who is asked what runs; left out: `tool` without `compose`.
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

# A row of our own: written by the new release, it has to be readable by the old one. `read`
# prints the id.
#[deployment.data]
#write = ["./sentinel.sh", "write", "{id}"]
#read = ["./sentinel.sh", "read", "{id}"]
#remove = ["./sentinel.sh", "remove", "{id}"]

# A request that takes a second or more, and how one replica is stopped meanwhile, as a deployment
# does it; the replica has to come back by itself. Only `replica_header` tells whether the one that
# was stopped had such a request under way.
#[deployment.slow_request]
#path = "/slow?s=2"
#stop_one = ["./stop-one.sh"]

"""
