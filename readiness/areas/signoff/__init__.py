"""Sign-off: what only people can judge, and whether they have signed it for this release."""

from collections.abc import Iterator
from typing import Final

from readiness.config.base.area import Area, Item, Look
from readiness.config.base.signoffs import Document
from readiness.config.base.tables import Config
from readiness.lib import ssh_signatures
from readiness.model.errors import Unreachable

__all__ = ["AREA"]


def _items(config: Config) -> list[Item]:
    return [Item(name) for name in config.signoffs.required] if config.signoffs else []


def _signed(config: Config) -> list[Item]:
    """Those that must be signed by key, and those that somebody did sign so."""
    policy = config.signoffs
    if policy is None or policy.allowed_signers is None:
        return []
    by_key = {*policy.signed, *(s.item for s in config.signoff if s.signature)}
    return [Item(name) for name in policy.required if name in by_key]


def _documents(config: Config) -> list[Document]:
    return list(config.signoffs.documents.values()) if config.signoffs else []


def _staging(config: Config) -> list[Item]:
    staging = config.signoffs.staging if config.signoffs else None
    return [Item(staging.environment)] if staging else []


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    def ssh_keygen() -> str:
        if problem := ssh_signatures.absent():
            raise Unreachable(problem, where="PATH")
        return "signatures of sign-offs can be verified"

    if _signed(config):
        yield "ssh-keygen", ssh_keygen


AREA: Final = Area(
    "signoff",
    kinds={
        "signoff_item": ("[signoffs] required", _items),
        "signed_item": ("[signoffs] signed", _signed),
        "document": ("[signoffs.documents.NAME]", _documents),
        "staging": ("[signoffs.staging]", _staging),
    },
    looks=_looks,
)
