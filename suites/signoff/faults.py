"""Sign-offs that do not count, and operations that are not ready."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem

_ITEM: Final = {"signoff.manual-items[uat]": {"signed"}}
_ON_CALL: Final = {"signoff.manual-items[on-call]": {"signed"}}
_PROOF: Final = {"signoff.evidence[uat]": {"reachable"}}
_SIGNATURE: Final = {"signoff.signatures[alert-drill]": {"verified"}}
_DOCUMENT: Final = "signoff.documents[runbook]"
_STAGING: Final = "signoff.staging[staging]"
_KEYGEN: Final = "ssh-keygen"


def _entry(item: str, key: str, value: str) -> Callable[[str], str]:
    """An edit of readiness.toml: another value for one key of the first sign-off of an item."""
    entry = re.compile(rf'(item = "{item}"\n(?:\w+ = .*\n)*?{key} = ).*')
    return lambda text: entry.sub(lambda found: found[1] + value, text, count=1)


@fault(misses=_ITEM, story="the sign-off has expired")
@contextmanager
def signoff_has_expired(system: "ReferenceSystem") -> Iterator[None]:
    """It was given long ago."""
    with system.levers.edit_config(_entry("uat", "expires", "2020-02-02")):
        yield


@fault(misses=_ITEM | {"signoff.evidence[uat]": ()}, story="the sign-off is for an earlier release")
@contextmanager
def signoff_is_of_another_release(system: "ReferenceSystem") -> Iterator[None]:
    """It was copied from the last change ticket."""
    with system.levers.edit_config(_entry("uat", "release", '"0.0.1"')):
        yield


@fault(misses=_ITEM, story="the release was built again after the sign-off")
@contextmanager
def signoff_is_of_another_image(system: "ReferenceSystem") -> Iterator[None]:
    """The tag is the same, the artifact is not."""
    image = f'"registry.example.com/orders@sha256:{"0" * 64}"'
    with system.levers.edit_config(_entry("uat", "image", image)):
        yield


@fault(misses=_ITEM, story="the configuration was changed after the sign-off")
@contextmanager
def signoff_is_of_another_configuration(system: "ReferenceSystem") -> Iterator[None]:
    """A limit was raised after somebody had signed."""
    asked = '"\nconfig_sha256 = "' + "0" * 64 + '"'
    with system.levers.edit_config(_entry("uat", "person", '"Ada Lovelace' + asked)):
        yield


@fault(misses=_ITEM, story="the person who deploys has signed")
@contextmanager
def signoff_is_by_the_deployer(system: "ReferenceSystem") -> Iterator[None]:
    """Four eyes are required."""
    with system.levers.edit_config(_entry("uat", "person", '"Deploy-Bot"')):
        yield


@fault(misses=_ON_CALL, story="one person has signed what two must")
@contextmanager
def signoff_by_one_person(system: "ReferenceSystem") -> Iterator[None]:
    """The other sign-off has expired."""
    with system.levers.edit_config(_entry("on-call", "expires", "2020-02-02")):
        yield


@fault(misses=_PROOF, story="the evidence is x")
@contextmanager
def evidence_is_x(system: "ReferenceSystem") -> Iterator[None]:
    """Something had to stand there."""
    with system.levers.edit_config(_entry("uat", "evidence", '"x"')):
        yield


@fault(misses=_PROOF, story="the evidence was edited after it was signed")
@contextmanager
def evidence_edited(system: "ReferenceSystem") -> Iterator[None]:
    """The deviations were removed from the protocol."""
    with system.levers.signoff.file("acceptance.md", "No journey was tried.\n"):
        yield


@fault(misses={"signoff.evidence[on-call]": {"reachable"}}, story="the evidence is a dead link")
@contextmanager
def evidence_is_gone(system: "ReferenceSystem") -> Iterator[None]:
    """The page was moved."""
    with system.levers.edit_config(lambda text: text.replace("/on-call/rota", "/on-call/old", 1)):
        yield


@fault(misses=_SIGNATURE, story="a signed sign-off was edited", needs=_KEYGEN)
@contextmanager
def signed_signoff_edited(system: "ReferenceSystem") -> Iterator[None]:
    """It was given a later day."""
    with system.levers.edit_config(_entry("alert-drill", "expires", "2126-01-01")):
        yield


@fault(misses=_SIGNATURE, story="a sign-off was signed with another person's key", needs=_KEYGEN)
@contextmanager
def signoff_forged(system: "ReferenceSystem") -> Iterator[None]:
    """Whoever writes the file signs with a key of their own."""
    forged = system.levers.signoff.forged().replace("\n", "\\n")
    with system.levers.edit_config(_entry("alert-drill", "signature", f'"{forged}"')):
        yield


@fault(misses={_DOCUMENT: {"exists"}}, story="the runbook was deleted")
@contextmanager
def runbook_missing(system: "ReferenceSystem") -> Iterator[None]:
    """It was moved to another repository."""
    with system.levers.signoff.file("runbook.md", None):
        yield


@fault(misses={_DOCUMENT: {"links"}}, story="a link of the runbook is dead")
@contextmanager
def runbook_has_a_dead_link(system: "ReferenceSystem") -> Iterator[None]:
    """A file that it names was renamed."""
    with system.levers.signoff.file("runbook.md", "See [what to do](restore.md).\n"):
        yield


@fault(misses={_DOCUMENT: {"current"}}, story="the system was changed after its runbook")
@contextmanager
def runbook_is_outdated(system: "ReferenceSystem") -> Iterator[None]:
    """Nobody read it again."""
    with system.levers.signoff.described_later():
        yield


@fault(misses={_STAGING: {"ready"}}, story="the run on staging decided nothing")
@contextmanager
def staging_only_reported(system: "ReferenceSystem") -> Iterator[None]:
    """It ran with --report-only."""
    with system.levers.signoff.staging_edited('"report_only": false', '"report_only": true'):
        yield


@fault(misses={_STAGING: {"environment"}}, story="the record is of another environment")
@contextmanager
def staging_is_a_laptop(system: "ReferenceSystem") -> Iterator[None]:
    """Somebody ran the gate at their desk."""
    with system.levers.signoff.staging_edited('"staging"', '"laptop"'):
        yield


@fault(misses={_STAGING: {"release"}}, story="the run on staging judged an earlier release")
@contextmanager
def staging_judged_another_release(system: "ReferenceSystem") -> Iterator[None]:
    """The record of the last release was handed over again."""
    with system.levers.signoff.staged(release="0.0.1"):
        yield


@fault(misses={_STAGING: {"fresh"}}, story="the run on staging is a month old")
@contextmanager
def staging_run_is_old(system: "ReferenceSystem") -> Iterator[None]:
    """Nothing was drilled since."""
    with system.levers.signoff.staged(hours=720):
        yield


@fault(misses={_STAGING: {"drills"}}, story="no backup was restored on staging")
@contextmanager
def staging_skipped_a_drill(system: "ReferenceSystem") -> Iterator[None]:
    """Another check ran instead."""
    with system.levers.signoff.staging_edited('"backup.restores"', '"backup.age"'):
        yield
