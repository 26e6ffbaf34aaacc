"""Reads built images from files, without an engine: `docker save`, `podman save`, OCI layouts.

Formats: the OCI image specification 1.1 and the archive of docker save, whose `manifest.json`
names the configuration and the layers. Every layer is read once, as a stream, and its digest is
compared: one that is cut off would otherwise look as if it had no secrets.
"""

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from readiness.lib.text import clean, listed
from readiness.model.errors import CouldNotMeasure, NoData

_T = TypeVar("_T")
_SAVE: Final = "docker save IMAGE --output FILE, or skopeo copy docker-daemon:IMAGE oci:FOLDER"
MOST_BYTES: Final = 8 << 30
"""Bytes of all files of an image, and of an archive, that are read at most."""
_MOST_FILES: Final = 1_000_000
_LONGEST_NAME: Final = 1 << 20
_LARGEST_JSON: Final = 8 << 20
LARGEST_TEXT: Final = 1 << 20
"""Bytes; larger files are not looked into."""
_NAMES: Final = {
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}  # fmt: skip
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ATTESTATION: Final = "vnd.docker.reference.type"
_REMOVED: Final = ".wh."
_REPLACED: Final = ".wh..wh..opq"
_DEEPEST: Final = 4


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True
    )


class _Platform(_Part):
    architecture: str = ""
    os: str = ""


class _Descriptor(_Part):
    model_config = ConfigDict(alias_generator=to_camel)

    media_type: str = ""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None


class _Index(_Part):
    manifests: list[_Descriptor]


class _Manifest(_Part):
    config: _Descriptor
    layers: list[_Descriptor]


class _Saved(_Part):
    """One image of `docker save`."""

    config: str = Field(alias="Config")
    layers: list[str] = Field(alias="Layers")
    tags: list[str] | None = Field(None, alias="RepoTags")


class HealthCheck(_Part):
    """The health check; its first word is NONE, CMD or CMD-SHELL."""

    test: list[str] | None = Field(None, alias="Test")


class Settings(_Part):
    """How a container of the image runs."""

    user: str = Field("", alias="User")
    env: list[str] | None = Field(None, alias="Env")
    entrypoint: list[str] | None = Field(None, alias="Entrypoint")
    cmd: list[str] | None = Field(None, alias="Cmd")
    health_check: HealthCheck | None = Field(None, alias="Healthcheck")


class Step(_Part):
    """A step of its history: the instruction that made it."""

    created_by: str = ""


class _RootFs(_Part):
    diff_ids: list[str]


class Configuration(_Part):
    """The configuration of an image."""

    architecture: str = ""
    config: Settings = Settings()
    history: list[Step] | None = None
    rootfs: _RootFs


_INDEX: Final = TypeAdapter(_Index)
_MANIFEST: Final = TypeAdapter(_Manifest)
_SAVED: Final = TypeAdapter(list[_Saved])
_CONFIGURATION: Final = TypeAdapter(Configuration)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a layer.

    Attributes:
        path: from the root of the image, without a slash before it.
        layer: the number of its layer, from 1.
        content: of a regular file of at most `LARGEST_TEXT` bytes; else empty.
        is_removed: whether a later layer removes it: it can be read all the same.
    """

    path: str
    layer: int
    content: bytes = b""
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was built.

    Attributes:
        name: the file or folder, with the platform where it has several.
        configuration: how it runs, and how it was made.
        kept: the files that were chosen, of every layer, also those that a later one removes.
        layers: how many it has.
        size: bytes of all files of all layers.
        is_docker: whether it was saved in Docker's own format, which has a health check.
    """

    name: str
    configuration: Configuration
    kept: tuple[File, ...]
    layers: int
    size: int
    is_docker: bool = False

    @property
    def settings(self) -> Settings:
        """How a container of it runs."""
        return self.configuration.config


Chosen = Callable[[str, bytes], bool]
"""Whether to keep a file: by its path from the root, and its content if it is not too large."""


def read(path: Path, chosen: Chosen) -> list[Image]:
    """The images of a file or folder: of an index of several platforms, each.

    Raises:
        NoData: it does not exist, is no image, or is damaged.
        CouldNotMeasure: it cannot be read, or is larger than `MOST_BYTES`.
    """
    try:
        with closing(_opened(path)) as place:
            return list(_images(path, place, chosen))
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise NoData(
            f"the image cannot be read: {clean(str(error), 80) or type(error).__name__}",
            where=str(path),
            remedy=_SAVE,
        ) from None
    except RecursionError:
        raise NoData("the image has JSON that is nested too deeply", where=str(path)) from None


def _opened(path: Path) -> "_Folder | _Archive":
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise NoData("the image is not there", where=str(path), remedy=_SAVE)
    try:
        return _Archive(path)
    except tarfile.ReadError:
        raise NoData("is not an archive, or is cut off", where=str(path), remedy=_SAVE) from None


class _Folder:
    """An OCI layout."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def close(self) -> None:
        """Nothing is open."""

    def open(self, name: str) -> IO[bytes] | None:
        """A file of it; None if there is none. Names are `index.json` or made of a digest."""
        path = self._path / name
        return path.open("rb") if path.is_file() else None


class _Entry(tarfile.TarInfo):
    """A header whose long names are limited: tarfile reads them into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """As of `TarInfo`, which says that it can be overridden; `frombuf` is not always called."""
        if self.size > _LONGEST_NAME and self.type in _NAMES:
            raise NoData("the archive has a header that is longer than any name", remedy=_SAVE)
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


class _Archive:
    """An archive of `docker save`, or of an OCI layout."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as opened:
            file = opened.enter_context(path.open("rb"))
            self._tar = opened.enter_context(tarfile.open(fileobj=file, tarinfo=_Entry))
            self._members: dict[str, tarfile.TarInfo] = {}
            counted = _Counted(str(path))
            for member in self._tar:
                counted.add(member.size)
                self._members[member.name.removeprefix("./")] = member
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def open(self, name: str) -> IO[bytes] | None:
        """A file of it, also by a link; None if there is none."""
        member = self._members.get(name)
        return self._tar.extractfile(member) if member else None


class _Counted:
    """Counts files and bytes, and refuses more than an image has."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.bytes = 0
        self._files = 0

    def add(self, size: int) -> None:
        """Add a file."""
        self.bytes += size
        self._files += 1
        if self.bytes > MOST_BYTES or self._files > _MOST_FILES:
            raise CouldNotMeasure(
                f"the image has more than {MOST_BYTES >> 30} GiB, or {_MOST_FILES:,} files",
                where=self._where,
                remedy="name the image that is deployed, or scan this one with trivy image",
            )


def _images(path: Path, place: "_Folder | _Archive", chosen: Chosen) -> Iterator[Image]:
    saved = place.open("manifest.json")
    if saved:
        for image in _parsed(_SAVED, saved, path, "manifest.json"):
            tags = listed(image.tags or ())
            found = _image(path, place, image.config, image.layers, chosen, tags)
            yield replace(found, is_docker=True)
        return
    index = place.open("index.json")
    if index is None:
        raise NoData(
            "is neither an archive of docker save nor an OCI layout", where=str(path), remedy=_SAVE
        )
    parsed = _parsed(_INDEX, index, path, "index.json")
    manifests = list(_manifests(path, place, parsed, _DEEPEST))
    if not manifests:
        raise NoData("the index names no image", where=str(path), remedy=_SAVE)
    for platform, one in manifests:
        layers = [_blob(layer.digest) for layer in one.layers]
        name = platform if len(manifests) > 1 else ""
        yield _image(path, place, _blob(one.config.digest), layers, chosen, name)


def _manifests(
    path: Path, place: "_Folder | _Archive", index: _Index, deepest: int
) -> Iterator[tuple[str, _Manifest]]:
    for one in index.manifests:
        if _ATTESTATION in (one.annotations or {}):
            continue
        name = _blob(one.digest)
        blob = _must(place, name, path)
        if one.media_type in _INDEXES and deepest:
            yield from _manifests(path, place, _parsed(_INDEX, blob, path, name), deepest - 1)
        else:
            known = one.platform
            platform = f"{known.os}/{known.architecture}" if known else ""
            yield platform, _parsed(_MANIFEST, blob, path, name)


def _image(
    path: Path,
    place: "_Folder | _Archive",
    config: str,
    layers: Sequence[str],
    chosen: Chosen,
    name: str,
) -> Image:
    shown = f"{path} ({clean(name)})" if name else str(path)
    found = _parsed(_CONFIGURATION, _must(place, config, path), path, "configuration")
    digests = found.rootfs.diff_ids
    if len(digests) != len(layers) or not layers:
        raise NoData(
            f"the image has {len(layers)} layers, and its configuration names {len(digests)}",
            where=shown,
            remedy=_SAVE,
        )
    counted = _Counted(shown)
    kept: list[File] = []
    for number, (layer, digest) in enumerate(zip(layers, digests, strict=True), 1):
        with _unpacked(_must(place, layer, path), number, shown) as stream:
            files, gone = _of_layer(stream, number, counted, chosen)
        kept = [_later(one, gone) for one in kept] + files
        if not stream.matches(digest):
            raise NoData(f"layer {number} is damaged or cut off", where=shown, remedy=_SAVE)
    return Image(shown, found, tuple(kept), len(layers), counted.bytes)


def _later(one: File, gone: frozenset[str]) -> File:
    """A file after the next layer, which removes it, or a folder above it."""
    parents = [one.path, *map(str, Path(one.path).parents)]
    removed = one.is_removed or not gone.isdisjoint(parents)
    return File(one.path, one.layer, one.content, removed)


def _of_layer(
    stream: "_Hashed", number: int, counted: _Counted, chosen: Chosen
) -> tuple[list[File], frozenset[str]]:
    """The files of a layer that are kept, and the paths that it removes or replaces."""
    kept: list[File] = []
    gone: set[str] = set()
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Entry) as tar:
        for member in tar:
            counted.add(member.size)
            path = member.name.removeprefix("./").strip("/")
            folder, _, name = path.rpartition("/")
            if name == _REPLACED:
                gone.add(folder or ".")
            elif name.startswith(_REMOVED):
                gone.add(f"{folder}/{name[len(_REMOVED) :]}" if folder else name[len(_REMOVED) :])
            elif not member.isdir():
                gone.add(path)
                content = _content(tar, member)
                if chosen(path, content):
                    kept.append(File(path, number, content))
            tar.members = []  # type: ignore[attr-defined]  # or it keeps every header
    stream.finish()
    return kept, frozenset(gone)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isreg() or member.size > LARGEST_TEXT:
        return b""
    file = tar.extractfile(member)
    return file.read() if file else b""


class _Hashed(io.RawIOBase):
    """A stream that knows the digest of all that was read."""

    def __init__(self, source: IO[bytes], where: str) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._counted = _Counted(where)

    def readable(self) -> bool:
        """As of every stream."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As of every stream."""
        data = self._source.read(size)
        self._hash.update(data)
        self._counted.bytes += len(data)
        return data

    def finish(self) -> None:
        """Read what follows the last file: it belongs to the digest."""
        while self.read(1 << 20):
            if self._counted.bytes > MOST_BYTES:
                self._counted.add(0)

    def matches(self, digest: str) -> bool:
        """Whether all that was read has this digest."""
        return f"sha256:{self._hash.hexdigest()}" == digest


@contextmanager
def _unpacked(blob: IO[bytes], number: int, where: str) -> Iterator[_Hashed]:
    """A layer without its compression."""
    with blob:
        start = blob.read(4)
        blob.seek(0)
        if start == _ZSTD:
            raise CouldNotMeasure(
                f"layer {number} is compressed with zstd, which is not read here",
                where=where,
                remedy="docker save, or skopeo copy --dest-compress-format gzip oci:A oci:B",
            )
        if start.startswith(_GZIP):
            with gzip.GzipFile(fileobj=blob) as packed:
                yield _Hashed(packed, where)  # type: ignore[arg-type]  # it reads bytes
        else:
            yield _Hashed(blob, where)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _must(place: "_Folder | _Archive", name: str, path: Path) -> IO[bytes]:
    blob = place.open(name)
    if blob is None:
        raise NoData(f"{clean(name, 100)} is missing in it", where=str(path), remedy=_SAVE)
    return blob


def _parsed(kind: "TypeAdapter[_T]", blob: IO[bytes], path: Path, name: str) -> _T:
    with blob:
        text = blob.read(_LARGEST_JSON + 1)
    if len(text) > _LARGEST_JSON:
        raise NoData(f"{clean(name, 100)} is larger than 8 MiB", where=str(path))
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
        what = clean(": ".join([".".join(map(str, first["loc"])), first["msg"]]), 120)
        raise NoData(
            f"{clean(name, 100)} is not valid: {what}", where=str(path), remedy=_SAVE
        ) from None
