"""Reads in which order the parts of a system start."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from readiness.areas.deployment.compose_order import StartOrder, UnreadableError, start_order
from readiness.areas.deployment.config_before import Order
from readiness.areas.deployment.probes.files import parsed
from readiness.lib import command
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import CouldNotMeasure, NoData

_COMPOSE: Final = (("docker", "compose"), ("docker-compose",))
_COMPOSE_S: Final = 30.0
_WHOLE: Final = "let compose write it as a whole, and name that file: docker compose config > FILE"


def read_order(order: Order) -> StartOrder:
    """What the compose file says; compose itself is asked where that is only a part of it.

    Raises:
        CouldNotMeasure: it cannot be read or parsed, is no compose file, or is only a part.
        NoData: nothing in it depends on anything.
    """
    path = Path(order.compose)
    if wrong := parsed(str(path)).mistakes:
        raise CouldNotMeasure(f"cannot be parsed: {wrong[0]}", where=order.compose)
    try:
        document = read_one(path.read_text(encoding="utf-8-sig"), Scalars.GO_V3)
    except BrokenYaml as error:
        raise CouldNotMeasure(
            f"cannot be parsed: {error}", where=order.compose, remedy=_WHOLE
        ) from None
    except (OSError, ValueError):
        raise CouldNotMeasure("cannot be parsed", where=order.compose, remedy=_WHOLE) from None
    try:
        found = start_order(document)
    except UnreadableError as error:
        whole = written_by_compose(path, document)
        if whole is None:
            problem = clean(str(error))
            raise CouldNotMeasure(problem, where=order.compose, remedy=_WHOLE) from None
        found = whole
    if not found.dependencies:
        raise NoData(
            "no service depends on another one: it says nothing of an order",
            where=order.compose,
            remedy="write `depends_on`; where nothing depends on anything, take [deployment.order]"
            " out",
        )
    return found


def written_by_compose(path: Path, document: object) -> StartOrder | None:
    """The order in the file as compose writes it, with all that it includes, extends and fills in.

    Args:
        path: the file.
        document: the file, parsed.

    Returns:
        None where no compose is here that reads it, or where it leaves out a service of the file:
        an old one does, of those in profiles.
    """
    services = document.get("services") if isinstance(document, Mapping) else None
    own = {str(name) for name in services} if isinstance(services, Mapping) else set()
    for tool in _COMPOSE:
        argv = [*tool, "--file", str(path), "--profile", "*", "config"]
        with suppress(CouldNotMeasure, UnreadableError, BrokenYaml):
            said = command.run(argv, "write the file", _WHOLE, timeout_s=_COMPOSE_S)
            found = start_order(read_one(said, Scalars.GO_V3))
            if own <= found.services:
                return found
    return None


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
