"""Compose services and Dockerfiles: defaults are resolved, and healthy variants pass."""

from pathlib import Path

import pytest

from readiness.areas.manifests import reference
from readiness.areas.manifests.config import Manifests
from tests.support.manifest_checks import HAS_PARSER, Judged

SECRET = "x7Hd2kqP"
CHECK = 'healthcheck: {test: ["CMD-SHELL", "pg_isready -U orders"], interval: 10s, retries: 30}'
PORT = 'ports: ["127.0.0.1:5432:5432"]'
VOLUMES = "volumes: [database:/var/lib/postgresql/data]"
IMAGE = "image: postgres:17.2"
USER = "USER 10001:10001\n"
HEALTH = "HEALTHCHECK --interval=10s --timeout=2s CMD python -m orders.healthy || exit 1\n"
FINAL = "FROM python:${PYTHON}\n"
ENV = "ENV PYTHONUNBUFFERED=1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reference.copy_files(tmp_path)
    return tmp_path / reference.FOLDER


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "missed"),
    [
        (IMAGE, "image: postgres:17.2@sha256:" + "0" * 64, set()),
        (IMAGE, "image: ${IMAGE:-postgres:17.2}", set()),
        (IMAGE, "image: ${IMAGE:-postgres}", {"pinned"}),
        (CHECK, "healthcheck: {test: [NONE]}", {"health-check"}),
        (CHECK, "healthcheck: {disable: true}", {"health-check"}),
        (CHECK, "x-none: 1", {"health-check"}),
        (PORT, 'ports: ["5432"]', set()),
        (PORT, 'ports: ["[::1]:5432:5432"]', set()),
        (PORT, 'ports: ["0.0.0.0:15000:5432"]', {"ports"}),
        (PORT, 'ports: ["5430-5440:5430-5440/tcp"]', {"ports"}),
        (PORT, "ports: [{target: 5432, published: '5432'}]", {"ports"}),
        (PORT, "ports: [{target: 5432, published: '5432', host_ip: 127.0.0.1}]", set()),
        (PORT, 'ports: ["9187:9187"]', set()),
        (VOLUMES, "volumes: ['/etc:/host/etc']", {"privileges"}),
        (VOLUMES, "volumes: ['/etc:/host/etc:ro']", set()),
        (VOLUMES, "volumes: ['./data:/var/lib/postgresql/data']", set()),
        (VOLUMES, "volumes: [{type: bind, source: /run/docker.sock, target: /s}]", {"privileges"}),
        (VOLUMES, "network_mode: host", {"privileges"}),
        (VOLUMES, "cap_add: [SYS_ADMIN]", {"privileges"}),
        (VOLUMES, "cap_add: [NET_BIND_SERVICE]", set()),
        (VOLUMES, "privileged: true", {"privileges"}),
        ("    mem_limit: 1g\n", "", {"memory-limit"}),
        ("restart: unless-stopped", 'restart: "no"', set()),
        ("restart: unless-stopped", "deploy: {restart_policy: {condition: any}}", set()),
        ("restart: unless-stopped", "deploy: {restart_policy: {condition: none}}", {"restart"}),
        ("LOG_LEVEL: info", f"API_KEY: {SECRET}", {"secret"}),
        ("LOG_LEVEL: info", "API_KEY: ${API_KEY:?set it}", set()),
        ("LOG_LEVEL: info", f"DATABASE: postgres://a:{SECRET}@database/a", {"secret"}),
        ("LOG_LEVEL: info", "DATABASE: postgres://a:${PASSWORD}@database/a", set()),
        ("build: .\n    env", f"build: {{args: {{TOKEN: {SECRET}}}}}\n    env", {"secret"}),
        # What must be set is set where it runs.
        (IMAGE, "image: ${IMAGE:?set it}", set()),
        (PORT, 'ports: ["${PORT:?set it}:5432"]', {"ports"}),
    ],
)  # fmt: skip
def test_compose_services(old: str, new: str, missed: set[str], folder: Path) -> None:
    edited(folder / "compose.yaml", old, new)
    found = Judged(Manifests(compose=str(folder / "compose.yaml")))
    assert found.misses == ({"manifests.compose": missed} if missed else {})
    assert SECRET not in str(found.texts)


def test_a_secret_of_the_environment_is_not_in_the_file(folder: Path) -> None:
    (folder / ".env").write_text(f"SESSION_SECRET={SECRET}\n")
    assert Judged(Manifests(compose=str(folder / "compose.yaml"))).misses == {}


def test_a_later_file_corrects_an_earlier_one(folder: Path) -> None:
    edited(folder / "compose.yaml", "    mem_limit: 1g\n", "")
    (folder / "more.yaml").write_text("services: {database: {mem_limit: 1g}}\n")
    files = [str(folder / name) for name in ("compose.yaml", "more.yaml")]
    assert Judged(Manifests(compose=files)).misses == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {a: {image: x}}\nservices: {}\n", "duplicate key"),
        ("services:\n\ta: 1\n", "tab"),
        ("services: {}\n", "no services"),
        ("a: 1\n", "no services"),
        ("services: {a: {image: '${X'}}\n", "no closing brace"),
        ("include: [missing.yaml]\n", "missing"),
    ],
)
def test_an_unreadable_project_is_an_error(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    found = Judged(Manifests(compose=str(tmp_path / "compose.yaml")))
    assert found.misses == {"manifests.compose": set()}
    assert words in found.texts["manifests.compose"]


needs_parser = pytest.mark.skipif(not HAS_PARSER, reason="the package dockerfile is not installed")


@needs_parser
@pytest.mark.parametrize(
    ("old", "new", "missed"),
    [
        (USER, "USER app\n", set()),
        (USER, "USER 0\n", {"user"}),
        (USER, "USER root:root\n", {"user"}),
        (USER, "ARG RUN_AS=0\nUSER ${RUN_AS}\n", {"user"}),
        (USER, "ARG RUN_AS=app\nUSER $RUN_AS\n", set()),
        (USER, f"{USER}USER root\n", {"user"}),
        # M5: nothing says it, so that it is the base's, which is root.
        (USER, "", {"user"}),
        (USER, "ONBUILD USER app\n", {"user"}),
        # The user of an earlier stage does not count, unless the image is built from it.
        ("WORKDIR /build\n", "WORKDIR /build\nUSER 10001\n", set()),
        (FINAL, f"FROM python:3.12 AS user\n{USER}FROM user\n", set()),
        (FINAL, "FROM gcr.io/distroless/python3-debian12:nonroot\n", set()),
        (FINAL, "FROM python\n", {"base"}),
        (FINAL, "FROM python:latest@sha256:" + "0" * 64 + "\n", set()),
        (FINAL, "FROM scratch\n", set()),
        (FINAL, "FROM golang:1.24\n", {"build-tools"}),
        (ENV, f"{ENV}RUN apk add --no-cache --virtual .deps gcc && apk del .deps\n", set()),
        (ENV, f"{ENV}RUN apt-get install -y gcc && make && apt-get purge -y gcc\n", set()),
        (ENV, f"{ENV}RUN apt-get update && \\\n  apt-get install -y curl build-essential\n",
         {"build-tools"}),
        (HEALTH, 'HEALTHCHECK CMD ["true"]\n', {"health-check"}),
        (HEALTH, "HEALTHCHECK NONE\n", {"health-check"}),
        (HEALTH, "", {"health-check"}),
        (ENV, f"{ENV}ENV API_TOKEN={SECRET}\n", {"secret"}),
        (ENV, f"{ENV}ENV API_TOKEN=\n", set()),
        (ENV, f"{ENV}ARG VERSION\n", set()),
        (ENV, f"{ENV}COPY id_rsa /root/.ssh/\n", {"secret"}),
        (ENV, f"{ENV}COPY .env.example ca-chain.pem /etc/\n", set()),
        (ENV, f"{ENV}COPY --from=build /x/server.key /x/\n", set()),
        (ENV, f"{ENV}RUN git clone https://bot:{SECRET}@example.com/x\n", {"secret"}),
        (ENV, f"{ENV}RUN <<EOF\ncurl https://bot:{SECRET}@example.com/x\nEOF\n", {"secret"}),
        # The argument of an earlier stage is not in the history of the image.
        ("WORKDIR /build\n", "WORKDIR /build\nARG INDEX_TOKEN\n", set()),
    ],
)  # fmt: skip
def test_dockerfiles(old: str, new: str, missed: set[str], folder: Path) -> None:
    edited(folder / "Dockerfile", old, new)
    found = Judged(Manifests(dockerfiles=[str(folder / "Dockerfile")]))
    assert found.misses == ({"manifests.dockerfile": missed} if missed else {})
    assert SECRET not in str(found.texts)


@needs_parser
@pytest.mark.parametrize(
    ("ignored", "missed"),
    [(None, {"secret"}), ("*.log\n", {"secret"}), ("**/.env\n", set()), (".env*\n", set())],
)
def test_what_copies_the_whole_folder_copies_its_secrets(
    ignored: str | None, missed: set[str], folder: Path
) -> None:
    edited(folder / "Dockerfile", ENV, f"{ENV}COPY . .\n")
    (folder / ".env").write_text(f"TOKEN={SECRET}\n")
    if ignored is not None:
        (folder / ".dockerignore").write_text(ignored)
    found = Judged(Manifests(dockerfiles=[str(folder / "Dockerfile")]))
    assert found.misses == ({"manifests.dockerfile": missed} if missed else {})


@needs_parser
@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "garbage\n", "RUN true\n", "FROM\n", "services:\n  a: 1\n"]
)
def test_what_is_no_dockerfile_is_an_error_and_the_others_are_judged(
    text: str, folder: Path
) -> None:
    (folder / "Dockerfile.bad").write_text(text)
    edited(folder / "Dockerfile", USER, "")
    pattern = str(folder / "Dockerfile*")
    found = Judged(Manifests(dockerfiles=[pattern]))
    assert found.misses == {"manifests.dockerfile": {"user"}}
    assert "Dockerfile.bad" in found.texts["manifests.dockerfile"]
    alone = Judged(Manifests(dockerfiles=[str(folder / "Dockerfile.bad")]))
    assert alone.misses == {"manifests.dockerfile": set()}


def test_a_missing_parser_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from readiness.areas.manifests import dockerfile
    from readiness.model.errors import CouldNotMeasure

    monkeypatch.setattr(dockerfile, "find_spec", lambda _: None)
    with pytest.raises(CouldNotMeasure, match="package dockerfile") as caught:
        dockerfile.read(folder / "Dockerfile")
    assert caught.value.remedy == "pip install dockerfile"
