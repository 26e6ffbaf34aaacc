"""Migrations that are Python files, of alembic and django: read, and never run."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from readiness.lib.migrations.files import text_of
from readiness.lib.migrations.model import Migration
from readiness.model.errors import CouldNotMeasure

_REMEDY: Final = "check `folder` of its migrations"


def alembic(folder: Path) -> list[Migration]:
    """The files with `revision` and `down_revision`, in no particular order.

    Raises:
        CouldNotMeasure: the folder does not exist, or a file cannot be read.
    """
    found = []
    labels: dict[str, str] = {}
    for path in _python(folder, "*.py"):
        names = _assigned(_parsed(path))
        revision = names.get("revision")
        if not isinstance(revision, str):
            continue
        after = _several(names.get("down_revision"))
        if after is None or "down_revision" not in names:
            raise CouldNotMeasure("cannot read its down_revision", where=str(path))
        needs = _several(names.get("depends_on")) or ()
        found.append(Migration(revision, path, after, needs=needs))
        labels |= dict.fromkeys(_several(names.get("branch_labels")) or (), revision)
    return [replace(m, needs=tuple(labels.get(need, need) for need in m.needs)) for m in found]


def django(folder: Path) -> list[Migration]:
    """The files `APP/migrations/NAME.py` with a class Migration, in no particular order.

    What they build on is given where it lies in this folder too: other apps are not ours.

    Raises:
        CouldNotMeasure: the folder does not exist, or a file cannot be read.
    """
    found = []
    for path in _python(folder, "**/migrations/*.py"):
        body = next(
            (
                node
                for node in _parsed(path).body
                if isinstance(node, ast.ClassDef) and node.name == "Migration"
            ),
            None,
        )
        if body is None:
            continue
        app = path.parent.parent.name
        names = _assigned(body)
        found.append(
            Migration(
                f"{app}.{path.stem}",
                path,
                tuple(_pairs(names.get("dependencies"))),
                replaces=tuple(_pairs(names.get("replaces"))),
            )
        )
    apps = {migration.version.partition(".")[0] for migration in found}
    return [
        replace(m, after=tuple(d for d in m.after if d.partition(".")[0] in apps and "__" not in d))
        for m in found
    ]


def _python(folder: Path, pattern: str) -> Iterator[Path]:
    if not folder.is_dir():
        raise CouldNotMeasure("the folder does not exist", where=str(folder), remedy=_REMEDY)
    yield from sorted(p for p in folder.glob(pattern) if "site-packages" not in p.parts)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(text_of(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CouldNotMeasure(f"is no Python: {error}", where=str(path)) from None


def _assigned(body: ast.Module | ast.ClassDef) -> dict[str, object]:
    """The names that are given a value there, as far as it is written out."""
    found: dict[str, object] = {}
    for node in body.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                found[target.id] = _value(value)
    return found


def _value(node: ast.expr) -> object:
    """A literal; in a list, what is no literal (`swappable_dependency(…)`) is left out."""
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(part) for part in node.elts]
        return tuple(value for value in values if value is not ...)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def _several(value: object) -> tuple[str, ...] | None:
    """None, a name or several, as alembic takes them; None for what is neither."""
    if value is None or isinstance(value, str):
        return (value,) if value else ()
    return tuple(map(str, value)) if isinstance(value, tuple | list) else None


def _pairs(value: object) -> Iterator[str]:
    """`("app", "0001_initial")`, as `app.0001_initial`."""
    for pair in value if isinstance(value, tuple) else ():
        if isinstance(pair, tuple) and len(pair) == 2:  # noqa: PLR2004 - app and name
            yield f"{pair[0]}.{pair[1]}"
