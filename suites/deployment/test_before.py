"""Before a deployment: is there room, does everything parse, and is there a way back?"""

import shlex

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.deployment.compose_order import StartOrder
from readiness.areas.deployment.config_before import Files, Host, Order, SavedLayer
from readiness.areas.deployment.probes import files, host, layers
from readiness.areas.deployment.probes.order import patience_with, read_order
from readiness.lib.text import listed, worst


@check(
    "deployment.disk-space",
    title="Every file system that a deployment writes to has room",
    each="deployment_host",
    severity="blocker",
    why="""A deployment pulls images, writes a backup and migrates tables. A disk that fills
    halfway stops all of it at the worst place: the old release is gone, the new one has not
    started, and the database cannot write its log.""",
    fix="""See what takes the room, and give back what nobody uses:
      df -h PATH;  du -xh --max-depth=2 PATH | sort -h | tail
      docker system df;  docker image prune --filter until=720h   (keep the release before!)
    What must be free: `min_disk_bytes` in [deployment.host].""",
)
def test_disk_space(deployment_host: Host, evidence: Evidence) -> None:
    """What is reserved for root does not count: a deployment seldom runs as root."""
    for path in deployment_host.disk_paths:
        evidence.judge(
            "free",
            host.free_on(deployment_host, path),
            at_least(deployment_host.min_disk_bytes),
            f"a deployment may fill {path} halfway through",
        )


@check(
    "deployment.memory",
    title="The machine has the memory that the release needs, and its cgroup lets it have it",
    each="deployment_host",
    severity="blocker",
    why="""During a deployment the old and the new release run side by side. What does not fit
    is killed by the kernel, without a word in any log of the application; inside a container the
    limit is that of the cgroup, whatever /proc/meminfo says.""",
    fix="""See what there is, and what sets the limit:
      free -b;  cat /proc/self/cgroup;  cat /sys/fs/cgroup/memory.max
      docker inspect --format '{{.HostConfig.Memory}}' CONTAINER;  systemctl show -p MemoryMax UNIT
    What must be there: `min_memory_bytes` and `min_available_bytes` in [deployment.host].""",
)
def test_memory(deployment_host: Host, evidence: Evidence) -> None:
    """The least of the machine's memory and of every limit on the way to its cgroup."""
    found = host.memory_of(deployment_host)
    evidence.judge(
        "memory-may-used",
        Measurement("memory that may be used", found.total, "bytes", found.source),
        at_least(deployment_host.min_memory_bytes),
        "two releases side by side do not fit",
    )
    evidence.judge(
        "memory-available-now",
        Measurement("memory available now", found.available, "bytes", "MemAvailable, and cgroups"),
        at_least(deployment_host.min_available_bytes),
        "something else takes it",
    )


@check(
    "deployment.container-runtime",
    title="The container runtime answers, and is not too old",
    each="runtime_host",
    severity="blocker",
    why="""A daemon that hangs or is down is found out by the deployment otherwise, after it has
    stopped the old release; an old one does not know the health checks or the options that the
    deployment relies on, and passes over them in silence.""",
    fix="""Ask it yourself, and see why it is down:
      docker info;  systemctl status docker;  journalctl -u docker --since -1h
    The oldest that may run: `min_runtime` in [deployment.host].""",
)
def test_container_runtime(runtime_host: Host, evidence: Evidence) -> None:
    """It has to answer itself: the version of a client says nothing of the daemon."""
    answer = host.runtime_of(runtime_host)
    source = shlex.join([*runtime_host.run_on, *(runtime_host.runtime or [])])
    if not evidence.judge(
        "exit-status-asking-runtime",
        Measurement("exit status of asking the runtime", answer.status, "status", source),
        equal_to(0),
        answer.said or "it said nothing",
    ):
        return
    version = host.version_in(answer, runtime_host)
    evidence.record(Measurement("version of the runtime", version, "text", source))
    too_old = host.as_numbers(version) < host.as_numbers(runtime_host.min_runtime)
    evidence.judge(
        "releases-runtime-too-old",
        Measurement("releases of the runtime that are too old", int(too_old), "count", source),
        equal_to(0),
        f"{version} runs, and {runtime_host.min_runtime} is the oldest that may",
    )


@check(
    "deployment.configuration-valid",
    title="Every file of the configuration parses, and no key stands twice in it",
    each="deployment_files",
    severity="blocker",
    why="""A file that does not parse is found when the new release reads it: at its start. A key
    that stands twice is worse: most parsers take the last one and say nothing, and the value that
    everybody reads in the file is not the one that runs.""",
    fix="""Each line is named in the message. See what a program makes of it:
      docker compose config --quiet;  nginx -t;  python -m json.tool FILE
    A tab in YAML: use blanks. Another kind of file: a command that checks it, `commands` in
    [deployment.files].""",
)
def test_configuration_valid(deployment_files: Files, evidence: Evidence) -> None:
    """Our own strict parsers first, then the programs that will read the rest."""
    for pattern in deployment_files.parse:
        found = [files.parsed(path) for path in files.matching(pattern)]
        wrong = [f"{one.path}: {what}" for one in found for what in one.mistakes]
        evidence.judge(
            "mistakes", Measurement(f"mistakes in {pattern}", len(wrong), "count", pattern,
                        samples=len(found)),
            equal_to(0),
            worst(wrong),
        )  # fmt: skip
    for command, answer in files.checked(deployment_files):
        shown = shlex.join(command)
        evidence.judge(
            "exit-status",
            Measurement(f"exit status of {shown}", answer.status, "status", shown),
            equal_to(0),
            answer.said or "it said nothing",
        )


@check(
    "deployment.backup-before-deploy",
    title="What the deployment may damage was saved just before it",
    each="saved_layer",
    severity="blocker",
    why="""The backup of last night is older than everything that was ordered today. What a
    deployment breaks is put back from the copy that was made just before it: of the database, the
    files, the configuration and the image, each of them.""",
    fix="""Save the layer again, and see why the step before the deployment did not:
      pg_dump -Fc -f FILE DATABASE;  tar -czf FILE FOLDER;  docker save -o FILE IMAGE
      sha256sum FILE > FILE.sha256
    From the future: set the clocks, `timedatectl`. Where the copies are, and how old they may be:
    [deployment.layers.NAME].""",
)
def test_backup_before_deploy(saved_layer: SavedLayer, evidence: Evidence) -> None:
    """By its newest copy, whatever older ones there are."""
    copy, place = layers.newest(saved_layer), layers.place_of(saved_layer)
    there = Measurement("copies of this layer", int(copy is not None), "count", place)
    if not evidence.judge("there", there, at_least(1), "nothing was saved") or copy is None:
        return
    evidence.judge(
        "size-newest-copy",
        Measurement("size of the newest copy", copy.size, "bytes", copy.where),
        at_least(1),
        "the newest copy is empty: whatever wrote it has failed",
    )
    evidence.judge(
        "minutes-old",
        layers.minutes_old(copy),
        at_most(saved_layer.max_age_min),
        "it was not made for this deployment",
    )
    if saved_layer.sha256:
        evidence.judge(
            "sum-fits",
            layers.sum_fits(copy),
            equal_to(0),
            "it is not what was written: cut off, or altered",
        )


@check(
    "deployment.start-order",
    title="Every part waits until what it needs is healthy, as a health check in the file tells",
    each="start_order",
    why="""Without a condition, compose waits until a container was started, and not until the
    database in it answers. It works on the machine where the database is quick; after a restart
    of the host the application starts first, fails, and stays down.""",
    fix="""In the compose file, of each `depends_on`:
      depends_on: { database: { condition: service_healthy } }
    and of what is waited for:
      healthcheck: { test: ["CMD-SHELL", "pg_isready -U shop"], interval: 10s, retries: 30 }
    A job that ends: condition: service_completed_successfully. A health check that the image has
    is not seen here: write it into the file. Given up too soon: 30 retries of 10 s are what a
    database needs that recovers from a crash; how long is agreed, `patience_s` says.""",
)
def test_start_order(start_order: Order, evidence: Evidence) -> None:
    """What the file leaves out counts as what compose takes for it."""
    order, source = read_order(start_order), start_order.compose
    evidence.record(Measurement("dependencies", len(order.dependencies), "count", source))
    for name, found, what in _objections(order):
        evidence.judge(
            "name",
            Measurement(name, len(found), "count", source, samples=len(order.dependencies)),
            equal_to(0),
            f"{worst(found)}: {what}",
        )
    for service, least_s in start_order.patience_s.items():
        evidence.judge(
            "patience",
            Measurement(
                f"patience with {service}", patience_with(order, service, source), "s", source
            ),
            at_least(least_s),
            "it is given up while it may still be starting, and all that needs it with it",
        )


def _objections(order: StartOrder) -> list[tuple[str, list[str], str]]:
    circle = [" → ".join(order.circle)] if order.circle else []
    return [
        (
            "dependencies that wait for a start alone",
            order.loose,
            "it may not answer yet",
        ),
        (
            "services waited for without a health check",
            order.unchecked,
            "none stands in the file, or it always says yes",
        ),
        ("dependencies on nobody", order.unknown, "there is no such service in the file"),
        ("circles", [listed(circle)] if circle else [], "each of them waits for the other"),
    ]
