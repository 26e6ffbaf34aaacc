"""The manifests of the reference system, and what breaks them."""

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from readiness.areas.manifests.probes.linters import program
from readiness.servers.files import kept, quoted, replace_in
from readiness.servers.programs import refused

_PASSWD: Final = b"root:x:0:0:root:/root:/bin/sh\norders:x:10001:10001::/app:/bin/sh\n"
_HEALTH: Final = ("CMD", "python", "-m", "orders.healthy")
Layer = Mapping[str, bytes]
"""The files of a layer by their paths; `.wh.NAME` removes one of a layer before it."""
_BASE: Final[Layer] = {"etc/passwd": _PASSWD, "usr/local/bin/python3.12": b"\x7fELF"}
_APP: Final[Layer] = {"app/orders/__init__.py": b"", "app/orders/healthy.py": b"import sys\n"}


@dataclass(frozen=True, slots=True)
class Built:
    """An image, healthy as it is.

    Attributes:
        user: as USER has it.
        health: the words of the health check; none without words.
        entrypoint: the program.
        variables: those of ENV.
        steps: the history, an instruction each.
        layers: the first one first.
    """

    user: str = "10001:10001"
    health: Sequence[str] = _HEALTH
    entrypoint: Sequence[str] = ("orders",)
    variables: Sequence[str] = ("PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED=1")
    steps: Sequence[str] = (
        "/bin/sh -c #(nop) ADD file:1 in / ",
        "RUN /bin/sh -c python -m pip install --no-index --find-links=/wheels orders # buildkit",
        "USER 10001:10001",
    )
    layers: Sequence[Layer] = field(default=(_BASE, _APP))

    def with_layers(self, *more: Layer) -> tuple[Layer, ...]:
        """Its layers, and more of them."""
        return (*self.layers, *more)

    def configuration(self) -> dict[str, object]:
        """Its configuration, as the specification of OCI images has it."""
        health = {"Healthcheck": {"Test": list(self.health)}} if self.health else {}
        return {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": self.user,
                "Env": list(self.variables),
                "Entrypoint": list(self.entrypoint),
                **health,
            },
            "history": [{"created_by": step} for step in self.steps],
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar_of(one)) for one in self.layers]},
        }


def write(image: Built, path: Path) -> None:
    """Write an image as `docker save` of an engine from version 25 on does."""
    layers = [tar_of(one) for one in image.layers]
    config = json.dumps(image.configuration()).encode()
    names = [_blob(one) for one in layers]
    saved = [{"Config": _blob(config), "RepoTags": ["orders:1.5.0"], "Layers": names}]
    files = dict(zip(names, layers, strict=True))
    path.write_bytes(
        tar_of({**files, _blob(config): config, "manifest.json": json.dumps(saved).encode()})
    )


def tar_of(files: Layer) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(content: bytes) -> str:
    return f"blobs/{_digest(content).replace(':', '/')}"


FOLDER: Final = "manifests"
IMAGE: Final = "orders.tar"
_PACKAGE: Final = "dockerfile"
PARSER: Final = "parser of Dockerfiles"
"""A part of the reference system, which a machine may lack."""
LINTER: Final = "compose-lint"
"""The same."""


def manifests(folder: Path, *, has_linter: bool) -> str:
    """[manifests], with the folder of the system."""
    place = folder / FOLDER
    return _MANIFESTS.format(
        kubernetes=quoted(str(place / "[ot]*.yaml")),
        compose=quoted(str(place / "compose.yaml")),
        dockerfiles=quoted(str(place / "Dockerfile")),
        image=quoted(str(place / IMAGE)),
        linters=_LINTERS if has_linter else "",
    )


_MANIFESTS: Final = """
# What is declared of the service of the orders: on Kubernetes, and on one host.
[manifests]
kubernetes = [{kubernetes}]
zones = true
requests_per_min = 200
max_body_bytes = 10_485_760
compose = {compose}
dockerfiles = [{dockerfiles}]
images = [{image}]
{linters}"""
# Digests, limits of CPU and capabilities of services are not agreed here; 8080 is for clients. A
# password is mounted from the temporary folder, which may be below /dev or /root.
_LINTERS: Final = """\
linters = ["compose-lint"]
linters_accept = ["CL-0003", "CL-0005", "CL-0006", "CL-0013", "CL-0019", "CL-0026"]
"""


def copy_files(folder: Path) -> None:
    """Copy the files into a folder, as the repository of the orders would have them."""
    target = folder / FOLDER
    target.mkdir()
    for file in resources.files(__package__).joinpath("files").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    write(Built(), target / IMAGE)


def absent() -> dict[str, str]:
    """The parts that this machine lacks, with the reason."""
    missing = {}
    if not find_spec(_PACKAGE) or refused(_PACKAGE):
        missing[PARSER] = (
            f"the package {_PACKAGE} is not installed; it has no wheel for some machines"
        )
    if not program(LINTER) or refused(LINTER):
        missing[LINTER] = f"{LINTER} is not installed"
    return missing


class ManifestLevers:
    """What can be broken about the files; a part of `Levers`."""

    _files: Path

    @contextlib.contextmanager
    def edit_file(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in one of the files, once.

        Raises:
            ReferenceSystemError: the text is not there.
        """
        path = self._files / name
        with kept(path):
            replace_in(path, old, new, count=1)
            yield

    @contextlib.contextmanager
    def build_image(self, built: Built) -> Iterator[None]:
        """Replace the image by another one."""
        path = self._files / IMAGE
        with kept(path):
            write(built, path)
            yield
