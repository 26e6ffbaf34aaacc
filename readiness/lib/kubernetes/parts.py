"""Parts of all objects: a strict base, metadata, quantities, selectors and conditions."""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from readiness.model.errors import NoData

Quantity = int | float | str
IntOrPercent = int | str

_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3})?"
)
_PERCENT: Final = re.compile(r"\d{1,9}%")
_BINARY: Final[dict[str, int]] = {
    f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)
}
_DECIMAL: Final = {
    letter: Fraction(f"1e{power}")
    for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}


def amount(quantity: Quantity) -> Fraction:
    """The exact value of a quantity in its base unit: cores, bytes or a count.

    `kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity`.

    Raises:
        NoData: it is not a quantity.
    """
    text = str(quantity).strip()
    found = _QUANTITY.fullmatch(text)
    if found is None or isinstance(quantity, bool):
        raise NoData(f"{text[:40]!r} is not a quantity", remedy="write it as 250m, 2 or 1.5Gi")
    number, unit = Fraction(found["number"]), found["unit"] or ""
    if unit in _BINARY:
        return number * _BINARY[unit]
    if unit in _DECIMAL:
        return number * _DECIMAL[unit]
    return number * Fraction(f"1e{unit[1:]}") if unit else number


def is_quantity(value: object) -> bool:
    """Whether a value is a quantity that the API server reads."""
    if not isinstance(value, int | float | str):
        return False
    try:
        amount(value)
    except NoData:
        return False
    return True


def part_of(value: IntOrPercent, total: int, *, up: bool) -> int:
    """A number such as 2, or a percentage of a total such as `25%`, rounded up or down.

    As `intstr.GetScaledValueFromIntOrPercent` does.

    Raises:
        NoData: it is neither.
    """
    if isinstance(value, int):
        return value
    if not _PERCENT.fullmatch(value):
        raise NoData(
            f"{value[:40]!r} is neither a number nor a percentage", remedy="write 1 or 25%"
        )
    share = Fraction(int(value[:-1]) * total, 100)
    return math.ceil(share) if up else math.floor(share)


class Part(BaseModel):
    """Strict as the API server: `"3"` is not a number."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        """`null` means absent: templates leave `namespace:` and the like empty."""
        if isinstance(value, dict) and None in value.values():
            return {key: one for key, one in value.items() if one is not None}
        return value


Texts = dict[str, str]
Quantities = dict[str, Quantity]


class Owner(Part):
    """The controller that made an object."""

    kind: str = ""
    name: str = ""


class Manager(Part):
    """The manager of some fields of a live object."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: dict[str, Any] = Field(default={}, alias="fieldsV1")


class Metadata(Part):
    """Only live objects have a `uid`."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Texts = Field(default={})
    annotations: Texts = Field(default={})
    owner_references: list[Owner] = Field(default=[])
    managed_fields: list[Manager] = Field(default=[])


class Object(Part):
    """Any Kubernetes object."""

    kind: str
    api_version: str
    metadata: Metadata = Metadata()


class Requirement(Part):
    """A requirement of a selector."""

    key: str
    operator: str
    values: list[str] = Field(default=[])


class Selector(Part):
    """A label selector; an empty one matches everything."""

    match_labels: Texts = Field(default={})
    match_expressions: list[Requirement] = Field(default=[])


class Condition(Part):
    """A condition that a controller reports."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


_OPERATORS: Final[Mapping[str, Callable[[str | None, list[str]], bool]]] = {
    "In": lambda value, values: value in values,
    # A missing label is not among them.
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _number(value) > _number(values[0]) if value else False,
    "Lt": lambda value, values: _number(value) < _number(values[0]) if value else False,
}


def selects(selector: Selector | None, labels: Mapping[str, str]) -> bool:
    """Whether it matches; None matches nothing, an empty one everything (policy/v1).

    Raises:
        NoData: its operator is not known.
    """
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return equal and all(holds(one, labels) for one in selector.match_expressions)


def holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Whether a requirement of a selector holds.

    Raises:
        NoData: its operator is not known.
    """
    operator = _OPERATORS.get(requirement.operator)
    if operator is None or (requirement.operator in {"Gt", "Lt"} and not requirement.values):
        raise NoData(
            f"a selector has the operator {requirement.operator[:40]!r}, which is not understood"
        )
    return operator(labels.get(requirement.key), requirement.values)


def _number(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise NoData(f"a selector compares {text!r}, which is not a whole number") from None
