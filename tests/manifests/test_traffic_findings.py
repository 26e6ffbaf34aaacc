"""Services, Ingresses and network policies: judged by their effect, and healthy variants pass."""

from pathlib import Path

import pytest

from readiness.areas.manifests import reference
from tests.support.manifest_checks import judged

TLS = "tls: [{hosts: [orders.example.com], secretName: orders-tls}]"
RPM = 'nginx.ingress.kubernetes.io/limit-rpm: "100"'
FACTOR = 'nginx.ingress.kubernetes.io/limit-burst-multiplier: "1"'
BODY = "nginx.ingress.kubernetes.io/proxy-body-size: 10m"
CLASS = "ingressClassName: nginx"
DENY = "  podSelector: {}\n  policyTypes: [Ingress]\n"
RULE = """\
    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reference.copy_files(tmp_path)
    place = tmp_path / reference.FOLDER
    for name in ("compose.yaml", "Dockerfile"):
        (place / name).unlink()
    return place


@pytest.mark.parametrize(
    ("old", "new", "misses"),
    [
        # Services.
        ("targetPort: http", "targetPort: 8080", {}),
        ("port: 80, targetPort: http", "port: 8080", {}),
        ("targetPort: http", "targetPort: web", {"services": {"port"}}),
        ("  selector: {app.kubernetes.io/name: orders, ", "  selector: {", {}),
        ("  selector: {", "  externalName: x.example.com\n  type: ExternalName\n  x: {",
         {"valid": {"known-fields"}}),
        # Ingresses: the certificate.
        (TLS, "tls: [{hosts: ['*.example.com'], secretName: a}]", {}),
        (TLS, "tls: [{hosts: ['*.com'], secretName: a}]", {"ingress": {"tls"}}),
        (TLS, "tls: [{secretName: orders-tls}]", {}),
        (TLS, "tls: [{}]", {"ingress": {"tls"}}),
        ("- host: orders.example.com\n      http", "- http", {"ingress": {"tls"}}),
        (TLS, "tls: [{hosts: [], secretName: ''}]", {"ingress": {"tls"}}),
        (f"{TLS}\n", "x: 1\n", {"ingress": {"tls"}, "valid": {"known-fields"}}),
        (RPM, f"{RPM}\n    alb.ingress.kubernetes.io/certificate-arn: arn:aws:x", {}),
        # The redirect is on by default where there is TLS.
        (RPM, f'{RPM}\n    nginx.ingress.kubernetes.io/ssl-redirect: "true"', {}),
        (RPM, f'{RPM}\n    nginx.ingress.kubernetes.io/ssl-redirect: "false"',
         {"ingress": {"redirect"}}),
        # The rate: the burst comes on top.
        (RPM, "x: z", {"ingress": {"rate"}}),
        (FACTOR, 'nginx.ingress.kubernetes.io/limit-burst-multiplier: "2"', {"ingress": {"rate"}}),
        (RPM, 'nginx.ingress.kubernetes.io/limit-rps: "1"', {}),
        (RPM, 'nginx.ingress.kubernetes.io/limit-rps: "4"', {"ingress": {"rate"}}),
        (RPM, "nginx.ingress.kubernetes.io/limit-rpm: many", {"ingress": set()}),
        # The body: 1 MiB by default.
        (BODY, "x: z", {}),
        (BODY, "nginx.ingress.kubernetes.io/proxy-body-size: 1g", {"ingress": {"body"}}),
        (BODY, "nginx.ingress.kubernetes.io/proxy-body-size: ten", {"ingress": set()}),
        (CLASS, "ingressClassName: internal-nginx", {}),
        ("name: orders, port: {name: http}", "name: orders, port: {number: 80}", {}),
        ("name: orders, port: {name: http}", "name: order, port: {number: 80}",
         {"ingress": {"backend"}}),
        # Policies: Ingress is the default type.
        (DENY, "  podSelector: {}\n", {}),
        (DENY, "  podSelector: {matchLabels: {a: b}}\n", {"network": {"isolated"}}),
        (DENY, "  podSelector: {}\n  ingress: []\n", {}),
        (DENY, "  podSelector: {}\n  ingress: [{}]\n", {"network": {"open"}}),
        (RULE, "    -\n", {}),
    ],
)  # fmt: skip
def test_the_effect_decides(old: str, new: str, misses: dict[str, set[str]], folder: Path) -> None:
    path = folder / "traffic.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1).replace("    -\n      ports", "    - ports"))
    found = judged(folder, requests_per_min=200, max_body_bytes=10 * 1024 * 1024)
    assert {k.removeprefix("manifests."): v for k, v in found.misses.items()} == misses


def test_limits_of_another_controller_are_an_error(folder: Path) -> None:
    path = folder / "traffic.yaml"
    text = path.read_text().replace(CLASS, "ingressClassName: traefik")
    path.write_text(text.replace("nginx.ingress.kubernetes.io", "example.com"))
    assert judged(folder).misses == {}
    found = judged(folder, max_body_bytes=1000)
    assert found.misses == {"manifests.ingress": set()}
    assert "not declared in it" in found.texts["manifests.ingress"]


def test_without_an_ingress_and_a_service_nothing_is_judged_of_them(folder: Path) -> None:
    path = folder / "traffic.yaml"
    documents = path.read_text().split("---\n")
    path.write_text("---\n".join(documents[2:]))
    found = judged(folder)
    assert found.misses == {}
    assert found.unfit == {"manifests.ingress", "manifests.services"}


def test_namespaces_are_apart(folder: Path) -> None:
    path = folder / "traffic.yaml"
    path.write_text(path.read_text().replace("namespace: orders", "namespace: other", 1))
    assert judged(folder).misses == {
        "manifests.services": {"selects"},
        "manifests.ingress": {"backend"},
    }
