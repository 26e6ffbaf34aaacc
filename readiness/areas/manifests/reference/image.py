"""An image as `docker save` writes it, made without an engine: what `orders` was built to."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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
