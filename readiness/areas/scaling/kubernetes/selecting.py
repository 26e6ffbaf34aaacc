"""Which labels a selector matches; `meta/v1 LabelSelector`."""

from collections.abc import Callable, Mapping
from typing import Final

from readiness.areas.scaling.kubernetes.parts import Requirement, Selector
from readiness.model.errors import NoData

_OPERATORS: Final[Mapping[str, Callable[[str | None, list[str]], bool]]] = {
    "In": lambda value, values: value in values,
    # A label that is not there is not among them.
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _number(value) > _number(values[0]) if value else False,
    "Lt": lambda value, values: _number(value) < _number(values[0]) if value else False,
}


def selects(selector: Selector | None, labels: Mapping[str, str]) -> bool:
    """Whether it matches; none at all matches nothing, an empty one everything (policy/v1).

    Raises:
        NoData: it has an operator that is not known.
    """
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return equal and all(holds(one, labels) for one in selector.match_expressions)


def holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Whether one line of it holds.

    Raises:
        NoData: it has an operator that is not known.
    """
    operator = _OPERATORS.get(requirement.operator)
    if operator is None or (requirement.operator in {"Gt", "Lt"} and not requirement.values):
        raise NoData(f"a selector has {requirement.operator[:40]!r}, which is not understood")
    return operator(labels.get(requirement.key), requirement.values)


def _number(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise NoData(f"a selector compares {text!r}, which is no whole number") from None
