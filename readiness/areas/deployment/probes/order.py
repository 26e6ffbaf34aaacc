"""Reads in which order the parts of a system start."""

from pathlib import Path
from typing import Final

from readiness.areas.deployment.compose_order import StartOrder, UnreadableError, start_order
from readiness.areas.deployment.config_before import Order
from readiness.areas.deployment.probes.files import parsed
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import CouldNotMeasure, NoData

_WHOLE: Final = "let compose write it as a whole, and name that file: docker compose config > FILE"


def read_order(order: Order) -> StartOrder:
    """What the compose file says.

    Raises:
        CouldNotMeasure: it cannot be read or parsed, is no compose file, or is only a part.
        NoData: nothing in it depends on anything.
    """
    path = Path(order.compose)
    if wrong := parsed(str(path)).mistakes:
        raise CouldNotMeasure(f"cannot be parsed: {wrong[0]}", where=order.compose)
    try:
        found = start_order(read_one(path.read_text(encoding="utf-8-sig"), Scalars.GO_V3))
    except UnreadableError as error:
        raise CouldNotMeasure(clean(str(error)), where=order.compose, remedy=_WHOLE) from None
    except BrokenYaml as error:
        raise CouldNotMeasure(
            f"cannot be parsed: {error}", where=order.compose, remedy=_WHOLE
        ) from None
    except (OSError, ValueError):
        raise CouldNotMeasure("cannot be parsed", where=order.compose, remedy=_WHOLE) from None
    if not found.dependencies:
        raise NoData(
            "no service depends on another one: it says nothing of an order",
            where=order.compose,
            remedy="write `depends_on`; where nothing depends on anything, take [deployment.order]"
            " out",
        )
    return found


def patience_with(order: StartOrder, service: str, source: str) -> float:
    """The seconds that others wait for a service before they give it up.

    Raises:
        NoData: there is no such service, or nothing in the file says when it is well.
    """
    if service in order.checks:
        return order.checks[service].patience_s
    known = service in order.services
    raise NoData(
        f"the service {clean(service)} has no health check" if known
        else f"there is no service {clean(service)}",
        where=source,
        remedy="write one into the file, or see `patience_s` in [deployment.order]",
    )  # fmt: skip
