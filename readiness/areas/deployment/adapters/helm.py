"""A release of Helm."""

import shlex
from collections.abc import Iterator
from typing import Any, Final

from readiness.areas.deployment.adapters.adapter import Call, State, asked, digest, json_of
from readiness.areas.deployment.config_adapters import ByHelm
from readiness.model.errors import NoData

_REMEDY: Final = "run it by hand; correct [deployment.helm], or the permissions of its context"
_DEPLOYED: Final = "deployed"


class HelmAdapter:
    """Upgrades with the values that name the release.

    A rollback is an upgrade, too: `helm rollback` needs a revision, and "the previous one" changes
    after each attempt.
    """

    def __init__(self, settings: ByHelm, *, wait_s: float) -> None:
        self._settings = settings
        self._wait_s = wait_s

    def deploy(self, release: str) -> list[Call]:
        """An upgrade, which waits."""
        return [self._upgrade(release, f"deploy {release}")]

    def rollback(self, release: str) -> list[Call]:
        """The same with the older release."""
        return [self._upgrade(release, f"roll back to {release}")]

    def state(self) -> State | None:
        """All values but those that name the release.

        Raises:
            CouldNotMeasure: helm does not answer.
        """
        argv = self._helm("get", "values", self._settings.release_name, "--all", "--output", "json")
        document = json_of(asked(argv, "read the values", _REMEDY), shlex.join(argv))
        if not isinstance(document, dict):
            raise NoData("printed no values", where=shlex.join(argv), remedy=_REMEDY)
        named = {text.partition("=")[0] for text in self._settings.set}
        return {key: digest(value) for key, value in _leaves(document) if key not in named}

    def replicas(self) -> int | None:
        """Helm does not count them."""
        return None

    def under_way(self) -> str | None:
        """A release that is not `deployed` is stuck, or being changed.

        Raises:
            CouldNotMeasure: helm does not answer.
        """
        argv = self._helm("status", self._settings.release_name, "--output", "json")
        document = json_of(asked(argv, "read the status", _REMEDY), shlex.join(argv))
        info = document.get("info") if isinstance(document, dict) else None
        status = info.get("status") if isinstance(info, dict) else None
        if not isinstance(status, str):
            raise NoData("printed no status", where=shlex.join(argv), remedy=_REMEDY)
        return "" if status == _DEPLOYED else f"the status of the Helm release is {status}"

    def _upgrade(self, release: str, verb: str) -> Call:
        settings = self._settings
        values = [word.replace("{release}", release) for word in settings.set]
        argv = self._helm(
            *("upgrade", settings.release_name, settings.chart, "--reuse-values"),
            *(word for value in values for word in ("--set-string", value)),
            *("--wait", "--timeout", f"{self._wait_s:.0f}s"),
        )
        return Call(argv, verb)

    def _helm(self, *arguments: str) -> list[str]:
        settings = self._settings
        place = ("--kube-context", settings.context, "--namespace", settings.namespace)
        return ["helm", *place, *arguments]


def _leaves(node: dict[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
