"""Restores what a killed drill has changed, from its notes."""

from pathlib import Path

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.config import Config
from readiness.areas.deployment.drill.restoring import remove_row, restore
from readiness.config.base.area import Recovery
from readiness.lib.drill.locking import locked
from readiness.lib.drill.notes import Noted, Place
from readiness.model.clean import clean
from readiness.model.errors import UsageError


def recover(recovery: Recovery) -> bool:
    """Restore what each note names; gives whether there was any.

    Raises:
        SafetyRefusal: the notes are those of another target.
        UsageError: the file no longer says how its release is changed.
        CouldNotMeasure: a drill is under way, or the target cannot be restored.
    """
    files = sorted(recovery.folder.glob("drill-*.json"))
    for file in files:
        noted = Noted.read(file)
        recovery.check(file, noted.fingerprint, noted.target, noted.environment)
        place = Place(recovery.folder, noted.target, noted.environment, noted.fingerprint)
        with locked(place):
            _restore(file, noted, recovery)
    return bool(files)


def _restore(file: Path, noted: Noted, recovery: Recovery) -> None:
    config: Config = recovery.config
    deployment, say = config.deployment, recovery.say
    if deployment is None:
        raise UsageError(
            "no longer says how the release is changed",
            where="[deployment]",
            remedy=f"deploy release {clean(noted.release)} by hand, and remove {file}",
        )
    if noted.end_tool():
        say(f"stopped the command that the drill had left (process {noted.tool})")
    restored = restore(deployment, adapter_of(deployment), noted.release)
    served = f"release {clean(noted.release)} is served"
    if restored.already:
        say(f"{served}; nothing had to be restored")
    else:
        say(f"{served} again, after {restored.arrived - restored.began:.1f} s")
    if noted.row and deployment.data:
        remove_row(deployment.data, noted.row)
        say(f"removed the synthetic row {clean(noted.row)}")
    file.unlink(missing_ok=True)
