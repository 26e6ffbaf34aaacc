"""The state that all processes of a run share: target, permissions, folder."""

import getpass
import json
import os
import platform
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

import pytest

from readiness import __version__
from readiness.config.loading import Loaded, configured, load
from readiness.config.values import settings
from readiness.model.check import Effect
from readiness.model.decision import Decision
from readiness.model.errors import ReadinessError, UsageError
from readiness.model.measurement import now
from readiness.model.record import RunFacts, Selection, TargetFacts
from readiness.model.record import load as load_record
from readiness.model.secrets import redact
from readiness.run.gate import HELD
from readiness.run.journal import REFUSAL
from readiness.run.plugin import foreign
from readiness.run.profile import Profile
from readiness.run.safety import Permission, fingerprint, permissions

KEY: Final = pytest.StashKey["State"]()
_FILE: Final = "gate.json"


@dataclass(frozen=True)
class State:
    """The facts that do not change during a run.

    Attributes:
        loaded: the configuration.
        folder: the working folder that the processes of the run share.
        permissions: what the checks may do to the target.
        target: the target.
        run: the facts of the run known at its start.
    """

    loaded: Loaded
    folder: Path
    permissions: dict[Effect, Permission]
    target: TargetFacts
    run: RunFacts

    @cached_property
    def profile(self) -> Profile:
        """What the verdict requires."""
        return Profile.of(self.loaded.config)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions of the configuration."""
        return self.loaded.config.decisions

    def save(self) -> None:
        """Write it into the run's folder for the other processes; holds no secret."""
        shared = {
            "config": str(self.loaded.path),
            "permissions": {
                e: [p.allowed, p.reason, p.remedy] for e, p in self.permissions.items()
            },
            "target": self.target.model_dump(mode="json"),
            "run": self.run.model_dump(mode="json"),
        }
        (self.folder / _FILE).write_text(json.dumps(shared), encoding="utf-8")

    @classmethod
    def join(cls, folder: Path) -> Self:
        """Read the state of a run that another process began.

        Raises:
            UsageError: the configuration changed since.
        """
        shared = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        run = RunFacts.model_validate(shared["run"])
        loaded = load(Path(shared["config"]), os.environ)
        if loaded.sha256 != run.config_sha256:
            raise UsageError(
                "the configuration changed while the run was starting",
                where=str(loaded.path),
                remedy="run again: readiness run",
            )
        return cls(
            loaded=loaded,
            folder=folder,
            permissions={
                Effect(e): Permission(Effect(e), *words)
                for e, words in shared["permissions"].items()
            },
            target=TargetFacts.model_validate(shared["target"]),
            run=run,
        )


def begin(config: pytest.Config) -> State:
    """Begin a run: load the configuration, read the marker, decide the permissions.

    Raises:
        ReadinessError: there is no configuration, it has mistakes, or safety refuses.
    """
    from readiness.run import marker  # only the controller reads the marker

    option = config.option
    loaded = _loaded(config)
    seen = marker.environment(loaded.config)
    if option.readiness_baseline:
        load_record(
            Path(option.readiness_baseline)
        )  # an invalid baseline is reported before the run, not after it
    selection = Selection(
        suites=tuple(option.readiness_suite),
        select=tuple(option.readiness_select),
        ignore=tuple(option.readiness_ignore),
    )
    moment = now()
    return State(
        loaded=loaded,
        permissions=permissions(
            loaded.config,
            seen.environment,
            asked=_effects(option.readiness_allow),
            confirm=option.readiness_confirm,
            said=seen.said,
            silent=seen.note if loaded.config.target.marker else "",
        ),
        target=TargetFacts(
            name=loaded.config.target.name,
            environment=seen.environment,
            source=seen.origin,
            release=loaded.config.target.release,
            image=loaded.config.target.image or "",
            fingerprint=fingerprint(loaded.config, seen.environment),
            note=loaded.config.target.note,
            links=loaded.config.links.model_dump(exclude_none=True),
        ),
        run=RunFacts(
            id=f"{moment:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
            started=moment,
            finished=moment,
            duration_s=0.0,
            tool_version=__version__,
            config_sha256=loaded.sha256,
            selection=selection,
            report_only=option.readiness_report_only,
            config_file=loaded.path.name,
            host=platform.node(),
            user=_user(),
            plugins=foreign.active(config),
            configuration=tuple(settings(loaded)),
        ),
        # Last: a refused run creates no folder.
        folder=Path(option.readiness_folder or tempfile.mkdtemp(prefix="readiness-run-")),
    )


def _loaded(config: pytest.Config) -> Loaded:
    held = getattr(config.pluginmanager.get_plugin(HELD), "loaded", None)
    if isinstance(held, Loaded):
        return held
    name = config.option.readiness_config
    return configured(Path(name) if name else None)


def _effects(names: Collection[str]) -> list[Effect]:
    try:
        return [Effect(name) for name in names]
    except ValueError:
        wrong = next(name for name in names if name not in set(Effect))
        raise UsageError(
            f"unknown effect {wrong!r}",
            where="--allow",
            remedy=f"use one of: {', '.join(Effect)}",
        ) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # some containers have no name for the uid
        return str(os.getuid())


def refuse(config: pytest.Config, error: ReadinessError) -> BaseException:
    """The exception that ends pytest with exit code 2 and our message."""
    if config.option.readiness_folder:
        note = Path(config.option.readiness_folder) / REFUSAL
        note.write_text(redact(str(error)), encoding="utf-8")
    return pytest.exit.Exception(f"readiness: {error}", returncode=2)
