"""Before a deployment: the host, the files that go out with the release, and the backups."""

import shlex
from collections.abc import Iterator
from typing import TypeVar

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.deployment.config import Deployment, Files, Host, Order, SavedLayer
from readiness.areas.deployment.probes import files, host
from readiness.areas.deployment.probes.start_order import StartOrder, patience_with, read_order
from readiness.lib.text import worst
from readiness.model.errors import NoData

_T = TypeVar("_T")


@check(
    "deployment.host-ready",
    title="The host has the disk space, memory and container runtime for a deployment",
    failure_title="The host lacks disk space, memory or a working container runtime",
    each="deployment",
    needs="host",
    severity="blocker",
    judgements=("disk-space", "memory", "available-memory", "runtime", "runtime-version"),
    why="""A deployment pulls images, writes a backup and runs the old release beside the new one.
    A disk that fills halfway, a container that the kernel kills or a runtime that is down stops it
    at the worst moment: the old release is gone, and the new one has not started.""",
    fix="""disk-space: see what uses it, and remove what is not needed:
      df -h PATH;  du -xh --max-depth=2 PATH | sort -h | tail
      docker system df;  docker image prune --filter until=720h   (keep the previous release!)
    memory, available-memory: see what there is, and what sets the limit:
      free -b;  cat /proc/self/cgroup;  cat /sys/fs/cgroup/memory.max
      docker inspect --format '{{.HostConfig.Memory}}' CONTAINER;  systemctl show -p MemoryMax UNIT
    runtime, runtime-version: ask it, and see why it is down:
      docker info;  systemctl status docker;  journalctl -u docker --since -1h
""",
)
def test_host_ready(deployment: Deployment, evidence: Evidence) -> None:
    """Space reserved for root does not count, since a deployment seldom runs as root."""
    settings = _declared(deployment.host, "host")
    for path in settings.disk_paths:
        with evidence.attempt():
            evidence.judge(
                "disk-space",
                host.free_on(settings, path),
                at_least(settings.min_disk_bytes, settings.deciding("min_disk_bytes")),
            )
    with evidence.attempt():
        _judge_memory(settings, evidence)
    if settings.runtime:
        with evidence.attempt():
            _judge_runtime(settings, evidence)


def _judge_memory(settings: Host, evidence: Evidence) -> None:
    """The least of the machine's memory and of the limits of all its cgroups."""
    found = host.memory_of(settings)
    evidence.judge(
        "memory",
        Measurement("usable memory", found.total, "bytes", found.source),
        at_least(settings.min_memory_bytes, settings.deciding("min_memory_bytes")),
    )
    evidence.judge(
        "available-memory",
        Measurement("available memory", found.available, "bytes", "MemAvailable, and cgroups"),
        at_least(settings.min_available_bytes, settings.deciding("min_available_bytes")),
    )


def _judge_runtime(settings: Host, evidence: Evidence) -> None:
    """The daemon must answer: the version of a client does not show that it runs."""
    answer = host.runtime_of(settings)
    source = shlex.join([*settings.run_on, *(settings.runtime or [])])
    if not evidence.judge(
        "runtime",
        Measurement("exit status of the runtime's command", answer.status, "status", source),
        equal_to(0),
        answer.said or "it printed nothing",
        says=f"The container runtime does not answer: its command ended with {answer.status}",
    ):
        return
    version = host.version_in(answer, settings)
    evidence.record(Measurement("version of the runtime", version, "text", source))
    too_old = host.as_numbers(version) < host.as_numbers(settings.min_runtime)
    evidence.judge(
        "runtime-version",
        Measurement("runtime is recent enough", not too_old, "truth", source),
        equal_to(True, settings.deciding("min_runtime")),
        says=f"Container runtime {version} is older than {settings.min_runtime}",
    )


@check(
    "deployment.configuration-valid",
    title="Configuration files parse, without duplicate keys",
    failure_title="Configuration files do not parse, or have duplicate keys",
    each="deployment",
    needs="files",
    severity="blocker",
    judgements=("syntax", "own-programs"),
    why="""A file that does not parse stops the new release at its start. A duplicate key is worse:
    most parsers take the last one and say nothing, and the value that everybody reads in the file
    is not the one that runs.""",
    fix="""The message names each file and line. See what a program makes of it:
      docker compose config --quiet;  nginx -t;  python -m json.tool FILE
    A tab in YAML: use spaces. Another kind of file: name the command that checks it, `commands` in
    [deployment.files].""",
)
def test_configuration_valid(deployment: Deployment, evidence: Evidence) -> None:
    """First the strict parsers, then the programs that read the other files."""
    settings = _declared(deployment.files, "files")
    for pattern in settings.parse:
        with evidence.attempt():
            _judge_syntax(pattern, evidence)
    with evidence.attempt():
        _judge_by_programs(settings, evidence)


def _judge_syntax(pattern: str, evidence: Evidence) -> None:
    found = [files.parsed(path) for path in files.matching(pattern)]
    wrong = [f"{one.path}: {what}" for one in found for what in one.mistakes]
    evidence.judge(
        "syntax",
        Measurement(f"mistakes in {pattern}", len(wrong), "count", pattern, samples=len(found)),
        equal_to(0),
        worst(wrong),
        says=f"{len(wrong)} mistakes in {pattern}",
    )


def _judge_by_programs(settings: Files, evidence: Evidence) -> None:
    for command, answer in files.checked(settings):
        shown = shlex.join(command)
        evidence.judge(
            "own-programs",
            Measurement(f"exit status of {shown}", answer.status, "status", shown),
            equal_to(0),
            answer.said or "it printed nothing",
            says=f"`{shown}` ended with {answer.status}",
        )


@check(
    "deployment.backup-before-deploy",
    title="Every layer was backed up just before the deployment",
    failure_title="A backup from just before the deployment is missing, old or damaged",
    each="saved_layer",
    severity="blocker",
    judgements=("exists", "size", "age", "checksum"),
    why="""Last night's backup is older than everything that was ordered today. What a deployment
    breaks in the database, the files, the configuration or the image is restored from the copy
    that was made just before it, and without that copy it stays lost.""",
    fix="""Back up the layer again, and see why the step before the deployment did not:
      pg_dump -Fc -f FILE DATABASE;  tar -czf FILE FOLDER;  docker save -o FILE IMAGE
      sha256sum FILE > FILE.sha256
    A file from the future: set the clocks, `timedatectl`. Where the copies are, and how old they
    may be: [deployment.layers.NAME].""",
)
def test_backup_before_deploy(saved_layer: SavedLayer, evidence: Evidence) -> None:
    """Only the newest copy counts."""
    copy, place = files.newest(saved_layer), files.place_of(saved_layer)
    there = Measurement("a copy exists", copy is not None, "truth", place)
    if not evidence.judge("exists", there, equal_to(True), says="No copy exists") or copy is None:
        return
    evidence.judge(
        "size",
        Measurement("size of the newest copy", copy.size, "bytes", copy.where),
        at_least(1),
        says="The newest copy is empty",
    )
    with evidence.attempt():
        age = files.minutes_old(copy)
        limit = at_most(saved_layer.max_age_min, saved_layer.deciding("max_age_min"))
        evidence.judge("age", age, limit)
    if saved_layer.sha256:
        with evidence.attempt():
            evidence.judge(
                "checksum",
                files.sum_fits(copy),
                equal_to(0),
                says="The newest copy does not match its checksum: it is cut off, or was altered",
            )


@check(
    "deployment.start-order",
    title="Compose services wait until what they depend on is healthy",
    failure_title="Compose services start before what they depend on is healthy",
    each="deployment",
    needs="order",
    judgements=("condition", "health-check", "known-service", "no-cycle", "patience"),
    why="""Without a condition, compose waits until a container was started, and not until the
    database in it answers. After a restart of the host the application starts first, fails, and
    stays down.""",
    fix="""In the compose file, for each `depends_on`:
      depends_on: { database: { condition: service_healthy } }
    and for the service that is waited for:
      healthcheck: { test: ["CMD-SHELL", "pg_isready -U shop"], interval: 10s, retries: 30 }
    A job that ends: condition: service_completed_successfully. The health check of an image is not
    seen here: write it into the file. Given up too soon: a database that recovers from a crash
    needs 30 retries of 10 s; the limit is `patience_s` in [deployment.order].""",
)
def test_start_order(deployment: Deployment, evidence: Evidence) -> None:
    """Compose's defaults apply to missing keys."""
    settings = _declared(deployment.order, "order")
    order, source = read_order(settings), ", ".join(settings.files)
    count = len(order.dependencies)
    evidence.record(Measurement("dependencies", count, "count", source))
    for key, name, found in _objections(order):
        evidence.judge(
            key,
            Measurement(name, len(found), "count", source, samples=count),
            equal_to(0),
            worst(found),
            says=f"{len(found)} {name}",
        )
    _judge_patience(settings, order, evidence)


def _judge_patience(settings: Order, order: StartOrder, evidence: Evidence) -> None:
    source = ", ".join(settings.files)
    for service, least_s in settings.patience_s.items():
        with evidence.attempt():
            patience_s = patience_with(order, service, source)
            evidence.judge(
                "patience",
                Measurement(f"patience with {service}", patience_s, "s", source),
                at_least(least_s, settings.deciding("patience_s")),
                says=f"{service} is given up {patience_s:g} s after its start",
            )


def _objections(order: StartOrder) -> Iterator[tuple[str, str, list[str]]]:
    yield "condition", "dependencies that do not wait until the other is ready", order.loose
    yield "health-check", "services waited for without a working health check", order.unchecked
    yield "known-service", "dependencies on services that compose does not start", order.unknown
    yield "no-cycle", "cycles of dependencies", [" → ".join(order.cycle)] if order.cycle else []


def _declared(table: _T | None, key: str) -> _T:
    """A table that the check needs; NoData if it is not declared."""
    if table is None:
        raise NoData(f"needs [deployment.{key}]")
    return table
