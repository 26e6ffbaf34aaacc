"""Levers on what is deployed: how its rollouts go wrong."""

import contextlib
from collections.abc import Iterator
from typing import Any

from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import write_whole
from readiness.servers.fleet.behaviour import Behaviour
from readiness.servers.fleet.starting import Fleet


class FleetLevers:
    """What can be broken about the fleet; a part of `Levers`."""

    _fleet: Fleet | None

    @contextlib.contextmanager
    def fleet(self, **switches: Any) -> Iterator[Fleet]:
        """Make the fleet misbehave: see `Behaviour`. At the end it is as it was at first.

        Gives the fleet, for what the fault itself has to deploy.

        Raises:
            pydantic.ValidationError: there is no such switch.
            ReferenceSystemError: this system has no fleet.
        """
        if self._fleet is None:
            raise ReferenceSystemError("this system has no fleet")
        wrong = Behaviour(**switches)
        write_whole(self._fleet.behaviour, wrong.model_dump_json(exclude_unset=True).encode())
        try:
            yield self._fleet
        finally:
            self._fleet.behaviour.unlink(missing_ok=True)
            self._fleet.reset()
