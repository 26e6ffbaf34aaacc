"""What is read of Kubernetes objects to find the environment of a container."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _mapped(value: object) -> object:
    return {} if value is None else value


def _listed(value: object) -> object:
    return [] if value is None else value


class Part(BaseModel):
    """A part of an object; other keys are not read, and `null` means absent."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Key(Part):
    """A key of a Secret or ConfigMap, or all of one."""

    name: str = ""
    key: str = ""
    optional: bool | None = False


class Source(Part):
    """Where the value of a variable comes from; other sources are fields of the pod."""

    secret_key_ref: Key | None = None
    config_map_key_ref: Key | None = None


class Env(Part):
    """A variable."""

    name: str
    value: str | None = None
    value_from: Source | None = None


class EnvFrom(Part):
    """Variables from all keys of an object."""

    prefix: str | None = ""
    secret_ref: Key | None = None
    config_map_ref: Key | None = None


class Container(Part):
    """A container."""

    name: str = ""
    image: str | None = ""
    env: Annotated[list[Env], BeforeValidator(_listed)] = Field(default=[])
    env_from: Annotated[list[EnvFrom], BeforeValidator(_listed)] = Field(default=[])


class SecretVolume(Part):
    """A volume with the keys of a Secret."""

    secret_name: str = ""
    optional: bool | None = False


class MapVolume(Part):
    """A reference to an object by its name."""

    name: str = ""
    optional: bool | None = False


class Projection(Part):
    """A part of a projected volume."""

    secret: MapVolume | None = None
    config_map: MapVolume | None = None


class Projected(Part):
    """A volume of several sources."""

    sources: Annotated[list[Projection], BeforeValidator(_listed)] = Field(default=[])


class Volume(Part):
    """A volume."""

    secret: SecretVolume | None = None
    config_map: MapVolume | None = None
    projected: Projected | None = None


class Pod(Part):
    """The specification of a pod."""

    containers: Annotated[list[Container], BeforeValidator(_listed)] = Field(default=[])
    init_containers: Annotated[list[Container], BeforeValidator(_listed)] = Field(default=[])
    volumes: Annotated[list[Volume], BeforeValidator(_listed)] = Field(default=[])
    image_pull_secrets: Annotated[list[MapVolume], BeforeValidator(_listed)] = Field(default=[])
    host_network: bool | None = False


class Metadata(Part):
    """What every object has."""

    name: str = ""
    namespace: str | None = ""
    labels: Annotated[dict[str, str], BeforeValidator(_mapped)] = Field(default={})
    annotations: Annotated[dict[str, str], BeforeValidator(_mapped)] = Field(default={})


class Template(Part):
    """The template of the pods."""

    metadata: Annotated[Metadata, BeforeValidator(_mapped)] = Metadata()
    spec: Annotated[Pod, BeforeValidator(_mapped)] = Pod()


class JobSpec(Part):
    """The specification of a Job."""

    template: Template = Template()


class JobTemplate(Part):
    """The template of the Jobs of a CronJob."""

    spec: JobSpec = JobSpec()


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
    data: Annotated[list[RemoteKey], BeforeValidator(_listed)] = Field(default=[])


class Spec(Part):
    """What the specifications of the kinds have that are read here."""

    template: Template | None = None
    job_template: JobTemplate | None = None
    # SealedSecret, ExternalSecret, VaultStaticSecret, SecretProviderClass, Certificate
    encrypted_data: Annotated[dict[str, str], BeforeValidator(_mapped)] = Field(default={})
    target: Named | None = None
    destination: Named | None = None
    data: Annotated[list[RemoteKey], BeforeValidator(_listed)] = Field(default=[])
    data_from: Annotated[list[object], BeforeValidator(_listed)] = Field(default=[])
    secret_objects: Annotated[list[SecretObject], BeforeValidator(_listed)] = Field(default=[])
    secret_name: str = ""


class Object(Part):
    """Any object."""

    api_version: str = ""
    kind: str = ""
    metadata: Metadata = Metadata()


class Workload(Object):
    """A workload, or an object that an operator makes Secrets of."""

    spec: Spec = Spec()


class Data(Object):
    """A Secret or ConfigMap."""

    data: Annotated[dict[str, str], BeforeValidator(_mapped)] = Field(default={})
    string_data: Annotated[dict[str, str], BeforeValidator(_mapped)] = Field(default={})
    binary_data: Annotated[dict[str, object], BeforeValidator(_mapped)] = Field(default={})


class ContainerStatus(Part):
    """What runs in a container of a pod."""

    name: str = ""
    image_id: str = Field("", alias="imageID")


class PodStatus(Part):
    """The state of a pod."""

    container_statuses: Annotated[list[ContainerStatus], BeforeValidator(_listed)] = Field(
        default=[]
    )


class RunningPod(Object):
    """A live pod."""

    status: Annotated[PodStatus, BeforeValidator(_mapped)] = PodStatus()
