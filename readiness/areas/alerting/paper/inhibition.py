"""Which alerts hold others back, on paper."""

from collections.abc import Iterable, Mapping

from readiness.areas.alerting.paper.config import Config, InhibitRule
from readiness.areas.alerting.paper.matchers import Labels, all_match

_NAME = "alertname"


def holds(rule: InhibitRule, source: Labels, target: Labels) -> bool:
    """Whether one alert, while it fires, holds another one back.

    Labels that both lack count as equal. An alert that is source and target at once is not
    held by others of that kind, and so never by itself.
    """
    if not (all_match(rule.target, target) and all_match(rule.source, source)):
        return False
    if any(source.get(name, "") != target.get(name, "") for name in rule.equal):
        return False
    return not (all_match(rule.source, target) and all_match(rule.target, source))


def holders(config: Config, target: Labels, others: Iterable[Labels]) -> list[Labels]:
    """Those of some alerts that hold one back."""
    rules = [rule for rule in config.inhibit_rules if all_match(rule.target, target)]
    if not rules:
        return []
    return [other for other in others if any(holds(rule, other, target) for rule in rules)]


def names_one_source(rule: InhibitRule) -> bool:
    """Whether only alerts of one name can hold others back."""
    return any(
        matcher.name == _NAME and matcher.op == "=" and matcher.value for matcher in rule.source
    )


def both_at_once(rule: InhibitRule, alerts: Iterable[Mapping[str, str]]) -> list[str]:
    """The names of alerts that match both sides: these do not hold each other back."""
    return sorted(
        {
            a.get(_NAME, "")
            for a in alerts
            if all_match(rule.source, a) and all_match(rule.target, a)
        }
    )
