"""M3, M4, M5, C14: what is absent, empty or misspelled in manifests is judged by its effect.

polaris takes `tls: []` as TLS, hadolint sees no USER that is not there (#328), and most readers
of manifests ignore a field that does not exist.
"""

from pathlib import Path

import pytest

from readiness.areas.manifests import reference
from readiness.areas.manifests.config import Manifests
from tests.support.manifest_checks import HAS_PARSER, Judged


@pytest.mark.parametrize(
    ("file", "old", "new", "misses"),
    [
        # M4: an empty list is there, and encrypts nothing.
        (
            "traffic.yaml",
            "tls: [{hosts: [orders.example.com], secretName: orders-tls}]",
            "tls: []",
            {"manifests.ingress": {"tls"}},
        ),
        # C14: `strict decoding error: unknown field`.
        (
            "orders.yaml",
            "maxUnavailable",
            "maxUnavailible",
            {"manifests.valid": {"known-fields"}},
        ),
        # M3: absent, so that the platform's default holds: no seccomp, the image's user, 30 s.
        (
            "orders.yaml",
            "        seccompProfile: {type: RuntimeDefault}\n",
            "",
            {"manifests.hardening": {"seccomp"}},
        ),
        ("orders.yaml", "            runAsUser: 10001\n", "", {"manifests.privileges": {"root"}}),
        # M4: the rule without peers and ports was meant as nothing.
        (
            "traffic.yaml",
            "  policyTypes: [Ingress]\n",
            "  ingress: [{}]\n",
            {"manifests.network": {"open"}},
        ),
        # M5: the absence of USER is root.
        pytest.param(
            "Dockerfile",
            "USER 10001:10001\n",
            "",
            {"manifests.dockerfile": {"user"}},
            marks=pytest.mark.skipif(not HAS_PARSER, reason="dockerfile is not installed"),
        ),
    ],
)
def test_the_effect_is_judged(
    file: str, old: str, new: str, misses: dict[str, set[str]], tmp_path: Path
) -> None:
    reference.copy_files(tmp_path)
    folder = tmp_path / reference.FOLDER
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    found = Judged(
        Manifests(
            kubernetes=[str(folder / "[ot]*.yaml")],
            compose=str(folder / "compose.yaml"),
            dockerfiles=[str(folder / "Dockerfile")] if HAS_PARSER else [],
        )
    )
    assert found.misses == misses
