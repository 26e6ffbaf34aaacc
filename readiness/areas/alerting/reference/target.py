"""The tables of alerting in the reference system's readiness.toml."""

import json
import sys
from collections.abc import Collection
from typing import Final

from readiness.areas.alerting.reference import pager, pager_command


def alerting(peers: list[str], inbox: str, listener: int, python: str) -> str:
    """The tables [alertmanager] and [alerting].

    Args:
        peers: the addresses of all Alertmanagers.
        inbox: the address of the server in place of the vendors.
        listener: the port on which checks listen themselves.
        python: the interpreter, quoted for TOML.
    """
    urls = ", ".join(f'"{url}"' for url in peers)
    channels = "".join(_channel(name, inbox) for name in _CHANNELS)
    head = _ALERTMANAGER.format(urls=urls, python=python)
    rest = _PROBE.format(listener=listener, python=python)
    return head + _SEVERITIES + channels + _WATCHDOG.format(inbox=inbox, python=python) + rest


def _channel(name: str, inbox: str) -> str:
    integration, receivers = _CHANNELS[name]
    distinct = f"receivers = {receivers}\n" if receivers else ""
    return _CHANNEL.format(name=name, integration=integration, distinct=distinct, inbox=inbox)


# An SMS gateway is behind a webhook, and has the same kind as every other webhook.
_CHANNELS: Final = {
    "email": ("email", ""),
    "pagerduty": ("pagerduty", ""),
    "slack": ("slack", ""),
    "sms": ("webhook", '["sms", "readiness-probe"]'),
}

_ALERTMANAGER: Final = """
# Both peers of the cluster. Pausing the first one shows whether the other one takes over.
[alertmanager]
urls = [{urls}]
peer_timeout_s = 1
stop_peer = [{python}, "-m", "readiness.reference.drill", "pause", "alertmanager"]
start_peer = [{python}, "-m", "readiness.reference.drill", "resume", "alertmanager"]
"""

_SEVERITIES: Final = """
# Someone is paged, by one of two channels, and everyone can see it.
[alerting.severities.critical]
channels = [["pagerduty", "sms"], ["slack"]]
budget_s = 30

[alerting.severities.warning]
channels = [["slack", "email"]]
budget_s = 60
may_be_muted = true
"""

_CHANNEL: Final = """
[alerting.channels.{name}]
integration = "{integration}"
test_page = true
{distinct}[alerting.channels.{name}.inbox]
url = "{inbox}/messages"
query = "channel={name}&contains={{probe}}"
"""

_WATCHDOG: Final = """
# The dead man's switch: it calls if the beats of the Watchdog no longer come.
[alerting.channels.watchdog]
integration = "webhook"
receivers = ["watchdog"]
[alerting.channels.watchdog.inbox]
url = "{inbox}/messages"
query = "channel=watchdog&contains={{probe}}"

[alerting.dead_man]
alert = "Watchdog"
channel = "watchdog"
# It repeats every few seconds here, and a dead Prometheus's alerts end after 4 s.
max_silence_s = 15
stop = [{python}, "-m", "readiness.reference.drill", "pause", "prometheus"]
start = [{python}, "-m", "readiness.reference.drill", "resume", "prometheus"]
calls = "dead-man"

# The channel of its calls: the switch is outside of this monitoring, and waits for the beats.
[alerting.channels.dead-man]
integration = "webhook"
receivers = ["dead-man"]
[alerting.channels.dead-man.inbox]
url = "{inbox}/messages"
query = "channel=dead-man&contains={{probe}}"
"""

_PROBE: Final = """
# Synthetic alerts: their own route targets the same kinds of channel, and pages no one.
[alerting.probe]
receiver = "readiness-probe"
labels = {{ severity = "critical" }}
budget_s = 5

# Alerts whose id begins with `drill-` end at a webhook that the checks themselves answer.
[alerting.probe.drill]
receiver = "readiness-drill"
listen = "127.0.0.1:{listener}"
beside = "email"

# Its metric has its own exporter: no other metric is missing while that hangs.
[alerting.canary]
breach = [{python}, "-m", "readiness.areas.alerting.reference.canary", "breach", "{{probe}}"]
clear = [{python}, "-m", "readiness.areas.alerting.reference.canary", "clear"]
stop_source = [{python}, "-m", "readiness.reference.drill", "pause", "canary"]
start_source = [{python}, "-m", "readiness.reference.drill", "resume", "canary"]
loss_max_s = 40
"""


def own_engine(url: str, inbox: str) -> str:
    """The table [alerting.engine] and its channels, with the addresses of engine and inbox."""
    channels = "".join(_ENGINE_CHANNEL.format(name=name, inbox=inbox) for name in pager.TIERS)
    # A list of texts is the same in TOML as in JSON. Without `site` it starts faster.
    commands = {
        action: json.dumps([sys.executable, "-I", "-S", pager_command.__file__, url, action, _ID])
        for action in ("trigger", "resolve", "acknowledge")
    }
    first, second = pager.TIERS
    return channels + _ENGINE.format(
        url=url, first=first, second=second, after_s=pager.ESCALATES_S, **commands
    )


_ID: Final = "{probe}"

_ENGINE_CHANNEL: Final = """
# Notified by the application's own engine only: no severity asks for it.
[alerting.channels.{name}]
integration = "webhook"
[alerting.channels.{name}.inbox]
url = "{inbox}/messages"
query = "channel={name}&contains={{probe}}"
"""

_ENGINE: Final = """
# The application has an alert engine of its own, which no Alertmanager sees.
[alerting.engine]
trigger = {trigger}
resolve = {resolve}
channels = ["{first}"]
within_s = 10

[alerting.engine.history]
url = "{url}/history"
query = "search={{probe}}"
end_field = "resolved_at"

[alerting.engine.statistics]
url = "{url}/statistics"
field = "alerts.total"

[alerting.engine.escalation]
second = "{second}"
after_s = {after_s:g}
acknowledge = {acknowledge}
"""


def rules(running: Collection[str]) -> str:
    """[alerting.rules.NAME], for the programs that run."""
    of_exporters = (text for exporter, text in _EXPORTED.items() if exporter in running)
    return "".join((_SERVICE, *of_exporters))


_SERVICE: Final = """
[alerting.rules.HighErrorRate]
severity = "critical"
above = 5
unit = "percent"
metric_unit = "ratio"
max_for_s = 30

# More than ten errors within an hour.
[alerting.rules.ErrorsInAnHour]
severity = "critical"
above = 10
unit = "1/h"
max_for_s = 0
"""

_EXPORTED: Final = {
    "postgres_exporter": """
# A query that runs for more than 3,000 ms. The exporter counts seconds: so does the rule.
[alerting.rules.SlowQueries]
severity = "warning"
above = 3000
unit = "ms"
metric_unit = "s"
max_for_s = 10

[alerting.rules.DatabaseConnectionFailure]
severity = "critical"
equals = 0
max_for_s = 30
""",
    "node_exporter": """
[alerting.rules.MemoryHigh]
severity = "warning"
above = 75
unit = "percent"
metric_unit = "ratio"

[alerting.rules.MemoryCritical]
severity = "critical"
above = 90
unit = "percent"
metric_unit = "ratio"
max_for_s = 60
""",
}
