"""Built images: every form in which tools write them, and what is broken is one clear error.

`skopeo copy` and the legacy archive of docker 20 were compared by hand; a running engine is asked
where there is one.
"""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.manifests import built
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.probes import images
from readiness.areas.manifests.reference import Built, tar_of, write
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import CheckFailed, Evidence
from tests.support.monitored_service import suite

SECRET = "x7Hd2kqP9w"
KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + 3 * b"MIIEowIBAAKCAQEA\n" + b"-----END RSA"
AWS = b"AKIA" + b"Q7HD2KQP9WXB2LMN"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write(Built(), tmp_path / "orders.tar")
    return tmp_path / "orders.tar"


def judged(path: Path, **more: Any) -> Evidence:
    evidence = Evidence()
    manifests = Manifests.model_validate({"images": [str(path)], **more}).placed("manifests")
    suite("manifests.test_images").test_built_image(manifests, evidence)
    return evidence


def missed(path: Path, **more: Any) -> set[str]:
    evidence = judged(path, **more)
    assert not evidence.lost
    return {one.key for one in evidence.measurements if one.is_missed}


def made(folder: Path, image: Built) -> Path:
    write(image, folder / "image.tar")
    return folder / "image.tar"


def layout(folder: Path, image: Built, *, packed: bool = True, platforms: int = 1) -> Path:
    """An OCI layout: a folder, its layers compressed."""
    blobs = folder / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    oci = "application/vnd.oci.image"
    layers = [gzip.compress(tar_of(one)) if packed else tar_of(one) for one in image.layers]
    config = put(json.dumps(image.configuration()).encode(), f"{oci}.config.v1+json")
    listed = [put(one, f"{oci}.layer.v1.tar+gzip") for one in layers]
    manifest = json.dumps({"config": config, "layers": listed}).encode()
    entry = put(manifest, f"{oci}.manifest.v1+json")
    several = [
        {**entry, "platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64")[:platforms]
    ]
    seal = {**entry, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    inner = put(json.dumps({"manifests": [*several, seal]}).encode(), f"{oci}.index.v1+json")
    (folder / "layout" / "index.json").write_text(json.dumps({"manifests": [inner]}))
    return folder / "layout"


def test_a_healthy_image_passes_in_every_form(archive: Path, tmp_path: Path) -> None:
    assert missed(archive) == set()
    assert missed(layout(tmp_path, Built())) == set()
    packed = tmp_path / "orders.tar.gz"
    packed.write_bytes(gzip.compress(archive.read_bytes()))
    assert missed(packed) == set()
    with tarfile.open(tmp_path / "oci.tar", "w") as tar:
        tar.add(tmp_path / "layout", ".")
    judged(tmp_path / "oci.tar").conclude()


def test_each_platform_of_an_index_is_judged(tmp_path: Path) -> None:
    path = layout(tmp_path, Built(user="root"), platforms=2)
    with pytest.raises(CheckFailed, match=r"2 found: .*amd64\): user root .*arm64\): user root"):
        judged(path).conclude()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user": "orders"}, set()),
        ({"user": "orders:root"}, set()),
        ({"user": "0:1000"}, {"user"}),
        ({"user": "root"}, {"user"}),
        ({"user": "nobody-here"}, {"user"}),
        ({"health": ()}, {"health-check"}),
        ({"health": ("NONE",)}, {"health-check"}),
        ({"health": ("CMD", "true")}, {"health-check"}),
        ({"variables": (f"API_TOKEN={SECRET}",)}, {"secret"}),
        ({"variables": ("API_TOKEN_FILE=/run/secrets/token", "GPG_KEY=E3FF28")}, set()),
        ({"steps": (f"RUN |1 TOKEN={SECRET} /bin/sh -c make",)}, {"secret"}),
        ({"steps": (f"RUN /bin/sh -c git clone https://bot:{SECRET}@git.acme.io",)}, {"secret"}),
        ({"steps": ("ARG INDEX_TOKEN", "ENV PATH=/bin")}, set()),
    ],
)
def test_what_a_configuration_says(
    change: dict[str, Any], expected: set[str], tmp_path: Path
) -> None:
    assert missed(made(tmp_path, replace(Built(), **change))) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("app/.env", f"DB_PASSWORD={SECRET}\n".encode(), {"secret"}),
        ("app/.env", b"PORT=8080\nDB_PASSWORD=${FROM_ELSEWHERE}\n", set()),
        ("app/.env.example", f"DB_PASSWORD={SECRET}\n".encode(), set()),
        ("root/.ssh/id_rsa", KEY, {"secret"}),
        ("etc/ssl/certs/ca.pem", b"-----BEGIN CERTIFICATE-----\nMII\n", set()),
        ("usr/lib/python3/pem.py", b'"-----BEGIN RSA PRIVATE KEY-----"\n', set()),
        ("usr/lib/python3/test/key.pem", KEY, set()),
        ("app/settings.py", b"KEY = '" + AWS + b"'\n", {"secret"}),
        ("app/botocore/doc.json", b"AKIAIOSFODNN7EXAMPLE", set()),
        ("root/.npmrc", f"//npm.acme.io/:_authToken={SECRET}\n".encode(), {"secret"}),
        ("root/.npmrc", b"//npm.acme.io/:_authToken=${NPM_TOKEN}\n", set()),
        ("root/.netrc", f"machine git login bot password {SECRET}\n".encode(), {"secret"}),
        ("root/.pgpass", f"db:5432:shop:shop:{SECRET}\n".encode(), {"secret"}),
        ("root/.docker/config.json", b'{"auths": {"r": {"auth": "Ym90Ong="}}}', {"secret"}),
        ("root/.aws/credentials", f"aws_secret_access_key = {SECRET}\n".encode(), {"secret"}),
        ("usr/bin/make", b"", {"build-tools"}),
        ("usr/local/go/bin/go", b"", {"build-tools"}),
        ("usr/bin/gcc-nm", b"", set()),
    ],
)  # fmt: skip
def test_what_a_file_is(name: str, content: bytes, expected: set[str], tmp_path: Path) -> None:
    image = replace(Built(), layers=Built().with_layers({name: content}))
    evidence = judged(made(tmp_path, image))
    assert {one.key for one in evidence.measurements if one.is_missed} == expected
    assert SECRET not in " ".join(evidence.failures)
    assert missed(made(tmp_path, image), public_files=[f"/{name}"]) <= {"build-tools"}


@pytest.mark.parametrize("gone", ["app/.wh..env", ".wh.app", "app/.wh..wh..opq", "app/.env"])
def test_a_file_that_a_later_layer_removes_is_still_there(gone: str, tmp_path: Path) -> None:
    layers = ({"app/.env": f"DB_PASSWORD={SECRET}".encode()}, {gone: b""})
    path = made(tmp_path, replace(Built(), layers=Built().with_layers(*layers)))
    with pytest.raises(CheckFailed, match=r"layer 3, /app/.env \(removed later.*: DB_PASSWORD"):
        judged(path).conclude()


def test_a_compiler_that_a_later_layer_removes_is_not_there(tmp_path: Path) -> None:
    layers = ({"usr/bin/gcc": b""}, {"usr/bin/.wh.gcc": b""})
    path = made(tmp_path, replace(Built(), layers=Built().with_layers(*layers)))
    assert missed(path) == set()


Change = Callable[[Path], None]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4000])


def _packed_and_cut(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes())[:-300])


def _edited(old: bytes, new: bytes) -> Change:
    def edit(path: Path) -> None:
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, 1))

    return edit


def _bomb(path: Path) -> None:
    """One header of 8 TiB, and a long name of 1 GiB beside it."""
    member = tarfile.TarInfo("big")
    member.size = 8 << 40
    path.write_bytes(member.tobuf() + b"\0" * 1024)


def _long_name(path: Path) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    path.write_bytes(member.tobuf() + b"\0" * 1024)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Path.unlink, "the image is not there"),
        (lambda path: path.write_bytes(b""), "is not an archive, or is cut off"),
        (lambda path: path.write_text("no archive"), "is not an archive"),
        (lambda path: path.write_bytes(tar_of({"a": b""})), "neither an archive of docker save"),
        (lambda path: path.write_bytes(tar_of({"manifest.json": b"<html>"})), "is not valid"),
        (lambda path: path.write_bytes(tar_of({"manifest.json": b"[{}]"})), "Config: Field req"),
        (lambda path: path.write_bytes(tar_of({"index.json": b'{"manifests": []}'})), "no image"),
        (_cut, "is not an archive, or is cut off"),
        (_packed_and_cut, "cannot be read"),
        (_edited(b"import sys", b"import os "), "layer 2 is damaged or cut off"),
        (_edited(b'"diff_ids"', b'"diff_idz"'), "rootfs.diff_ids: Field required"),
        (_bomb, "more than 8 GiB"),
        (_long_name, "a header that is longer than any name"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_one_error(change: Change, words: str, archive: Path) -> None:
    change(archive)
    with pytest.raises(CouldNotMeasure, match=words):
        judged(archive).conclude()


def test_a_layer_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 1 << 16)
    image = replace(Built(), layers=({"zeros": b"\0" * (1 << 17)},))
    with pytest.raises(CouldNotMeasure, match="the image has more than"):
        images.read(layout(tmp_path, image), built.Chosen([]))


def test_what_follows_the_last_file_of_a_layer_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 1 << 21)
    path = layout(tmp_path, Built())
    for blob in (path / "blobs" / "sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            tail = io.BytesIO(gzip.decompress(blob.read_bytes()) + b"\0" * (1 << 22))
            blob.write_bytes(gzip.compress(tail.getvalue()))
    with pytest.raises(CouldNotMeasure, match="the image has more than"):
        images.read(path, built.Chosen([]))


def test_zstd_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    path = layout(tmp_path, Built())
    for blob in (path / "blobs" / "sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    with pytest.raises(CouldNotMeasure, match="compressed with zstd") as caught:
        images.read(path, built.Chosen([]))
    assert "skopeo copy" in caught.value.remedy


def test_one_that_is_damaged_does_not_hide_the_others(archive: Path, tmp_path: Path) -> None:
    other = made(tmp_path, Built(user="root"))
    manifests = Manifests.model_validate({"images": ["/no/such.tar", str(other), str(archive)]})
    evidence = Evidence()
    suite("manifests.test_images").test_built_image(manifests.placed("manifests"), evidence)
    with pytest.raises(CheckFailed, match=r"user root.*not measured: /no/such.tar"):
        evidence.conclude()


@pytest.mark.contract
def test_what_skopeo_copies_is_read(archive: Path, tmp_path: Path) -> None:
    skopeo = shutil.which("skopeo")
    if not skopeo:
        pytest.skip("skopeo is not installed")
    for target in (f"oci:{tmp_path / 'copy'}:1", f"oci-archive:{tmp_path / 'copy.tar'}"):
        source = f"docker-archive:{archive}"
        subprocess.run(
            [skopeo, "--insecure-policy", "copy", source, target], check=True, timeout=60
        )
        with pytest.raises(NoData, match="need not show the health check") as caught:
            judged(Path(target.split(":")[1])).conclude()
        assert not getattr(caught.value, "__notes__", [])
    with pytest.raises(NoData, match="neither an archive"):
        images.read(tmp_path, built.Chosen([]))
