"""The part of the reference system's readiness.toml about the application's own alert engine."""

import json
import sys
from typing import Final

from readiness.areas.alerting.reference import pager, pager_command


def own_engine(url: str, inbox: str) -> str:
    """The table [alerting.engine] and its channels.

    Args:
        url: the address of the engine.
        inbox: the address of what stands for the vendors.
    """
    channels = "".join(_CHANNEL.format(name=name, inbox=inbox) for name in pager.TIERS)
    # A list of texts is the same in TOML as in JSON. Nothing of `site` is needed: it starts faster.
    commands = {
        action: json.dumps([sys.executable, "-I", "-S", pager_command.__file__, url, action, _ID])
        for action in ("trigger", "resolve", "acknowledge")
    }
    first, second = pager.TIERS
    return channels + _ENGINE.format(
        url=url, first=first, second=second, after_s=pager.ESCALATES_S, **commands
    )


_ID: Final = "{probe}"

_CHANNEL: Final = """
# Told by the application's own engine only: no severity asks for it.
[alerting.channels.{name}]
integration = "webhook"
[alerting.channels.{name}.inbox]
url = "{inbox}/messages"
query = "channel={name}&contains={{probe}}"
"""

_ENGINE: Final = """
# The application has an alert engine of its own, which nobody's Alertmanager sees.
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
