"""The manifests of the orders, what breaks them, and the table of readiness.toml about them."""

import contextlib
from collections.abc import Iterator
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from readiness.areas.manifests.probes.linters import program
from readiness.areas.manifests.reference import image
from readiness.servers.files import kept, quoted, replace_in
from readiness.servers.programs import refused

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
    image.write(image.Built(), target / IMAGE)


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
    def build_image(self, built: image.Built) -> Iterator[None]:
        """Replace the image by another one."""
        path = self._files / IMAGE
        with kept(path):
            image.write(built, path)
            yield

    @contextlib.contextmanager
    def add_file(self, name: str, text: str) -> Iterator[None]:
        """Add a file."""
        path = self._files / name
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.unlink()
