"""Kubernetes objects with values, and those that operators make Secrets of.

The other areas never keep a Secret, so that the shared reader drops it: these are models of what
only this area reads.
"""

from typing import Any

from pydantic import Field

from readiness.lib.kubernetes.objects import Template
from readiness.lib.kubernetes.parts import Metadata, Part, Texts


class Data(Part):
    """A Secret or ConfigMap."""

    kind: str = ""
    metadata: Metadata = Metadata()
    data: Texts = Field(default={})
    string_data: Texts = Field(default={})
    binary_data: dict[str, Any] = Field(default={})


class Named(Part):
    """A name."""

    name: str = ""


class RemoteKey(Part):
    """A key of a Secret that an operator makes."""

    secret_key: str = ""
    key: str = ""


class SecretObject(Part):
    """A Secret that the CSI driver makes."""

    secret_name: str = ""
    data: list[RemoteKey] = Field(default=[])


class MakerSpec(Part):
    """What the specifications of these kinds say of the Secrets, each in its own fields."""

    template: Template | None = None
    encrypted_data: Texts = Field(default={})
    target: Named | None = None
    destination: Named | None = None
    data: list[RemoteKey] = Field(default=[])
    secret_objects: list[SecretObject] = Field(default=[])
    secret_name: str = ""


class Maker(Part):
    """A SealedSecret, ExternalSecret, VaultStaticSecret, SecretProviderClass or Certificate."""

    metadata: Metadata = Metadata()
    spec: MakerSpec = MakerSpec()
