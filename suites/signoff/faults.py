"""Sign-offs that do not count for this release."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_ITEM: Final = {"signoff.manual-items[uat]": {"signed"}}


def _uat(key: str, value: str) -> Callable[[str], str]:
    """An edit of readiness.toml: another value for one key of the sign-off of `uat`."""
    entry = re.compile(rf'(item = "uat"\n(?:\w+ = .*\n)*?{key} = ).*')
    return lambda text: entry.sub(rf"\g<1>{value}", text, count=1)


@fault(misses=_ITEM, story="the sign-off has expired")
@contextmanager
def signoff_has_expired(system: "ReferenceSystem") -> Iterator[None]:
    """It was given long ago."""
    with system.levers.edit_config(_uat("expires", "2020-02-02")):
        yield


@fault(misses=_ITEM, story="the sign-off is for an earlier release")
@contextmanager
def signoff_is_of_another_release(system: "ReferenceSystem") -> Iterator[None]:
    """It was copied from the last change ticket."""
    with system.levers.edit_config(_uat("release", '"0.0.1"')):
        yield


@fault(misses=_ITEM, story="the person who deploys has signed")
@contextmanager
def signoff_is_by_the_deployer(system: "ReferenceSystem") -> Iterator[None]:
    """Four eyes are required."""
    with system.levers.edit_config(_uat("person", '"Deploy-Bot"')):
        yield
