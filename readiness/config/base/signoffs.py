"""The tables of sign-offs: what people attest, and what the gate can still check of it."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Evidence, File, Image, Model, Name, Named, Positive, Text

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Signoff(Model):
    """What a person attests for one release."""

    item: Name = Field(..., description="one of [signoffs] required")
    person: Text = Field(..., description="who attests it; not the deployer")
    evidence: Evidence = Field(
        ..., description="an address that answers, or a file beside this one whose digest is kept"
    )
    release: Text = Field(..., description="the release it was given for; no other counts")
    image: Image | None = Field(
        None, description="the artifact it was given for; required if [target] has an `image`"
    )
    config_sha256: Sha256 | None = Field(
        None,
        description="what this file asked for, without its sign-offs, as `readiness signoff`"
        " writes it; after a change the sign-off no longer counts",
    )
    evidence_sha256: Sha256 | None = Field(
        None, description="SHA-256 of the file that `evidence` names"
    )
    signed: AwareDatetime | None = Field(None, description="when it was given")
    expires: date = Field(..., description="last day (UTC) on which it counts")
    signature: str = Field(
        "", description="SSH signature of all other keys, as `readiness signoff --key` writes it"
    )


class Document(Named):
    """A document for operations, such as a runbook."""

    path: File = Field(..., description="the document, in Markdown or plain text")
    describes: Annotated[list[File], Field(min_length=1)] = Field(
        ..., description="files that it describes, or patterns of them; none may be newer"
    )


class Staging(Model):
    """The run on staging that shows what cannot be drilled in production."""

    record: File = Field(..., description="its readiness.json")
    environment: Name = Field("staging", description="the environment that it must be of")
    fresh_h: Positive = Field(..., description="hours; how old it may be")
    drills: list[Text] = Field(
        default=[], description="ids of checks that must have passed there, as `backup.restores`"
    )


class SignoffPolicy(Model):
    """Which sign-offs a release needs."""

    required: Annotated[list[Name], Field(min_length=1)] = Field(
        ..., description="the items that somebody must sign, by name"
    )
    authors: list[Text] = Field(
        default=[], description="who made this release: like the deployer, they cannot sign alone"
    )
    four_eyes: list[Name] = Field(
        default=[],
        description="items that two people sign, one of them neither deployer nor author",
    )
    guides: Mapping[Name, Annotated[list[Text], Field(min_length=1)]] = Field(
        default={}, description="what to do before an item is signed, as a list of steps"
    )
    signed: list[Name] = Field(
        default=[], description="items whose sign-offs must have an SSH signature of the person"
    )
    allowed_signers: File | None = Field(
        None,
        description="who may sign with which SSH key, as git reads it"
        " (`gpg.ssh.allowedSignersFile`); required with `signed`",
    )
    timeout_s: Positive = Field(5, description="seconds; time-out of a request for a link")
    documents: Mapping[Name, Document] = Field(
        default={}, description="documents for operations, as [signoffs.documents.NAME]"
    )
    staging: Staging | None = Field(
        None, description="the run on staging that is accepted for this release"
    )

    @model_validator(mode="after")
    def _keys_to_verify_with(self) -> Self:
        if self.signed and self.allowed_signers is None:
            raise PydanticCustomError("pair", "`signed` needs `allowed_signers`")
        return self
