"""The environment of an application, as one place declares it or runs with it.

No value leaves this area: messages name variables, and say what is wrong with a value.
"""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Final, ParamSpec, TypeVar
from urllib.parse import unquote

from readiness.areas.configuration import words
from readiness.areas.configuration.config import App, Secrets
from readiness.model.errors import CouldNotMeasure, ReadinessError
from readiness.model.secrets import PLACEHOLDER, register

_P = ParamSpec("_P")
_R = TypeVar("_R")


def private(read: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let no error of a function show the values that it handles.

    A report for engineers prints the arguments, and on demand the variables, of every frame of an
    error; an error of Python itself may quote a value. Errors of ours lose their frames, and others
    become one of ours that names only the place.
    """

    @wraps(read)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return read(*args, **kwargs)
        except ReadinessError as error:
            raise error.with_traceback(None) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, it may quote a value
            raise CouldNotMeasure(
                f"an unexpected {type(error).__name__} at {_place_of(error)}",
                where=read.__name__,
                remedy="please report it",
            ) from None

    return call


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


# `scheme://user:password@host`, and `password=...` of libpq, JDBC and ADO.NET.
_IN_ADDRESS: Final = re.compile(r"^[A-Za-z][\w+.-]*://[^/?#@:]*:(?P<password>[^/?#]+)@")
_IN_WORDS: Final = re.compile(r"(?i)(?:^|[?&;\s])(?:password|pwd)=(?P<password>[^&;\s]+)")
_PASSWORD: Final = re.compile(r"(?i)pass(word|wd)?\d*$|_pwd$")
_IN_IT: Final = " (the password in it)"


class Value:
    """The value of a variable, which is used and never shown."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The value itself, for what judges it."""
        return self._text

    def __repr__(self) -> str:
        return f"Value({PLACEHOLDER!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an environment is declared, or runs.

    Attributes:
        source: the place, for a message.
        values: the variables whose values are known; an empty one is set, and empty.
        unread: variables that are set, from something whose value is not read.
        secrets: other secrets that the application gets, such as files, by their names.
        blank: variables that are not set, and that the file needs: they became empty text.
        mistakes: what is not valid in the file.
        unresolved: references to a secret that does not exist or is empty.
        unknown: references that cannot be followed from here.
        env_files: the files that its variables are written in.
        secret_files: the files that are secrets.
        image: the image, as it is declared.
        digests: what the image is, if the place says so; several if its pods run several.
        is_container: whether its local addresses are its own: no sidecar, no network of the host.
        whole: whether it names all variables, so that others were added elsewhere.
    """

    source: str
    values: Mapping[str, Value] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    secrets: Mapping[str, Value] = field(default_factory=dict)
    blank: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()
    secret_files: tuple[Path, ...] = ()
    image: str = ""
    digests: tuple[str, ...] = ()
    is_container: bool = False
    whole: bool = False

    def lacks(self, name: str) -> str:
        """How a needed variable is lacking: `missing` or `empty`; empty text if it is there."""
        for key in (name, f"{name}_FILE"):  # the images of Docker's library read the file
            if key in self.unread or (key in self.values and self.values[key].reveal().strip()):
                return ""
        return "empty" if name in self.values else "missing"


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret of an environment.

    Attributes:
        name: the variable, and that it is only the password of an address.
        variable: the variable.
        min_length: characters that it needs.
    """

    name: str
    variable: str
    value: Value
    min_length: int


@private
def secrets_in(place: Place, settings: Secrets) -> list[Kept]:
    """The secrets of a place that can be seen: by the names of variables, in addresses, in files.

    Empty ones are left out, as are paths and references to a secret elsewhere.
    """
    mounted = place.secrets.items()
    return [
        *secrets_of(place.values, settings),
        *(Kept(f"secret {name}", name, value, _least(name, settings)) for name, value in mounted),
    ]


def secrets_of(values: Mapping[str, Value], settings: Secrets) -> Iterator[Kept]:
    """The secrets among variables, see `secrets_in`."""
    for name, value in values.items():
        text = value.reveal()
        if name in settings.public or not text.strip() or words.is_elsewhere(text):
            continue
        if name in settings.names or words.is_secret(name, text):
            yield Kept(name, name, value, _least(name, settings))
        elif password := password_in(text):
            least = settings.password_min_length
            yield Kept(f"{name}{_IN_IT}", name, Value(password), least)


def _least(name: str, settings: Secrets) -> int:
    is_password = _PASSWORD.search(name) is not None
    return settings.password_min_length if is_password else settings.min_length


def password_in(text: str) -> str:
    """The password in an address; empty if there is none."""
    found = _IN_ADDRESS.match(text) or _IN_WORDS.search(text)
    return unquote(found["password"]) if found else ""


@private
def hide(place: Place, settings: Secrets) -> None:
    """Redact the secrets in all later output, except words that would garble it."""
    for secret in secrets_in(place, settings):
        text = secret.value.reveal()
        if not words.weakness(secret.variable, text, 1):
            register(text)


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
