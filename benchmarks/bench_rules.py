"""All checks of loaded rules, against `promtool check rules` of the same file.

PYTHONPATH=. python benchmarks/bench_rules.py [RULES]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from readiness.config.base.watching import Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.evidence import Evidence
from readiness.servers import programs
from readiness.servers.processes import Daemon
from suites.alerting import test_required_rules, test_rules

Check = Callable[[], None]
DEMANDED_S: Final = 60.0
SIZE: Final = "prometheus_http_response_size_bytes"
OWN: Final = 'job="prometheus"'
# N becomes the number of the rule, so that no two are the same.
SHAPES: Final = (
    "sum by (handler) (rate(prometheus_http_requests_total{OWN}[1m])) > 1e6 + N",
    "go_memstats_heap_inuse_bytes{OWN} / go_memstats_sys_bytes{OWN} > 1 + N / 1e9",
    "go_goroutines{OWN} > 1e6 + N and on (instance) up == 1",
    "histogram_quantile(0.9, sum by (le) (rate(SIZE_bucket{OWN}[1m]))) > 1e12 + N",
    'absent(go_goroutines{OWN,version!="N"})',
)


def main(count: int = 1000) -> int:
    """0 if every check ends within the time, all of them together."""
    with tempfile.TemporaryDirectory() as folder, Guardian() as guardian:
        rules = written(Path(folder), count)
        theirs = timed(lambda: promtool(rules))
        with_rules = started(Path(folder), guardian)
        with Prometheus(with_rules) as watcher:
            until(lambda: watcher.query("count(up == 1)"), bool, within_s=30.0)
            times = {name: timed(run) for name, run in checks(with_rules, watcher).items()}
    for name, seconds in times.items():
        print(f"{name:16} {seconds:8.2f} s for {count} rules")
    ours = sum(times.values())
    print(f"promtool check   {theirs:8.2f} s: whether the rules can be read")
    print(f"ratio            {ours / theirs:8.2f}; together {ours:.1f} s, at most {DEMANDED_S:g} s")
    return 0 if ours <= DEMANDED_S else 1


def written(folder: Path, count: int) -> Path:
    """A rule file, and a configuration beside it that loads it and scrapes Prometheus itself."""
    rules = [
        {
            "alert": f"Rule{n}",
            "expr": SHAPES[n % len(SHAPES)]
            .replace("OWN", OWN)
            .replace("SIZE", SIZE)
            .replace("N", str(n)),
            "labels": {"severity": "critical"},
            "annotations": {"summary": "Something", "runbook_url": "{{ $labels.job }}"},
        }
        for n in range(count - 1)
    ]
    rules.append({"alert": "Down", "expr": "up == 0", "labels": {"severity": "critical"}})
    file = folder / "rules.yml"
    groups = [
        {"name": f"g{at}", "interval": "5s", "rules": rules[at : at + 50]}
        for at in range(0, count, 50)
    ]
    file.write_text(json.dumps({"groups": groups}))
    return file


def started(folder: Path, guardian: Guardian) -> Settings:
    """A Prometheus with those rules."""
    program, config = programs.find(programs.PROMETHEUS), folder / "prometheus.yml"

    def arguments(port: int) -> list[str]:
        own = {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        parts = {"global": {"scrape_interval": "1s"}, "rule_files": ["rules.yml"]}
        config.write_text(json.dumps({**parts, "scrape_configs": [own]}))
        data = f"--storage.tsdb.path={folder / 'data'}"
        return [program, f"--config.file={config}", data, f"--web.listen-address=127.0.0.1:{port}"]

    daemon = Daemon("prometheus", arguments, folder, guardian, "/-/ready").start()
    return Settings(url=daemon.url, timeout_s=10)


def checks(settings: Settings, watcher: Prometheus) -> dict[str, Check]:
    """Each check of rules, by its name."""
    severity = {"channels": [["page"]], "budget_s": 30}
    alerting = {
        "severities": {"critical": severity}, "channels": {"page": {"integration": "webhook"}},
    }  # fmt: skip
    target = Config.model_validate({"target": {"name": "bench"}, "alerting": alerting})
    job = Job.model_validate({"name": "prometheus", "interval_s": 1})

    def quality(check: Callable[[Settings, Prometheus, Config, Evidence], None]) -> Check:
        return lambda: check(settings, watcher, target, Evidence())

    return {
        "rules-healthy": quality(test_rules.test_rules_healthy),
        "rule-metadata": quality(test_rules.test_rule_metadata),
        "quiet-baseline": quality(test_rules.test_quiet_baseline),
        "job-loss": lambda: test_required_rules.test_job_loss(job, watcher, Evidence()),
    }


def promtool(rules: Path) -> None:
    """What everybody runs before a merge."""
    subprocess.run(
        [programs.find(programs.PROMTOOL), "check", "rules", rules],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def timed(run: Check) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    run()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
