"""What a run may do to the target, by the file, the command line and the target itself."""

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from readiness.areas.registry import areas
from readiness.config.base.tables import Config
from readiness.config.values import dotted, leaves
from readiness.model.check import Effect
from readiness.model.errors import SafetyRefusal
from readiness.model.secrets import Dsn, without_credentials


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether checks may have one effect on the target.

    Attributes:
        effect: the effect.
        allowed: whether it is allowed.
        reason: why, or why not, for the plan and the report.
        remedy: what would allow it; empty if it is allowed.
    """

    effect: Effect
    allowed: bool
    reason: str
    remedy: str = ""


def fingerprint(config: Config, environment: str) -> str:
    """Identifies the target by 12 hexadecimal digits.

    It changes with the target's name, the environment, where its services and databases are, and
    with what changes its release; not with secrets, limits or the order of the file.

    Args:
        config: the configuration.
        environment: as the target reports it.
    """
    services = {name: without_credentials(s.url) for name, s in config.services.items()}
    # Where earlier runs are kept is no part of the target.
    databases = {
        dotted(p): v.address
        for p, v in leaves(config)
        if isinstance(v, Dsn) and p != ("gate", "history")
    }
    identity: list[object] = [config.target.name, environment, services, databases]
    drills = [area.drills.identity(config) for area in areas() if area.drills]
    identity += [changed for changed in drills if changed is not None]
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def is_production(environment: str) -> bool:
    """Whether an environment is treated as production; unclear names are."""
    return re.match(r"(prod|prd|live)", environment.strip(), re.IGNORECASE) is not None


def permissions(
    config: Config,
    environment: str,
    *,
    asked: Collection[Effect],
    confirm: str | None,
    said: bool = True,
    silent: str = "",
) -> dict[Effect, Permission]:
    """What this run may do. Environment variables have no influence.

    `observe` is always allowed; `write` where the file allows it; `load` and `disrupt` where the
    file allows it, the command line asks for it, and `confirm` is the target's fingerprint.

    Args:
        config: the configuration.
        environment: as the target reports it, else production.
        asked: effects named with `--allow`.
        confirm: the fingerprint given with `--confirm`.
        said: whether the target reported its environment; if not, it is treated as production.
        silent: why its marker did not answer. An outage must not end without a report: nothing is
            refused then, only what production allows is allowed, and the rest does not run.

    Raises:
        SafetyRefusal: the target is not what the file declares, something is asked for that the
            file does not allow, or the fingerprint is missing or wrong.
    """
    if said:
        _agree(config.target.environment, environment)
    key = "allow_in_production" if is_production(environment) else "allow"
    in_file = {Effect.OBSERVE, *getattr(config.target, key)}
    if silent:
        return {effect: _unanswered(effect, in_file, silent) for effect in Effect}
    for effect in sorted(set(asked) - in_file):
        raise SafetyRefusal(
            f"{effect.value!r} is not allowed in the environment {environment!r}",
            where=f"[target] {key}",
            remedy=f"remove --allow {effect.value}, or let the owner of the target add it",
        )
    _confirm(config, environment, asked, confirm)
    return {effect: _permission(effect, key, in_file, asked) for effect in Effect}


def _agree(declared: str, said: str) -> None:
    if declared.strip().casefold() != said.strip().casefold():
        raise SafetyRefusal(
            f"the file declares {declared!r}, but the target reports {said!r}",
            where="[target] environment",
            remedy="check that the file names the intended target: readiness config show",
        )


def _confirm(
    config: Config, environment: str, asked: Collection[Effect], confirm: str | None
) -> None:
    risky = sorted(effect.value for effect in asked if effect.needs_quiet)
    if confirm is None and not risky:
        return
    if confirm != fingerprint(config, environment):
        # The right one is not printed: whoever confirms must have seen the plan.
        missing = confirm is None
        what = f"is required for {' and '.join(risky)}" if missing else "does not match this target"
        raise SafetyRefusal(
            f"the fingerprint {what}",
            where="--confirm",
            remedy="see what would be done, and the fingerprint: readiness plan",
        )


def _unanswered(effect: Effect, in_file: Collection[Effect], silent: str) -> Permission:
    if effect is Effect.OBSERVE:
        return Permission(effect, True, "reading is always allowed")
    if effect is Effect.WRITE and effect in in_file:
        return Permission(effect, True, "[target] allow_in_production names 'write'")
    return Permission(
        effect,
        False,
        f"the target did not report its environment: {silent}",
        "make the place in [target.marker] answer, and run again",
    )


def _permission(
    effect: Effect, key: str, in_file: Collection[Effect], asked: Collection[Effect]
) -> Permission:
    if effect is Effect.OBSERVE:
        return Permission(effect, True, "reading is always allowed")
    if effect not in in_file:
        reason = f"[target] {key} does not name {effect.value!r}"
        return Permission(effect, False, reason, f"add {effect.value!r} to [target] {key}")
    if not effect.needs_quiet:
        return Permission(effect, True, f"[target] {key} names {effect.value!r}")
    if effect not in asked:
        return Permission(
            effect,
            False,
            f"not asked for with --allow {effect.value}",
            f"readiness run --allow {effect.value} --confirm FINGERPRINT"
            " (printed by `readiness plan`)",
        )
    return Permission(effect, True, f"asked for with --allow {effect.value}, and confirmed")
