"""All checks of manifests and scaling on 125 workloads in 500 files, against reading them as YAML.

PYTHONPATH=. python benchmarks/bench_manifests.py [WORKLOADS]
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Final

import yaml

from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.probes import reading
from readiness.areas.manifests.workloads import Agreed, Side
from readiness.areas.scaling.config import Scaling
from readiness.areas.scaling.probes.sides import Sides, sides
from readiness.areas.scaling.probes.sides import written as written_files
from readiness.model.check import CheckSpec, spec_of
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Evidence, NotApplicable
from suites.manifests import test_pods, test_traffic
from suites.scaling import test_autoscaler, test_capacity, test_manifests

DEMANDED_S: Final = 10.0
FILES: Final = 4
SCALING: Final = (
    test_autoscaler.test_autoscaler,
    test_autoscaler.test_autoscaler_policy,
    test_capacity.test_capacity,
    test_capacity.test_disruption,
    test_manifests.test_manifests,
    test_manifests.test_pod_template,
)
MANIFESTS: Final = (
    *(test_pods.test_valid, test_pods.test_images, test_pods.test_privileges),
    *(test_pods.test_hardening, test_pods.test_secrets, test_pods.test_resources),
    *(test_pods.test_probes, test_pods.test_shutdown, test_pods.test_spread),
    *(test_traffic.test_services, test_traffic.test_network),
)


def main(count: int = 125) -> int:
    """0 if all checks of both areas end within the time."""
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), count)
        theirs = timed(lambda: read_by_yaml(Path(folder)))
        pattern, files = [f"{folder}/*.yaml"], frozenset(Path(folder).iterdir())
        workloads = [
            Scaling(name=f"shop-{n}", workload=f"deployment/shop-{n}", manifests=pattern)
            for n in range(count)
        ]
        times = {
            "manifests alone": timed(lambda: judge_manifests(pattern, [])),
            "scaling": timed(lambda: judge_scaling(workloads)),
            "manifests beside": timed(
                lambda: judge_manifests(
                    pattern, [Agreed(one.workload, "", files) for one in workloads]
                )
            ),
        }
    for name, seconds in times.items():
        print(f"{name:16} {seconds:8.2f} s for {count} workloads in {count * FILES} files")
    ours = sum(times.values()) - times["manifests alone"]
    print(f"yaml.safe_load   {theirs:8.2f} s: reading the files once")
    print(f"ratio            {ours / theirs:8.2f}; together {ours:.1f} s, at most {DEMANDED_S:g} s")
    return 0 if ours <= DEMANDED_S else 1


def written(folder: Path, count: int) -> None:
    """The shop of the reference system many times, each object in a file of its own."""
    source = resources.files("readiness.areas.scaling.reference").joinpath("kubernetes")
    texts = [
        document
        for name in ("deployment.yaml", "autoscaler.yaml", "around.yaml")
        for document in source.joinpath(name).read_text(encoding="utf-8").split("\n---\n")
    ]
    chosen = [text for text in texts if "Vertical" not in text and "ResourceQuota" not in text]
    for number in range(count):
        for part, text in enumerate(chosen):
            own = text.replace("name: shop", f"name: shop-{number}")
            own = own.replace("app: shop", f"app: shop-{number}")
            (folder / f"{number}-{part}.yaml").write_text(own, encoding="utf-8")


def timed(do: Callable[[], object]) -> float:
    """Seconds that it took."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def read_by_yaml(folder: Path) -> None:
    """Read all files."""
    for path in folder.iterdir():
        list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def judge_scaling(workloads: list[Scaling]) -> None:
    """All checks of all workloads."""
    reader = lru_cache(maxsize=1)(written_files)
    for one in workloads:
        there = partial(known, sides(one, None, reader))
        for function in SCALING:
            judged(function, {"scaling": one, "sides_of": there})


def known(found: Sides, _: Scaling) -> Sides:
    """The sides that were read already, as the fixture has them."""
    return found


def judge_manifests(pattern: list[str], agreed: list[Agreed]) -> None:
    """All checks of the manifests."""
    manifests = Manifests(kubernetes=pattern)
    found = reading.sides_of_files(manifests, agreed)

    def there(_: Manifests) -> list[Side]:
        return found

    for function in MANIFESTS:
        judged(function, {"manifests": manifests, "kubernetes_of": there})


def judged(function: Callable[..., None], arguments: Mapping[str, object]) -> None:
    """Run one check; what it finds is not the point."""
    spec = spec_of(function)
    assert isinstance(spec, CheckSpec)
    evidence = Evidence(spec.judgements)
    with contextlib.suppress(ReadinessError, NotApplicable):
        function(**arguments, evidence=evidence)


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
