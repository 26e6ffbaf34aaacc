"""What the fleet does wrong, by a file that it reads at each step."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Rollout(StrEnum):
    """How one release follows another."""

    ROLLING = "rolling"
    """A new replica serves before an old one is drained and stopped."""
    RECREATE = "recreate"
    """All old ones are stopped first."""
    LATE = "late"
    """An old one is gone before the balancer knows."""
    CLOSED = "closed"
    """The balancer is started anew for each, which closes the connections of users."""
    STALL = "stall"
    """Everybody hangs for longer than users wait."""


class Scaler(StrEnum):
    """How the autoscaler is."""

    NORMAL = "normal"
    NONE = "none"
    """It does nothing."""
    HASTY = "hasty"
    """It starts all that it may at once, and stops all of them at once."""
    GREEDY = "greedy"
    """It starts all that it may at once."""
    STUCK = "stuck"
    """It stops none."""
    SLOW = "slow"
    """Its periods are forty times as long."""
    OVERSHOOTING = "overshooting"
    """It stops two at once, and does not mind the minimum."""

    @property
    def starts_together(self) -> bool:
        """Whether all that are missing are started beside each other."""
        return self in {Scaler.HASTY, Scaler.GREEDY}

    @property
    def stops_together(self) -> bool:
        """Whether all that are too many are stopped beside each other."""
        return self in {Scaler.HASTY, Scaler.OVERSHOOTING}


class Behaviour(BaseModel):
    """What the fleet does wrong. Nothing, unless told.

    Attributes:
        rollout: how one release follows another.
        unavailable: how many old replicas are stopped before a new one serves.
        pause_s: seconds between the steps of a rollout.
        does_nothing: `deploy` and `rollback` say that it is done, and do nothing.
        one_stays_old: a rollout leaves one replica as it was.
        no_automatic_rollback: a release is led to, however it answers.
        rollback_changes_nothing: `rollback` says that it is done, and does nothing.
        rollback_fails: `rollback` does nothing, and says so.
        rollback_keeps_configuration: what one goes back to runs with the newer configuration.
        rollback_drops_data: what newer releases wrote is removed.
        rollback_leaves_one_out: `rollback` starts a last replica that no user is led to.
        rollback_wait_s: seconds that `rollback` waits before it begins.
        new_column_only: 1.5.0 writes what 1.4.0 cannot read.
        redeploy_fails: a release that was left once cannot be deployed again.
        redeploy_keeps_configuration: a release that was left once is deployed again with the
            configuration of the one before.
        abrupt_stop: a replica is killed with what is under way.
        stop_leaves_fewer: no other replica is started for one that `stop-one` stops.
        cold_ms: by how much a replica is too slow with its first answers.
        release_untold_at_first: a replica's first answers tell no release.
        shrinks_late: one that is too many is gone before the balancer knows.
        says_busy: `status` says that a change is under way.
        scaler: how the autoscaler is.
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
    """The behaviour now.

    Raises:
        pydantic.ValidationError: the file holds no behaviour.
    """
    try:
        return Behaviour.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Behaviour()
