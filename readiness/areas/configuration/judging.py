"""Which variables of an environment have values that they must not have; values are not named."""

from collections.abc import Iterable, Mapping

from readiness.areas.configuration import words
from readiness.areas.configuration.config import App
from readiness.areas.configuration.environment import Place, Value
from readiness.areas.configuration.privacy import private


@private
def placeholders(values: Mapping[str, Value]) -> list[str]:
    """Those that somebody was to replace, each with the reason."""
    found = {name: words.placeholder(name, value.reveal()) for name, value in values.items()}
    return [f"{name} ({why})" for name, why in found.items() if why]


@private
def debugging(values: Mapping[str, Value], application: App) -> list[str]:
    """Those that turn on what is for development, each with what it is."""
    production = bool(application.production)
    found = {
        name: words.debug(name, value.reveal(), application.environment, production=production)
        for name, value in values.items()
    }
    return [f"{name} ({why})" for name, why in found.items() if why]


@private
def local(values: Mapping[str, Value], application: App, place: Place) -> list[str]:
    """Those that name this machine or container where another one is meant."""
    if not application.production:
        return []
    return [
        name
        for name, value in values.items()
        if words.local(name, value.reveal(), is_container=place.is_container)
    ]


@private
def opened(places: Iterable[Place]) -> list[str]:
    """Those that let a server accept anybody."""
    return [
        name
        for place in places
        for name, value in place.values.items()
        if words.opens(name, value.reveal())
    ]


@private
def lacking(names: Iterable[str], place: Place, state: str) -> list[str]:
    """The needed variables that are `missing` or `empty`."""
    return [name for name in names if place.lacks(name) == state]
