"""What the fleet's process is given: its settings, and the file with the faults it must show."""

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

FILE: Final = "behaviour.json"
"""The file with a `Behaviour`, in the working folder of the fleet; read at each step."""


class Settings(BaseModel):
    """What the fleet starts with.

    Attributes:
        release: the release of all replicas.
        count: number of replicas.
        haproxy: path of the program.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str
    count: int
    haproxy: str


class Rollout(StrEnum):
    """How replicas of one release replace those of another."""

    ROLLING = "rolling"
    """A new replica serves before an old one is drained and stopped."""
    RECREATE = "recreate"
    """All old replicas are stopped first."""
    LATE = "late"
    """An old replica is stopped before the balancer stops routing to it."""
    CLOSED = "closed"
    """The balancer is restarted for each replica, which closes the users' connections."""
    STALL = "stall"
    """All replicas hang for longer than users wait."""


class Scaler(StrEnum):
    """How the autoscaler behaves."""

    NORMAL = "normal"
    NONE = "none"
    """It does nothing."""
    HASTY = "hasty"
    """It scales to the maximum at once, and back to the minimum at once."""
    GREEDY = "greedy"
    """It scales to the maximum at once."""
    STUCK = "stuck"
    """It never scales down."""
    SLOW = "slow"
    """Its periods are forty to sixty times as long."""
    OVERSHOOTING = "overshooting"
    """It stops two replicas at once, and ignores the minimum."""

    @property
    def starts_together(self) -> bool:
        """Whether missing replicas are started in parallel."""
        return self in {Scaler.HASTY, Scaler.GREEDY}

    @property
    def stops_together(self) -> bool:
        """Whether surplus replicas are stopped in parallel."""
        return self in {Scaler.HASTY, Scaler.OVERSHOOTING}


class Behaviour(BaseModel):
    """The faults of the fleet; by default it has none.

    Attributes:
        rollout: how replicas are replaced.
        unavailable: how many old replicas are stopped before a new one serves.
        pause_s: seconds between the steps of a rollout.
        does_nothing: `deploy` and `rollback` report success and change nothing.
        one_stays_old: a rollout leaves one replica of the old release.
        no_automatic_rollback: a release receives users even if it answers with errors.
        rollback_changes_nothing: `rollback` reports success and changes nothing.
        rollback_fails: `rollback` changes nothing and reports failure.
        rollback_keeps_configuration: after `rollback` the newer configuration is still used.
        rollback_drops_data: `rollback` deletes what newer releases wrote.
        rollback_leaves_one_out: the last replica that `rollback` starts receives no users.
        rollback_wait_s: seconds before `rollback` begins.
        new_column_only: 1.5.0 writes notes that 1.4.0 cannot read.
        redeploy_fails: a release that was rolled back cannot be deployed again.
        redeploy_keeps_configuration: a release that was rolled back is deployed again with the
            configuration of its predecessor.
        abrupt_stop: replicas are killed while they answer requests.
        stop_leaves_fewer: `stop-one` is not followed by the start of a replacement.
        cold_ms: milliseconds added to the first answers of each replica.
        release_untold_at_first: the first answers of each replica name no release.
        shrinks_late: a surplus replica is stopped before the balancer stops routing to it.
        says_busy: `status` always reports a change in progress.
        scaler: how the autoscaler behaves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout: Rollout = Rollout.ROLLING
    unavailable: int = 0
    pause_s: float = 0
    does_nothing: bool = False
    one_stays_old: bool = False
    no_automatic_rollback: bool = False
    rollback_changes_nothing: bool = False
    rollback_fails: bool = False
    rollback_keeps_configuration: bool = False
    rollback_drops_data: bool = False
    rollback_leaves_one_out: bool = False
    rollback_wait_s: float = 0
    new_column_only: bool = False
    redeploy_fails: bool = False
    redeploy_keeps_configuration: bool = False
    abrupt_stop: bool = False
    stop_leaves_fewer: bool = False
    cold_ms: int = 0
    release_untold_at_first: bool = False
    shrinks_late: bool = False
    says_busy: bool = False
    scaler: Scaler = Scaler.NORMAL


def read(path: Path) -> Behaviour:
    """The behaviour that the file holds now; the default where it does not exist.

    Raises:
        pydantic.ValidationError: the file is not a valid `Behaviour`.
    """
    try:
        return Behaviour.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Behaviour()
