"""A private Alertmanager with its own folder and port, without a cluster."""

import os
import signal
import zoneinfo
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Self

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError, TookTooLong, Unreachable
from readiness.servers import programs
from readiness.servers.processes import START_TIMEOUT_S, Daemon

_LOG_TAIL_BYTES: Final = 2000
_SHOWN: Final = 400


class PrivateAlertmanager:
    """A running Alertmanager on 127.0.0.1. Made by `start`; use it as a context manager."""

    def __init__(self, daemon: Daemon) -> None:
        self._process = daemon

    @classmethod
    def start(
        cls, folder: Path, config: str, guardian: Guardian, zones: Iterable[str] = ()
    ) -> Self:
        """Start one and wait until it answers.

        Args:
            folder: an empty one for its files, the caller's to remove.
            config: its configuration, as YAML.
            guardian: kills it when this process dies.
            zones: the time zones that the configuration names.

        Raises:
            Unreachable: the program is missing, or rejects the configuration.
            TookTooLong: it does not answer within 30 s.
        """
        program, file = _find(), folder / "alertmanager.yml"
        file.write_text(config, encoding="utf-8")
        own_zones = folder / "zoneinfo"
        _copy_zones(zones, own_zones)
        daemon = Daemon(
            "alertmanager",
            lambda port: [
                program,
                f"--config.file={file}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                # Otherwise it waits for peers.
                "--cluster.listen-address=",
            ],
            folder,
            guardian,
            "/-/ready",
            # No proxies: notifications must stay on this machine.
            {name: "" for name in os.environ if name.lower().endswith("_proxy")}
            | {"ZONEINFO": str(own_zones)},
        )
        server = cls(daemon)
        try:
            _start(daemon, folder / "alertmanager.log")
        except BaseException:  # an interrupt too must leave nothing
            server.stop()
            raise
        return server

    @property
    def url(self) -> str:
        """Its address."""
        return self._process.url

    def stop(self) -> None:
        """Kill it, as its state is discarded. May be called twice."""
        self._process.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _copy_zones(names: Iterable[str], folder: Path) -> None:
    """Give it the time zones that Python knows here.

    An unpacked one does not see the system's, and a slim machine has none beside our package. Go
    looks for others at its usual places.
    """
    for name in names:
        files = (source.joinpath(*name.split("/")) for source in _zone_folders())
        if file := next((file for file in files if file.is_file()), None):
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())


def _zone_folders() -> Iterator[Traversable]:
    yield from map(Path, zoneinfo.TZPATH)
    with suppress(ModuleNotFoundError):
        yield resources.files("tzdata") / "zoneinfo"


def _find() -> str:
    try:
        return programs.find(programs.ALERTMANAGER)
    except programs.AbsentError as problem:
        raise Unreachable(
            problem.message,
            where="PATH",
            remedy=f"{problem.remedy}, or put the `alertmanager` of the running version on"
            " PATH: https://prometheus.io/download/#alertmanager",
        ) from None


def _start(daemon: Daemon, log: Path) -> None:
    try:
        daemon.start()
    except ReferenceSystemError as problem:
        if daemon.process is None:  # it was running, and was stopped
            raise TookTooLong(
                f"a private Alertmanager does not answer within {START_TIMEOUT_S:g} s",
                where=problem.where,
            ) from None
        tail = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").splitlines()
        errors = [line for line in tail if "err" in line] or tail or ["no log"]
        raise Unreachable(
            f"a private Alertmanager does not start: {errors[-1][:_SHOWN]}",
            remedy="compare the version on PATH with the running one: alertmanager --version",
        ) from None
