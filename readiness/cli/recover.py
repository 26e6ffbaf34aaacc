"""`readiness recover`: restores what a killed drill has changed."""

from pathlib import Path

import click

from readiness.areas.registry import areas
from readiness.config.base.area import Recovery
from readiness.config.loading import configured
from readiness.lib.drill.safety import FOLDER, RECOVER
from readiness.model.clean import clean
from readiness.model.errors import SafetyRefusal
from readiness.run import marker
from readiness.run.safety import fingerprint


def run(config: Path | None) -> int:
    """Restore what was left and print what was done; safe to repeat.

    Returns:
        The exit code.

    Raises:
        SafetyRefusal: the notes are those of another target.
        UsageError: the file no longer configures how the release is changed.
        CouldNotMeasure: a drill is under way, or the target cannot be restored.
    """
    loaded = configured(config)
    folder = loaded.path.absolute().parent / FOLDER

    def check(file: Path, noted: str, target: str, environment: str) -> None:
        """Notes of another target must change nothing on this one."""
        said = marker.environment(loaded.config)
        # A target that is down reports no environment: the one noted at the drill counts then.
        if fingerprint(loaded.config, said.environment if said.said else environment) != noted:
            raise SafetyRefusal(
                f"the notes are of another target: {clean(target)} in"
                f" the environment {clean(environment)!r}",
                where=str(file),
                remedy=f"{RECOVER} --config FILE, with the file that the drill was run with",
            )

    recovery = Recovery(loaded.config, folder, check, click.echo)
    restored = [area.drills.recover(recovery) for area in areas() if area.drills]
    if not any(restored):
        click.echo(f"{folder}: nothing to restore")
    return 0
