"""What must turn each check of the statements red."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from readiness.faults import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem


@fault(
    turns_red={"database.slow-query-tracking[shop]"},
    story="Somebody switched the log of slow statements off, as it was too long",
)
@contextmanager
def slow_statements_unlogged(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of a slow statement is a mean among others."""
    with system.levers.setting("log_min_duration_statement", "-1"):
        yield
