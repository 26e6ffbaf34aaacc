"""How far a latency measured by looking is from the truth: the clock of what received the message.

PYTHONPATH=. python benchmarks/bench_delivery.py [ALERTS]
"""

import os
import sys
import time
from contextlib import ExitStack
from typing import Final

from readiness.areas.alerting.inboxes import Watched, reader_of, wait
from readiness.areas.alerting.probes.synthetic import Synthetic, new_probe, synthetic
from readiness.config.loading import load
from readiness.reference.system import ReferenceSystem

DEMANDED_MS: Final = 50.0


def main(alerts: int = 20) -> int:
    """0 if a message is never seen later than 50 ms after it arrived."""
    with ReferenceSystem.start() as system, ExitStack() as stack:
        config = load(system.config_path, os.environ | system.environ).config
        assert config.alerting
        assert config.alerting.probe
        sender = stack.enter_context(synthetic(config.alertmanager, config.alerting.probe))
        channels = [config.alerting.channels[name] for name in ("email", "slack", "sms")]
        readers = [(c, stack.enter_context(reader_of(c))) for c in channels]
        late = sorted(
            ms
            for _ in range(alerts)
            for ms in seen_late_ms(sender, [Watched(c, r) for c, r in readers])
        )
    print(
        f"seen late    {late[-1]:8.1f} ms at worst of {len(late)} messages, demanded {DEMANDED_MS}"
    )
    print(f"             {late[len(late) // 2]:8.1f} ms the median")
    return 0 if late[-1] <= DEMANDED_MS else 1


def seen_late_ms(sender: Synthetic, watched: list[Watched]) -> list[float]:
    """For one alert and each channel: when its message was first seen, after it arrived there."""
    probe = new_probe()
    for one in watched:
        one.look(probe)
    sent = sender.send(probe)
    wait(watched, probe, time.monotonic() + 30)
    sender.end(sent)
    return [
        (seen - message.at) * 1000
        for one in watched
        for message, seen in one.shown(ended=False)[:1]
        if message.at
    ]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
