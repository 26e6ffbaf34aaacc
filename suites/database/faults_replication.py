"""What proves the checks of the standby, of slots, and of the pooler."""

from collections.abc import Iterator
from contextlib import contextmanager

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"database.standby-connected[shop]"},
    story="The standby was built anew under another name, which nothing else knows.",
)
@contextmanager
def standby_has_another_name(system: ReferenceSystem) -> Iterator[None]:
    """It follows well; but `synchronous_standby_names` and the failover look for the old one."""
    with system.levers.standby_renamed():
        yield


@fault(
    turns_red={"database.standby-connected[shop]", "database.replication-lag[shop]"},
    story="The standby lost its primary, and answers with what it last knew.",
)
@contextmanager
def standby_lost_its_primary(system: ReferenceSystem) -> Iterator[None]:
    """What it received and what it replayed are equal: most exporters call that a lag of 0."""
    with system.levers.standby_cut_off():
        yield


@fault(
    turns_red={"database.replication-lag[shop]"},
    story="The replay of the standby was paused for a report, and not resumed.",
)
@contextmanager
def replay_is_paused(system: ReferenceSystem) -> Iterator[None]:
    """It receives everything, and shows nothing of it."""
    with system.levers.replay_paused():
        yield


@fault(
    turns_red={"database.replication-slots[shop]"},
    story="A consumer was taken away, and its replication slot was not.",
)
@contextmanager
def slot_is_forgotten(system: ReferenceSystem) -> Iterator[None]:
    """It holds 24 MB of WAL back, where 20 are allowed; it would go on until the disk is full."""
    with (
        system.levers.slot_forgotten(megabytes=24),
        system.levers.limits(slot_warn_bytes=18_000_000, slot_max_bytes=20_000_000),
    ):
        yield


@fault(
    turns_red={"database.pool-saturation[shop]"},
    story="All connections of the pool are held by transactions that go on and on.",
)
@contextmanager
def pool_is_exhausted(system: ReferenceSystem) -> Iterator[None]:
    """The database itself has nearly nothing to do."""
    with system.levers.pool_exhausted():
        yield
