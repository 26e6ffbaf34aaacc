"""The environment that files declare for an application, and what it needs of it."""

import os
from pathlib import Path

from readiness.areas.configuration.config import App, Declared
from readiness.areas.configuration.environment import Place, Value, private
from readiness.areas.configuration.probes import env_files
from readiness.areas.configuration.probes.compose import of_service
from readiness.areas.configuration.probes.kubernetes import of_manifests
from readiness.model.errors import NoData


@private
def of_declared(application: App) -> Place | None:
    """What the files say; None if none are declared.

    Raises:
        CouldNotMeasure: and its kinds: a file cannot be read or understood.
    """
    declared = application.declared
    if declared is None:
        return None
    if declared.compose:
        return of_service(declared, application.secrets)
    if declared.manifests:
        return of_manifests(declared, application.secrets)
    return _of_env_file(declared)


def _of_env_file(declared: Declared) -> Place:
    path = Path(declared.env_file or "")
    found = env_files.read(path, declared.env_format, os.environ)
    if not found.values and not found.mistakes:
        raise NoData("the file sets no variable", where=str(path), remedy="correct `env_file`")
    return Place(
        source=str(path),
        values={name: Value(text) for name, text in found.values.items()},
        unread=frozenset(found.inherited),
        blank=tuple(dict.fromkeys(found.blank)),
        mistakes=tuple(found.mistakes),
        env_files=(path,),
    )


@private
def needed(application: App) -> list[str]:
    """The variables that the application needs, in the order they are declared.

    Raises:
        NoData: the example sets none.
        CouldNotMeasure: it cannot be read.
    """
    names = dict.fromkeys(application.needs)
    if application.example:
        path = Path(application.example)
        found = env_files.of_compose(env_files.text_of(path))
        named = [*found.values, *found.inherited]
        if not named:
            raise NoData("the file names no variable", where=str(path), remedy="correct `example`")
        names |= dict.fromkeys(name for name in named if name not in application.optional)
    return list(names)
