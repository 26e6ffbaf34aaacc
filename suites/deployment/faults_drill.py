"""What proves the drills: rollouts and rollbacks that go wrong, each in its own way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_FLEET: Final = "fleet"
_DEPLOY: Final = "deployment.zero-downtime[deployment]"
_ROLLBACK: Final = "deployment.rollback-drill[deployment]"
_TIME: Final = "deployment.rollback-time[deployment]"
_CONFIG: Final = "deployment.rollback-config-restored[deployment]"
_DATA: Final = "deployment.rollback-data-intact[deployment]"
_AGAIN: Final = "deployment.redeploy-after-rollback[deployment]"


@fault(
    turns_red={_DEPLOY, _ROLLBACK},
    story="An old replica is gone before the balancer knows: half a second of lost requests.",
    needs=_FLEET,
)
@contextmanager
def balancer_learns_late(system: ReferenceSystem) -> Iterator[None]:
    """The classic race of endpoints and SIGTERM."""
    with system.levers.fleet(rollout="late"):
        yield


@fault(
    turns_red={"deployment.rollout-latency[deployment]"},
    story="Each new replica is too slow with its first answers.",
    needs=_FLEET,
)
@contextmanager
def replicas_start_cold(system: ReferenceSystem) -> Iterator[None]:
    """No request is lost; everybody waits."""
    with system.levers.fleet(cold_ms=1400):
        yield


@fault(
    turns_red={"deployment.capacity-during-rollout[deployment]"},
    story="A rollout stops an old replica before the new one serves.",
    needs=_FLEET,
)
@contextmanager
def rollout_on_two_of_three(system: ReferenceSystem) -> Iterator[None]:
    """Nothing is lost as long as there are few users."""
    with system.levers.fleet(unavailable=1):
        yield


@fault(
    turns_red={_ROLLBACK, _TIME, _CONFIG, _DATA, _AGAIN},
    story="The rollback says that it is done, and changes nothing.",
    needs=_FLEET,
)
@contextmanager
def rollback_is_a_lie(system: ReferenceSystem) -> Iterator[None]:
    """Its exit status is 0."""
    with system.levers.fleet(rollback_changes_nothing=True):
        yield


@fault(
    turns_red={_TIME},
    story="The rollback takes longer than was agreed.",
    needs=_FLEET,
)
@contextmanager
def rollback_is_slow(system: ReferenceSystem) -> Iterator[None]:
    """It is right in all else."""
    with system.levers.fleet(rollback_wait_s=16):
        yield


@fault(
    turns_red={_CONFIG},
    story="After the rollback the old release runs with the new one's configuration.",
    needs=_FLEET,
)
@contextmanager
def rollback_keeps_configuration(system: ReferenceSystem) -> Iterator[None]:
    """The image goes back alone."""
    with system.levers.fleet(rollback_keeps_configuration=True):
        yield


@fault(
    turns_red={_DATA},
    story="The rollback removes what the new release wrote.",
    needs=_FLEET,
)
@contextmanager
def rollback_drops_data(system: ReferenceSystem) -> Iterator[None]:
    """As a down migration does that drops a column."""
    with system.levers.fleet(rollback_drops_data=True):
        yield


@fault(
    turns_red={_DATA},
    story="The old release cannot read what the new one wrote.",
    needs=_FLEET,
)
@contextmanager
def old_release_cannot_read(system: ReferenceSystem) -> Iterator[None]:
    """Nothing is lost, and yet it is gone for whoever asks."""
    with system.levers.fleet(new_column_only=True):
        yield


@fault(
    turns_red={_AGAIN},
    story="A release that was rolled back cannot be deployed again.",
    needs=_FLEET,
)
@contextmanager
def rollback_leaves_a_lock(system: ReferenceSystem) -> Iterator[None]:
    """As a release of Helm that is pending."""
    with system.levers.fleet(redeploy_fails=True):
        yield


@fault(
    turns_red={"deployment.auto-rollback[deployment]"},
    story="A release that answers with errors is led to, and stays.",
    needs=_FLEET,
)
@contextmanager
def nobody_takes_back(system: ReferenceSystem) -> Iterator[None]:
    """The drill itself has to put it back."""
    with system.levers.fleet(no_automatic_rollback=True):
        yield


@fault(
    turns_red={"deployment.graceful-stop[deployment]"},
    story="A replica is killed with what is under way.",
    needs=_FLEET,
)
@contextmanager
def replicas_are_killed(system: ReferenceSystem) -> Iterator[None]:
    """Rollouts wait until nothing is under way; whoever stops one replica does not."""
    with system.levers.fleet(abrupt_stop=True):
        yield
