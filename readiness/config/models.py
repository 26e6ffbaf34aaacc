"""The model of `readiness.toml`: the tables of all areas combined."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import Field, create_model

from readiness.areas.registry import areas
from readiness.config.base import Name, Named, tables
from readiness.config.base.area import Area
from readiness.config.base.tables import Database, Service

__all__ = ["Config", "Database", "Service", "joined"]

_N = TypeVar("_N", bound=Named)


def joined(all_areas: Iterable[Area]) -> type[tables.Config]:
    """The model of a file with the tables of these areas."""
    known = tuple(all_areas)
    own = tuple(area.config for area in known if area.config is not tables.Config)
    fields: dict[str, Any] = {
        "services": _field("services", _extended(Service, known)),
        "databases": _field("databases", _extended(Database, known)),
    }
    bases: Any = own or (tables.Config,)
    model: Any = create_model(
        "Config", __base__=bases, __doc__="The whole of `readiness.toml`.", **fields
    )
    return cast("type[tables.Config]", model)


def _extended(table: type[_N], known: Iterable[Area]) -> type[_N]:
    """The table with what the areas add to it."""
    more = tuple(t for area in known for t in area.extends if issubclass(t, table))
    return create_model(table.__name__, __base__=more or (table,), __doc__=table.__doc__)


def _field(name: str, table: type[Named]) -> tuple[object, object]:
    description = tables.Config.model_fields[name].description
    annotation = Annotated[Mapping[Name, table], Field(min_length=1)]  # type: ignore[valid-type]
    return annotation, Field(default={}, description=description)


if TYPE_CHECKING:
    from readiness.areas.registry import Config
else:
    Config = joined(areas())
