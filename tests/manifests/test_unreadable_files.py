"""Files that cannot be read, and objects that are not valid: the others are judged."""

from pathlib import Path

import pytest

from readiness.areas.manifests import reference
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.workloads import Agreed
from tests.support.manifest_checks import Judged, judged

SECRET = "correct-horse-battery"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
WHOLE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: more, namespace: orders}
data: {x: "1"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reference.copy_files(tmp_path)
    return tmp_path / reference.FOLDER


def with_file(folder: Path, text: str | bytes) -> Judged:
    data = text.encode() if isinstance(text, str) else text
    (folder / "more.yaml").write_bytes(data)
    manifests = Manifests(kubernetes=[f"{folder}/[otm]*.yaml"])
    return Judged(manifests)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "aliases expand to too much"),
        (WHOLE + "data: {x: 2}\n", "duplicate key"),
        ("kind: Deployment\nmetadata:\n  {{- include 'x' . | nindent 2 }}\n", "render it first"),
        ("{{ if .Values.enabled }}\nkind: Service\n", "render it first"),
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "Kustomization"),
        ("services: {web: {image: nginx}}\n", "not a Kubernetes object"),
        (b"\xff\xfe\x00kind", "not UTF-8"),
        (f"apiVersion: v1\nkind: [\npassword: {SECRET}\n", "cannot be read"),
        ("[" * 5000, "nested too"),
        (WHOLE.replace("name: more", "name: orders"), "duplicate ConfigMap 'orders'"),
    ],
    ids=[
        "bomb", "duplicate key", "helm", "template", "kustomization", "compose", "binary",
        "cut off", "deep", "duplicate object",
    ],
)  # fmt: skip
def test_an_unreadable_file_is_an_error_of_one_check(
    text: str | bytes, words: str, folder: Path
) -> None:
    found = with_file(folder, text)
    assert found.misses == {"manifests.valid": set()}
    assert words in found.texts["manifests.valid"]
    assert SECRET not in str(found.texts)


def test_what_is_wrong_beside_an_unreadable_file_is_found(folder: Path) -> None:
    path = folder / "orders.yaml"
    path.write_text(path.read_text().replace("readOnlyRootFilesystem: true", "", 1))
    found = with_file(folder, "a: [")
    assert found.misses == {
        "manifests.valid": set(),
        "manifests.hardening": {"read-only-root"},
    }


def test_what_may_be_in_an_unreadable_file_is_not_said_to_be_missing(folder: Path) -> None:
    path = folder / "traffic.yaml"
    path.write_text(path.read_text().partition("---")[0])
    assert with_file(folder, WHOLE).misses == {"manifests.network": {"isolated"}}
    unknown = {"manifests.valid", "manifests.network", "manifests.ingress"}
    assert with_file(folder, "a: [").misses == {key: set() for key in unknown}


def test_an_object_that_is_not_valid_fails_and_the_others_are_judged(folder: Path) -> None:
    text = WHOLE.replace('{x: "1"}', f"{{x: {{password: {SECRET}}}}}")
    found = with_file(folder, text)
    assert found.misses["manifests.valid"] == {"accepted"}
    assert "manifests.privileges" not in found.misses
    assert SECRET not in str(found.texts)


def test_values_of_another_type_do_not_stop_the_other_checks(folder: Path) -> None:
    path = folder / "orders.yaml"
    probe = "livenessProbe: {exec: sh, failureThreshold: many}\n          x-old:"
    path.write_text(path.read_text().replace("livenessProbe:", probe, 1))
    found = Judged(Manifests(kubernetes=[f"{folder}/[ot]*.yaml"]))
    assert found.misses == {"manifests.valid": {"accepted", "known-fields"}}


def test_anchors_and_lists_are_read(folder: Path) -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: ConfigMap\n  metadata: &m {name: a, namespace: orders}\n"
        "- apiVersion: v1\n  kind: Secret\n  metadata: *m\n  data: {password: eA==}\n"
    )
    assert with_file(folder, text).misses == {}


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n---\n"], ids=["empty", "comment", "none"]
)
def test_files_without_objects_are_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    found = judged(tmp_path)
    assert set().union(*found.misses.values()) == set()
    assert not found.unfit
    assert all("no Kubernetes object" in text for text in found.texts.values())


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert not found.unfit
    assert all("matches no file" in text for text in found.texts.values())


def test_an_image_that_is_a_template_is_an_error(folder: Path) -> None:
    path = folder / "orders.yaml"
    path.write_text(path.read_text().replace("orders:1.5.0", "orders:{{ .Values.tag }}", 1))
    found = Judged(Manifests(kubernetes=[f"{folder}/[ot]*.yaml"]))
    assert "is a template" in found.texts["manifests.images"]
    assert found.misses["manifests.images"] == set()


def test_custom_resources_are_named_and_not_judged(folder: Path) -> None:
    text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\nspec: {sizee: 1}\n"
    assert with_file(folder, text).misses == {}


def test_what_scaling_judges_is_not_judged_twice(folder: Path) -> None:
    path = folder / "orders.yaml"
    text = path.read_text().replace("orders:1.5.0", "orders:latest", 1)
    path.write_text(text.replace("maxUnavailable", "maxUnavailible"))
    manifests = Manifests(kubernetes=[f"{folder}/[ot]*.yaml"])
    alone = Judged(manifests)
    assert alone.misses.keys() == {"manifests.valid", "manifests.images"}
    read = frozenset({path})
    for agreed in (
        Agreed("deployment/orders", "", read),
        Agreed("deployment/orders", "orders", read),
    ):
        assert Judged(manifests, [agreed]).misses == {}
    for other in (
        Agreed("deployment/other", "", read),
        Agreed("deployment/orders", "other", read),
        # They read another file, or the cluster alone.
        Agreed("deployment/orders", "", frozenset({folder / "traffic.yaml"})),
        Agreed("deployment/orders", "", is_live=True),
    ):
        assert Judged(manifests, [other]).misses == alone.misses
