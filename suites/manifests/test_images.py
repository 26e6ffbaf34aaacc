"""Whether compose services and images are safe to run, with the defaults of the engine."""

from functools import partial
from pathlib import Path

from readiness import Evidence, Measurement, check
from readiness.areas.manifests import built, compose, dockerfile
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.judging import judge_none
from readiness.areas.manifests.probes import images
from readiness.lib.files import matching
from readiness.model.errors import CouldNotMeasure


@check(
    "manifests.compose",
    title="Compose services are pinned, checked, limited, restarted and not exposed",
    failure_title="A compose service is unchecked, unlimited, exposed or shows a secret",
    each="manifests",
    needs="compose",
    why="""After a crash a service without `restart` stays down; one without a memory limit takes
    the host with it. A database whose port is published is open to everybody who reaches the host:
    the engine goes past its firewall.""",
    fix="""pinned: image: postgres:17.2
    health-check: a test whose exit status depends on the service
      healthcheck: {test: ["CMD-SHELL", "pg_isready -U shop"], interval: 10s}
    restart: restart: unless-stopped; for a job that ends: restart: "no"
    memory-limit: mem_limit: 512m
    ports: "127.0.0.1:5432:5432", or none at all: services of a project reach each other
    privileges: no socket of the engine, no `privileged`, no network of the host
    secret: a new one, in a file: POSTGRES_PASSWORD_FILE: /run/secrets/password""",
    judgements=(
        "pinned", "health-check", "restart", "memory-limit", "ports", "privileges", "secret",
    ),
)  # fmt: skip
def test_compose(manifests: Manifests, evidence: Evidence) -> None:
    """The health check of an image is not seen here: write it into the file."""
    found = compose.services(manifests.compose_files)
    source = ", ".join(Path(name).name for name in manifests.compose_files)
    for key, what, look in (
        ("pinned", "images without a fixed version", compose.moving_images),
        ("health-check", "services without a health check that can fail", compose.unchecked),
        ("restart", "services that stay down after a crash", compose.unrestarted),
        ("memory-limit", "services without a memory limit", compose.unlimited),
        ("ports", "stores that are published on all addresses", compose.exposed),
        ("privileges", "services that control their host", compose.powerful),
        ("secret", "secrets in plain text", compose.secret_variables),
    ):
        with evidence.attempt():
            judge_none(evidence, key, what, look(found), source, len(found))


@check(
    "manifests.dockerfile",
    title="Images run as an ordinary user, from a fixed base, without tools and secrets",
    failure_title="An image runs as root, or has a moving base, build tools or a secret in it",
    each="manifests",
    needs="dockerfiles",
    why="""Without USER, a container runs as root. A secret in a layer, or a build argument, is read
    by everybody who can pull the image, also after a later layer removes it; compilers in the image
    are what whoever breaks in needs next.""",
    fix="""user: RUN useradd --system --uid 10001 app, and at the end USER 10001
    base: FROM python:3.12.8-slim-bookworm, or better with its digest
    build-tools: a stage of its own, and COPY --from=build
    health-check: HEALTHCHECK CMD curl --fail http://localhost:8080/health/live || exit 1
    secret: RUN --mount=type=secret,id=token ...; .env and .git in .dockerignore; a new secret""",
    judgements=("user", "base", "build-tools", "health-check", "secret"),
)
def test_dockerfile(manifests: Manifests, evidence: Evidence) -> None:
    """Of the stages that the image consists of; Kubernetes does not use HEALTHCHECK."""
    found = []
    for path in matching(manifests.dockerfiles, "`dockerfiles` in [manifests]", most=200):
        with evidence.attempt():
            found.append(dockerfile.read(path))
    if not found:
        raise evidence.lost[0] if evidence.lost else CouldNotMeasure("no Dockerfile was read")
    must_be = not manifests.on_kubernetes and not manifests.compose
    for key, what, wrong in (
        ("user", "images that run as root", dockerfile.as_root(found)),
        ("base", "bases without a fixed version", dockerfile.moving_bases(found)),
        ("build-tools", "images with build tools", dockerfile.with_tools(found)),
        ("health-check", "images without a working health check",
         dockerfile.unchecked(found, must_be=must_be)),
        ("secret", "secrets in layers or build arguments", dockerfile.with_secrets(found)),
    ):  # fmt: skip
        judge_none(evidence, key, what, wrong, "Dockerfiles", len(found))


@check(
    "manifests.built-image",
    title="The image that was built runs as an ordinary user, and has no secret in any layer",
    failure_title="The image that was built runs as root, or has a secret or build tools in it",
    each="manifests",
    needs="images",
    why="""What is deployed is the image, not its Dockerfile. A file that a later step removes is
    still in it, and so is the value of a build argument, for everybody who can pull it.""",
    fix="""See what is in it: docker history --no-trunc IMAGE; docker inspect IMAGE
    user: at the end of the Dockerfile, by number: USER 10001
    starts: ENTRYPOINT ["program"]
    health-check: HEALTHCHECK CMD curl --fail http://localhost:8080/health/live || exit 1
    build-tools: a stage of its own, and COPY --from=build
    secret: RUN --mount=type=secret,id=token ...; .env in .dockerignore; then a new secret, as this
    one is known; a key that opens nothing: `public_files` in [manifests]""",
    judgements=("user", "starts", "health-check", "build-tools", "secret"),
)
def test_built_image(manifests: Manifests, evidence: Evidence) -> None:
    """From files, without an engine; Kubernetes does not use the health check."""
    found: list[images.Image] = []
    for name in manifests.images:
        with evidence.attempt():
            found += images.read(Path(name), built.Chosen(manifests.public_files))
    if not found:
        return
    for one in found:
        evidence.record(
            Measurement("size of the image", one.size, "bytes", one.name, samples=one.layers)
        )
    must_be = not manifests.on_kubernetes and not manifests.compose
    for key, what, look in (
        ("user", "images that run as root", built.as_root),
        ("starts", "images that start nothing", built.without_start),
        ("health-check", "images without a working health check",
         partial(built.unchecked, must_be=must_be)),
        ("build-tools", "build tools in images", built.with_tools),
        ("secret", "secrets in images", built.with_secrets),
    ):  # fmt: skip
        with evidence.attempt():
            judge_none(evidence, key, what, look(found), "images", len(found))
