"""The shadow replay of many rules, against asking `amtool config routes test` for each of them.

PYTHONPATH=. python benchmarks/bench_shadow.py [RULES] [RECEIVERS]
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from readiness.areas.alerting.config import Alerting, Channel, SeverityPolicy
from readiness.areas.alerting.probes import shadow
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.reach import LiveRule
from readiness.config.base.watching import Alertmanager
from readiness.lib.guardian import Guardian

DEMANDED_S: Final = 30.0
DEMANDED: Final = 1.0
TOOL_SHARE: Final = 10  # of so many rules, amtool is asked for one, and its time multiplied


def main(rules: int = 500, receivers: int = 50) -> int:
    """0 if all is told within the time, and sooner than amtool could say where it would go."""
    running = running_with(rules, receivers)
    began = time.monotonic()
    with Guardian() as guardian:
        replay = shadow.replay(running, POLICY, SETTINGS, guardian)
    ours = time.monotonic() - began
    told = sum(bool(alert.deliveries) for alert in replay.alerts)
    theirs = by_amtool(running)
    print(f"replay       {ours:8.2f} s for {rules} rules and {receivers} receivers, {told} told")
    print(f"amtool       {theirs:8.2f} s, one by one: the receivers alone, neither time nor group")
    print(f"ratio        {theirs / ours:8.2f}, demanded {DEMANDED}; at most {DEMANDED_S:g} s")
    good = told == len(replay.alerts) and all(alert.agrees for alert in replay.alerts)
    return 0 if good and ours <= DEMANDED_S and theirs / ours >= DEMANDED else 1


SETTINGS: Final = Alertmanager(urls=["http://127.0.0.1:9093"])
POLICY: Final = Alerting(
    severities={"critical": SeverityPolicy(channels=[["page"]], budget_s=30, name="critical")},
    channels={"page": Channel(integration="webhook")},
)


def running_with(rules: int, receivers: int) -> Running:
    """As many rules, spread over as many teams, each with two receivers on its way."""
    names = [f"team-{number}" for number in range(receivers - 1)]
    everybody = {"receiver": "all", "matchers": ['severity="critical"'], "continue": True}
    routes = [{"receiver": name, "matchers": [f'team=~"{name}"']} for name in names]
    config = {
        "route": {
            "receiver": "all",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "routes": [everybody, *routes],
        },
        "receivers": [
            {"name": name, "webhook_configs": [{"url": "http://127.0.0.1:9/"}]}
            for name in ["all", *names]
        ],
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["alertname"],
            }
        ],
    }
    live = tuple(
        LiveRule.of(f"Rule{n}", {"severity": "critical", "team": names[n % len(names)]}, {})
        for n in range(rules)
    )
    return Running("", "", json.dumps(config), live, "")


def by_amtool(running: Running) -> float:
    """How long amtool would take for all rules, in seconds."""
    asked = running.rules[::TOOL_SHARE]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "alertmanager.yml"
        file.write_text(running.text)
        began = time.monotonic()
        for rule in asked:
            labels = [f"{name}={value}" for name, value in rule.labels.items()]
            subprocess.run(
                ["amtool", "config", "routes", "test", f"--config.file={file}", *labels],
                check=True,
                capture_output=True,
                timeout=60,
            )
        return (time.monotonic() - began) * len(running.rules) / len(asked)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
