"""`readiness recover`: puts back what a drill changed that was killed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.drill.restoring import remove_row, restore
from readiness.config.locate import configured
from readiness.config.models import Config
from readiness.lib.drill.locking import locked
from readiness.lib.drill.notes import FOLDER, Noted, Place
from readiness.lib.drill.safety import RECOVER
from readiness.model.clean import clean
from readiness.model.errors import SafetyRefusal, UsageError
from readiness.run import marker
from readiness.run.safety import fingerprint


@dataclass(frozen=True, slots=True)
class _Left:
    """A drill that was not put back."""

    file: Path
    noted: Noted


def run(config: Path | None) -> int:
    """Put back what was left, and say what was done; may be called as often as one likes.

    Returns:
        The exit code.

    Raises:
        SafetyRefusal: the notes are those of another target.
        UsageError: the file no longer says how its release is changed.
        CouldNotMeasure: a drill is under way, or the target cannot be put back.
    """
    loaded = configured(config)
    folder = loaded.path.absolute().parent / FOLDER
    left = list(_left(folder))
    if not left:
        click.echo(f"{folder}: no drill has left anything to put back")
    for one in left:
        _must_be_its(one, loaded.config)
        place = Place(folder, one.noted.target, one.noted.environment, one.noted.fingerprint)
        with locked(place):
            _put_back(one, loaded.config)
    return 0


def _left(folder: Path) -> Iterator[_Left]:
    for file in sorted(folder.glob("drill-*.json")):
        yield _Left(file, Noted.read(file))


def _must_be_its(left: _Left, config: Config) -> None:
    """Notes of another target must change nothing on this one."""
    noted = left.noted
    said = marker.environment(config)
    # A target that is down says nothing: then what it said at the time of the drill counts.
    environment = said.environment if said.said else noted.environment
    if fingerprint(config, environment) != noted.fingerprint:
        raise SafetyRefusal(
            f"the notes are of another target, or of another place of it: {clean(noted.target)} in"
            f" the environment {clean(noted.environment)!r}",
            where=str(left.file),
            remedy=f"{RECOVER} --config FILE, with the file that the drill was run with",
        )


def _put_back(left: _Left, config: Config) -> None:
    deployment, noted = config.deployment, left.noted
    if deployment is None:
        raise UsageError(
            "does not say any more how the release is changed",
            where="[deployment]",
            remedy=f"put release {clean(noted.release)} back by hand, and remove {left.file}",
        )
    if noted.end_tool():
        click.echo(f"ended the command that the drill had left (process {noted.tool})")
    restored = restore(deployment, adapter_of(deployment), noted.release)
    served = f"release {clean(noted.release)} is served"
    if restored.already:
        click.echo(f"{served}; nothing had to be put back")
    else:
        click.echo(f"{served} again, after {restored.arrived - restored.began:.1f} s")
    if noted.row and deployment.data:
        remove_row(deployment.data, noted.row)
        click.echo(f"removed our row {clean(noted.row)}")
    left.file.unlink(missing_ok=True)
