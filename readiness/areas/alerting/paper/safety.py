"""Whether a synthetic alert stays where it belongs: it must never wake a person."""

from collections.abc import Mapping

from readiness.areas.alerting.paper.config import Config, InhibitRule
from readiness.areas.alerting.paper.matchers import all_match
from readiness.areas.alerting.paper.routing import routes_of
from readiness.model.errors import SafetyRefusal

ALERT_NAME = "alertname"


def refuse_unless_contained(
    config: Config, labels: Mapping[str, str], *, receiver: str, unique: str, where: str
) -> None:
    """Refuse a synthetic alert that would reach anybody but the probe's receiver.

    Args:
        config: what the Alertmanager runs that is to get it.
        labels: those of the alert.
        receiver: the only one that it may reach.
        unique: the label whose value no other alert has.
        where: the address of that Alertmanager.

    Raises:
        SafetyRefusal: its labels lead to another receiver, too, or it would hold real alerts back.
        NoData: the configuration cannot be judged on paper.
    """
    reached = sorted({hop.receiver for hop in routes_of(config, labels)})
    if reached != [receiver]:
        raise SafetyRefusal(
            f"a synthetic alert would be told to {', '.join(reached)}, and may reach {receiver}"
            " alone: nothing was sent",
            where=where,
            remedy=f"""make this the first route: matchers: ['{unique}!=""'], receiver:"""
            f" {receiver}, group_by: ['...'], group_wait: 0s, group_interval: 20s, and no"
            " `continue`",
        )
    for rule in config.inhibit_rules:
        if _holds_others(rule, labels, unique):
            raise SafetyRefusal(
                f"a synthetic alert would hold real alerts back, by {rule}: nothing was sent",
                where=where,
                remedy=f"""add '{unique}=""' to the source_matchers of that rule""",
            )


def _holds_others(rule: InhibitRule, labels: Mapping[str, str], unique: str) -> bool:
    """Whether an alert with a name and a label of its own can inhibit one without them."""
    return all_match(rule.source, labels) and not {ALERT_NAME, unique} & set(rule.equal)
