"""The running configuration, made harmless: same routes, but everything is told to one place."""

import json
from collections.abc import Mapping
from typing import Final

from readiness.areas.alerting.paper.config import Integration, document, parse
from readiness.model.errors import NoData

# What decides who is told, and when. All else is about how, and may need secrets or files.
_KEPT: Final = ("route", "inhibit_rules", "mute_time_intervals", "time_intervals")
_FLAG: Final = "continue"


def place(receiver: int, integration: Integration) -> str:
    """The path that stands for one integration: `/3/webhook/0`."""
    return f"/{receiver}/{integration.kind}/{integration.index}"


def places(text: str) -> dict[str, tuple[str, Integration]]:
    """What each path stands for: the name of the receiver, and the integration.

    Raises:
        NoData: the configuration is not understood.
    """
    return {
        place(number, integration): (receiver.name, integration)
        for number, receiver in enumerate(parse(text).receivers.values())
        for integration in receiver.integrations
    }


def rewritten(text: str, url: str, *, inhibits: bool) -> str:
    """The configuration with a webhook in the place of every integration.

    Args:
        text: the configuration, as Alertmanager gives it out.
        url: where all webhooks lead, each to a path of its own; see `places`.
        inhibits: whether alerts hold each other back.

    Raises:
        NoData: the configuration is not understood.
    """
    whole = document(text)
    if not isinstance(whole, Mapping):
        raise NoData("is empty", where="the configuration of Alertmanager")
    kept = {key: whole[key] for key in _KEPT if whole.get(key)}
    kept["route"] = _route(kept["route"])
    if not inhibits:
        kept.pop("inhibit_rules", None)
    receivers = [
        {"name": receiver.name, "webhook_configs": [_webhook(url, number, i) for i in told]}
        for number, receiver in enumerate(parse(text).receivers.values())
        for told in [receiver.integrations]
    ]
    # JSON is YAML, as long as no character is escaped by halves.
    return json.dumps({**kept, "receivers": receivers}, ensure_ascii=False, indent=1)


def _webhook(url: str, receiver: int, integration: Integration) -> dict[str, object]:
    return {
        "url": f"{url}{place(receiver, integration)}",
        "send_resolved": integration.send_resolved,
    }


def _route(node: object) -> object:
    """A route with truths where they belong: all values were read as texts."""
    if not isinstance(node, Mapping):
        return node
    below = node.get("routes")
    found = dict(node) | {_FLAG: node.get(_FLAG) == "true"}
    return found | {"routes": [_route(child) for child in below]} if below else found
