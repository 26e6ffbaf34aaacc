"""Where Alertmanager routes an alert, as it does it itself."""

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from readiness.areas.alerting.routes.config import Config, Hop, Route
from readiness.areas.alerting.routes.matchers import Labels, Matcher, all_match
from readiness.model.errors import NoData

# A label whose value is made of the alert's own series, as `{{ $labels.team }}`.
_TEMPLATE: Final = "{{"
PLACEHOLDER: Final = "readiness-unknown"
_MOST: Final = 512
_PLAIN: Final = re.compile(r"[\w .:@/-]*", re.ASCII)


def routes_of(config: Config, labels: Labels) -> list[Hop]:
    """The routes that an alert with these labels takes, in their order; never none.

    Raises:
        NoData: a regular expression on the way cannot be evaluated here.
    """
    return _matching(config.root, labels)


def receivers_of(config: Config, labels: Labels) -> set[str]:
    """The names of the receivers that it is handed to."""
    return {hop.receiver for hop in routes_of(config, labels)}


def _matching(route: Route, labels: Labels) -> list[Hop]:
    """Depth first: the children that match, until one that does not say `continue`."""
    if not all_match(route.matchers, labels):
        return []
    found: list[Hop] = []
    for child in route.routes:
        below = _matching(child, labels)
        found += below
        if below and not child.continues:
            break
    return found or [route.hop]


def templated(labels: Labels) -> list[str]:
    """The names of the labels whose values are only known once the alert fires."""
    return [name for name, value in labels.items() if _TEMPLATE in value]


def placed(labels: Labels) -> dict[str, str]:
    """The labels with a text that nothing asks for in the place of each template."""
    return {k: PLACEHOLDER if _TEMPLATE in value else value for k, value in labels.items()}


def possible_labels(config: Config, labels: Labels) -> list[dict[str, str]]:
    """What a rule's labels can become, as far as the routes make a difference between them.

    A label with a template may take each value that a matcher asks for, one that none asks for,
    and none at all. Labels without a template stay as they are.

    Raises:
        NoData: there are too many to look at, or a regular expression for such a label is not
            one of which a matching text can be told.
    """
    names = templated(labels)
    choices = [_values(config, name) for name in names]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MOST:
        raise NoData(
            f"the labels {', '.join(names)} of this rule have templates, and the routes make"
            f" {count} differences between their values",
            remedy="give the rule labels without templates to be routed by",
        )
    known = {name: value for name, value in labels.items() if name not in names}
    return [
        known | {name: value for name, value in zip(names, values, strict=True) if value}
        for values in itertools.product(*choices)
    ]


def all_matchers(config: Config) -> Iterator[Matcher]:
    """Every matcher of every route."""
    return _below(config.root)


def _below(route: Route) -> Iterator[Matcher]:
    yield from route.matchers
    for child in route.routes:
        yield from _below(child)


def _values(config: Config, name: str) -> list[str]:
    values = ["", PLACEHOLDER]
    for matcher in all_matchers(config):
        if matcher.name == name:
            values += _witnesses(matcher)
    return list(dict.fromkeys(values))


def _witnesses(matcher: Matcher) -> list[str]:
    """Texts that the matcher's value stands for.

    Raises:
        NoData: it is a regular expression of which none is known.
    """
    if matcher.op in {"=", "!="}:
        return [matcher.value]
    branches = matcher.value.split("|")
    if all(_PLAIN.fullmatch(branch) for branch in branches):
        return branches
    positive = Matcher(matcher.name, "=~", matcher.value)
    guesses = (PLACEHOLDER, "", re.sub(r"\.[*+]", "x", matcher.value), *branches)
    found = [guess for guess in guesses if positive.matches({matcher.name: guess})]
    if not found:
        raise NoData(
            f"a rule's label {matcher.name} has a template, and no text is known to match"
            f" {matcher}",
            remedy="give the rule labels without templates to be routed by",
        )
    return found


def labels_of(alertname: str, labels: Labels, external: Mapping[str, str]) -> dict[str, str]:
    """What an alert of a rule carries at least: its own labels go before the external ones."""
    return {**external, **labels, "alertname": alertname}
