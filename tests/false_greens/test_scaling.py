"""M3: a field that is absent is the platform's default, and that is what is judged.

The reference's manifests lose one field each. Polaris takes an absent `minReplicas` as good.
"""

from pathlib import Path

import pytest

from readiness.areas.scaling.reference import copy_manifests
from tests.scaling.test_scaling_faults import missed, shop

METRICS = """\
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
    - type: Resource
      resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}
"""
BEHAVIOR = """\
  behavior:
    scaleUp:
      policies: [{type: Pods, value: 2, periodSeconds: 15}]
    scaleDown:
      policies: [{type: Pods, value: 1, periodSeconds: 60}]
"""
PROXY = """\
          resources:
            requests: {cpu: 50m, memory: 64Mi}
            limits: {memory: 64Mi}
"""


@pytest.mark.parametrize(
    ("file", "field", "misses"),
    [
        # 1; and of one replica a budget of one lets all go.
        (
            "autoscaler.yaml",
            "  minReplicas: 3\n",
            {"autoscaler": {"min-replicas"}, "disruption": {"remaining"}},
        ),
        # CPU at 80 %, and nothing of memory.
        ("autoscaler.yaml", METRICS, {"autoscaler-policy": {"metric", "utilization"}}),
        # Four pods or the double up; all of them down at once.
        ("autoscaler.yaml", BEHAVIOR, {"autoscaler-policy": {"added-at-most", "removed-at-most"}}),
        # All at once, after 300 s.
        (
            "autoscaler.yaml",
            "    scaleDown:\n      policies: [{type: Pods, value: 1, periodSeconds: 60}]\n",
            {"autoscaler-policy": {"removed-at-most"}},
        ),
        # 25 %: two of ten.
        (
            "deployment.yaml",
            "    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}\n",
            {"disruption": {"unavailable"}},
        ),
        ("deployment.yaml", ", maxUnavailable: 0", {"disruption": {"unavailable"}}),
        # Nothing: a share of nothing is unknown.
        # And the quota refuses such a container.
        (
            "deployment.yaml",
            PROXY,
            {"capacity": {"cpu-request", "memory-request", "memory-limit", "quota"}},
        ),
        # Nothing may go.
        ("around.yaml", "  maxUnavailable: 1\n", {"disruption": {"evictable"}}),
        # None selects no pod.
        ("around.yaml", "  selector:\n    matchLabels: {app: shop}\n", {"disruption": {"budget"}}),
        # It acts.
        ("autoscaler.yaml", '  updatePolicy: {updateMode: "Off"}\n', {"autoscaler": {"conflict"}}),
    ],
)
def test_m3_an_absent_field_is_the_platforms_default(
    file: str, field: str, misses: dict[str, set[str]], tmp_path: Path
) -> None:
    folder = copy_manifests(tmp_path)
    path = folder / file
    text = path.read_text()
    assert field in text
    path.write_text(text.replace(field, "", 1))
    assert missed(shop(folder)) == {
        f"scaling.{check}[shop]": keys for check, keys in misses.items()
    }


@pytest.mark.parametrize(
    ("condition", "key"), [("AbleToScale", "able-to-scale"), ("ScalingActive", "scaling-active")]
)
def test_m3_a_condition_that_is_not_reported_fails(
    condition: str, key: str, tmp_path: Path
) -> None:
    folder = copy_manifests(tmp_path)
    path = folder / "live.json"
    path.write_text(path.read_text().replace(f'"{condition}"', '"SomethingElse"'))
    assert missed(shop(folder)) == {"scaling.autoscaler-live[shop]": {key}}
