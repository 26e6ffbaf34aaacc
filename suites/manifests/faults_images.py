"""Faults of the compose file and the Dockerfile of the orders."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from readiness.areas.manifests.reference import LINTER, PARSER, Built
from readiness.model.fault import Fault, broken_by

if TYPE_CHECKING:
    from readiness.reference.levers import Levers

_COMPOSE: Final = "manifests.compose[manifests]"
_DOCKERFILE: Final = "manifests.dockerfile[manifests]"
_FILE: Final = "compose.yaml"
_IMAGE: Final = "Dockerfile"
_CHECK: Final = 'test: ["CMD", "curl", "--fail", "--silent", "http://localhost:8080/health/live"]'


def _edited(name: str, story: str, key: str, old: str, new: str, file: str = _FILE) -> Fault:
    """A fault that replaces a text in the compose file, or in the Dockerfile."""

    def edit(levers: "Levers") -> AbstractContextManager[None]:
        return levers.edit_file(file, old, new)

    check = _COMPOSE if file == _FILE else _DOCKERFILE
    return broken_by(name, story, {check: {key}}, edit, needs="" if file == _FILE else PARSER)


service_image_latest = _edited(
    "service_image_latest",
    "The image of the database has no tag: the next pull is the next major version",
    "pinned",
    "image: postgres:17.2",
    "image: postgres",
)
service_check_cannot_fail = _edited(
    "service_check_cannot_fail",
    "The health check ends with `|| true`: a service that hangs is healthy",
    "health-check",
    _CHECK,
    'test: "curl --fail http://localhost:8080/health/live || true"',
)
service_stays_down = _edited(
    "service_stays_down",
    "`restart` is left out: after the first crash the service stays down",
    "restart",
    _CHECK + "}\n    restart: unless-stopped\n",
    _CHECK + "}\n",
)
service_takes_all_memory = _edited(
    "service_takes_all_memory",
    "The service has no memory limit: one leak takes the database down",
    "memory-limit",
    "    deploy: {resources: {limits: {memory: 512m}}}\n",
    "",
)
database_is_published = _edited(
    "database_is_published",
    "The port of the database is published on every address of the host",
    "ports",
    '"127.0.0.1:5432:5432"',
    '"5432:5432"',
)
service_has_the_socket = _edited(
    "service_has_the_socket",
    "The service mounts the socket of the engine, and so is root on the host",
    "privileges",
    "volumes: [database:/var/lib/postgresql/data]",
    "volumes: [database:/var/lib/postgresql/data, /var/run/docker.sock:/var/run/docker.sock:ro]",
)
service_password_in_the_file = _edited(
    "service_password_in_the_file",
    "The password of the database is in the compose file",
    "secret",
    "POSTGRES_PASSWORD_FILE: /run/secrets/database-password",
    "POSTGRES_PASSWORD: not-a-real-one",
)
filter_of_calls_turned_off = broken_by(
    "filter_of_calls_turned_off",
    "The filter of system calls was turned off to trace the service, and stays off",
    {"manifests.linters[manifests]": {"findings"}},
    lambda levers: levers.edit_file(
        _FILE,
        _CHECK + "}\n",
        _CHECK + '}\n    security_opt: ["seccomp:unconfined"]\n',
    ),
    needs=LINTER,
)
default_of_a_secret = _edited(
    "default_of_a_secret",
    "A secret has a default in the file, which is what runs where nobody set it",
    "secret",
    "${SESSION_SECRET:-}",
    "${SESSION_SECRET:-not-a-real-one}",
)

image_without_user = _edited(
    "image_without_user",
    "USER was removed while a build was repaired: containers run as root",
    "user",
    "USER 10001:10001\n",
    "",
    _IMAGE,
)
base_latest = _edited(
    "base_latest",
    "The base is `latest`: two builds of one commit differ",
    "base",
    "PYTHON=3.12.8-slim-bookworm",
    "PYTHON=latest",
    _IMAGE,
)
image_of_one_stage = _edited(
    "image_of_one_stage",
    "The image is built from the stage with the compiler",
    "build-tools",
    "FROM python:${PYTHON}\n",
    "FROM build\n",
    _IMAGE,
)
image_check_cannot_fail = _edited(
    "image_check_cannot_fail",
    "HEALTHCHECK ends with `exit 0`",
    "health-check",
    "|| exit 1",
    "|| exit 0",
    _IMAGE,
)
token_as_build_argument = _edited(
    "token_as_build_argument",
    "A token is a build argument, and stays in the history of the image",
    "secret",
    "ENV PYTHONUNBUFFERED=1",
    "ARG INDEX_TOKEN\nENV PYTHONUNBUFFERED=1",
    _IMAGE,
)


def _built(name: str, story: str, key: str, image: Built) -> Fault:
    """A fault of the image that was built, with the Dockerfile as it was."""

    def build(levers: "Levers") -> AbstractContextManager[None]:
        return levers.build_image(image)

    return broken_by(name, story, {"manifests.built-image[manifests]": {key}}, build)


built_without_user = _built(
    "built_without_user",
    "The pipeline builds an older stage, which has no USER: containers run as root",
    "user",
    Built(user=""),
)
built_without_start = _built(
    "built_without_start",
    "The image that was built has no ENTRYPOINT",
    "starts",
    Built(entrypoint=()),
)
built_check_cannot_fail = _built(
    "built_check_cannot_fail",
    "The health check of the image cannot fail",
    "health-check",
    Built(health=("CMD-SHELL", "curl --fail localhost:8080/health/live || true")),
)
built_with_compiler = _built(
    "built_with_compiler",
    "The base that was pulled has a compiler in it",
    "build-tools",
    Built(layers=Built().with_layers({"usr/bin/x86_64-linux-gnu-gcc-12": b"\x7fELF"})),
)
built_with_settings = _built(
    "built_with_settings",
    "COPY took the .env of the developer, and a later step removed it: it is still there",
    "secret",
    Built(
        layers=Built().with_layers(
            {"app/.env": b"PORT=8080\nDB_PASSWORD=not-a-real-one\n"}, {"app/.wh..env": b""}
        )
    ),
)
built_with_argument = _built(
    "built_with_argument",
    "The token of a build argument is in the history of the image",
    "secret",
    Built(steps=(*Built().steps, "RUN |1 INDEX_TOKEN=not-a-real-one /bin/sh -c pip install x")),
)
