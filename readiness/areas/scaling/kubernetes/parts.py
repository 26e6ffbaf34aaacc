"""What all objects are made of: a strict base, metadata, selectors and conditions."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from readiness.areas.scaling.kubernetes.quantity import Quantity


class Part(BaseModel):
    """Strict, as the API server is: `"3"` is no number there."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


def _listed(value: object) -> object:
    return [] if value is None else value


def _mapped(value: object) -> object:
    return {} if value is None else value


# `null` is the same as nothing at all.
Texts = Annotated[dict[str, str], BeforeValidator(_mapped)]
Quantities = Annotated[dict[str, Quantity], BeforeValidator(_mapped)]
ABSENT_LIST = BeforeValidator(_listed)
ABSENT = BeforeValidator(_mapped)


class Owner(Part):
    """Who made an object."""

    kind: str = ""
    name: str = ""


class Manager(Part):
    """Who set which fields of a live object."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: Annotated[dict[str, Any], ABSENT] = Field(default={}, alias="fieldsV1")


class Metadata(Part):
    """What every object has; only those of a cluster have a `uid`."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Texts = Field(default={})
    annotations: Texts = Field(default={})
    owner_references: Annotated[list[Owner], ABSENT_LIST] = Field(default=[])
    managed_fields: Annotated[list[Manager], ABSENT_LIST] = Field(default=[])


class Object(Part):
    """Any object."""

    kind: str
    api_version: str
    metadata: Metadata = Metadata()


class Requirement(Part):
    """One line of a selector."""

    key: str
    operator: str
    values: Annotated[list[str], ABSENT_LIST] = Field(default=[])


class Selector(Part):
    """A label selector; an empty one matches everything."""

    match_labels: Texts = Field(default={})
    match_expressions: Annotated[list[Requirement], ABSENT_LIST] = Field(default=[])


class Condition(Part):
    """What the controller says of the state of an object."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
