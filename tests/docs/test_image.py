"""The container image: built by an engine, as the page says, and run without any right."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import docker  # type: ignore[import-untyped]
import pytest

from readiness.model.verdict import ExitCode
from tests.support import docker_engine
from tests.support.monitored_service import GATED, MonitoredService

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(
        not os.environ.get("READINESS_TEST_EXAMPLES"),
        reason="three quarters of a minute of both cores; `make test-examples` runs it",
    ),
]

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ROOT / "docs/integrations"
_PAGE: Final = (HERE / "kubernetes.md").read_text(encoding="utf-8")


def _commands() -> tuple[str, str]:
    """Those of the page that build the image, and run it."""
    (text,) = re.findall(r"^```sh\nmake dist\n(.*?)^```$", _PAGE, re.DOTALL | re.MULTILINE)
    build, run = re.split(r"^(?=docker run)", text, flags=re.MULTILINE)
    return build, run


@pytest.fixture(scope="module")
def folder(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the image was built: it has what a checkout has after `make dist`."""
    folder, apart = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("base")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    lock, wheels = ROOT / "requirements.lock", apart / "wheels"
    for command in (
        [*pip, "download", "--require-hashes", "-r", str(lock), "--dest", str(wheels)],
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")],
    ):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    shutil.copy(lock, folder)
    shutil.copytree(HERE, folder / "docs/integrations")
    (folder / "readiness.toml").write_text(GATED.format(url="${API_URL}"))
    with closing(docker.DockerClient(docker_host)) as engine:
        base = docker_engine.build_python(engine.api, apart / "layer.tar", wheels)
        done = _run(folder, docker_host, _commands()[0], "build", "--build-arg", f"BASE={base}")
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder
        for volume in engine.volumes.list():
            volume.remove()


def _run(
    folder: Path, host: str, line: str, command: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """A line of the page, with options that only this machine needs."""
    more = f"docker {command} {shlex.join(options)} "
    return subprocess.run(
        ["sh", "-c", line.replace(f"docker {command} ", more)],
        cwd=folder, env=os.environ | {"DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def _judged(folder: Path, host: str, url: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the record that the volume holds."""
    (folder / "readiness.env").write_text(f"API_URL={url}\n")
    line = _commands()[1].strip()
    done = _run(folder, host, line, "run", "--network", "host")
    read = _run(folder, host, f"{line} reports/readiness.json", "run", "--entrypoint", "cat")
    assert read.returncode == 0, done.stdout + done.stderr + read.stderr
    return done.returncode, json.loads(read.stdout)


def test_it_judges_as_nobody_on_a_root_that_is_read_only(folder: Path, docker_host: str) -> None:
    with MonitoredService() as service:
        code, record = _judged(folder, docker_host, service.url)
    assert (code, record["verdict"]) == (ExitCode.READY, "READY")
    assert record["run"]["user"] == "65532"
    code, record = _judged(folder, docker_host, "http://127.0.0.1:9")
    assert (code, record["verdict"]) == (ExitCode.INCOMPLETE, "INCOMPLETE")
