"""Faults of the fleet's autoscaler that the scaling drill finds."""

from typing import Final

from readiness.model.fault import Fault, broken_by

_DRILL: Final = "scaling.under-load[fleet]"
_FLEET: Final = "fleet"


def _fleet(name: str, story: str, keys: set[str], **switches: object) -> Fault:
    """A fault of the fleet: see `readiness.servers.fleet.behaviour.Behaviour`."""
    return broken_by(
        name, story, {_DRILL: keys}, lambda levers: levers.fleet(**switches), needs=_FLEET
    )


nothing_scales = _fleet(
    "nothing_scales",
    "The autoscaler sees no load and does nothing, as one without metrics",
    {"scaled-up"},
    scaler="none",
)
scales_too_slowly = _fleet(
    "scales_too_slowly",
    "The autoscaler adds the first replicas, and the next ones long after the agreed time",
    {"scaled-up"},
    scaler="slow",
)
grows_all_at_once = _fleet(
    "grows_all_at_once",
    "The autoscaler starts all replicas at once, and loses no request",
    {"added"},
    scaler="greedy",
)
follows_every_wave = _fleet(
    "follows_every_wave",
    "The autoscaler follows the load at once, up and down: the next wave finds the fewest replicas",
    {"added", "removed"},
    scaler="hasty",
)
never_shrinks = _fleet(
    "never_shrinks",
    "The autoscaler scales up and never down, which nobody notices before the invoice",
    {"scaled-down"},
    scaler="stuck",
)
shrinks_too_far = _fleet(
    "shrinks_too_far",
    "The autoscaler removes two replicas at a time, and goes below the minimum once",
    {"fewest", "removed"},
    scaler="overshooting",
)
stops_before_it_is_drained = _fleet(
    "stops_before_it_is_drained",
    "A replica is stopped half a second before the balancer knows: its requests are lost",
    {"failed-requests", "longest-gap"},
    shrinks_late=True,
)


# The fleet's own maximum stays.
exceeds_the_maximum = broken_by(
    "exceeds_the_maximum",
    "The autoscaler starts eight replicas, and the service may have seven",
    {_DRILL: {"added", "most"}},
    lambda levers: (
        levers.replace_in_config("max_replicas = 8", "max_replicas = 7"),
        levers.fleet(scaler="greedy"),
    ),
    needs=_FLEET,
)
# As behind a proxy that drops the header.
answers_name_no_replica = broken_by(
    "answers_name_no_replica",
    "Answers do not name their replica any more: nothing shows that the new ones answer",
    {_DRILL: {"answering"}},
    lambda levers: levers.replace_in_config(
        'replica_header = "x-replica"\nreplicas = [', 'replica_header = "x-pod"\nreplicas = ['
    ),
    needs=_FLEET,
)
