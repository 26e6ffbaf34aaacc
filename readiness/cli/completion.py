"""What a shell offers on Tab: areas, ids of checks, their subjects, and the checks of a record.

Whatever cannot be read offers nothing: a message in the middle of a command line helps nobody.
"""

from collections.abc import Iterator
from pathlib import Path

from click import Context
from click.shell_completion import CompletionItem

from readiness.model.errors import ReadinessError
from readiness.model.record import load
from readiness.run import catalogue


def offers(kind: str, context: Context, begun: str) -> list[CompletionItem]:
    """The words that may follow what was typed.

    Args:
        kind: `areas`, `ids`, `selections` (ids, and subjects after `[`) or `recorded`.
        context: what is already on the command line.
        begun: the word under the cursor.
    """
    makers = {"areas": _areas, "ids": _ids, "selections": _selections, "recorded": _recorded}
    try:
        found = [item for item in makers[kind](context, begun) if str(item.value).startswith(begun)]
    except (ReadinessError, OSError):
        return []
    return found


def _areas(_context: Context, _begun: str) -> Iterator[CompletionItem]:
    names = {entry.spec.suite for entry in catalogue.entries()}
    return (CompletionItem(name) for name in sorted(names))


def _ids(_context: Context, _begun: str) -> Iterator[CompletionItem]:
    return (CompletionItem(e.spec.id, help=e.spec.title) for e in catalogue.entries())


def _selections(context: Context, begun: str) -> Iterator[CompletionItem]:
    """Ids; for one that is complete, the same on each subject that the file declares."""
    yield from _ids(context, begun)
    check = begun.partition("[")[0]
    spec = next((e.spec for e in catalogue.entries() if e.spec.id == check), None)
    if spec and spec.each:
        from readiness.config.loading import configured
        from readiness.config.subjects import subjects

        named = context.params.get("config")
        config = configured(Path(named) if named else None).config
        for subject in subjects(config, spec.each, spec.needs):
            yield CompletionItem(f"{check}[{subject.name}]", help=spec.title)


def _recorded(context: Context, _begun: str) -> Iterator[CompletionItem]:
    # In front of an option without its value, click leaves the argument among the rest.
    named = next(iter(context.args), "") or context.params["record"]
    record = load(Path(named))
    for check in record.checks:
        yield CompletionItem(check.name, help=f"{check.outcome}: {check.headline}")
