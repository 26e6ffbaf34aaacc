"""Migrations read from the files of a repository; Python files are parsed and never run."""

import ast
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from readiness.lib.migrations.model import Migration
from readiness.model.errors import CouldNotMeasure

_PLAIN: Final = re.compile(r"(?P<version>\d+)[._-]?(?P<name>.*?)(?P<way>\.up|\.down)?\.sql")
_FLYWAY: Final = re.compile(r"(?P<kind>[VURB])(?P<version>[\d._]*)__(?P<name>.*)\.sql")
_PLACEHOLDER: Final = re.compile(r"\$\{([\w.:-]+)\}")
_LARGEST: Final = 16 * 1024 * 1024
_REMEDY: Final = "check `folder` of its migrations"


def text_of(path: Path) -> str:
    """What a file says.

    Raises:
        CouldNotMeasure: it cannot be read, or is larger than 16 MiB.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(data) > _LARGEST:
        raise CouldNotMeasure("is larger than 16 MiB", where=str(path))
    return data.decode("utf-8-sig", "replace")


def plain(folder: Path) -> list[Migration]:
    """`0001_name.up.sql` with `0001_name.down.sql`, or `0001_name.sql`; in the order of numbers."""
    ups: list[tuple[str, Path]] = []
    downs: dict[str, Path] = {}
    for path in _sql(folder):
        if found := _PLAIN.fullmatch(path.name):
            if found["way"] == ".down":
                downs[found["version"]] = path
            else:
                ups.append((found["version"], path))
    _refuse_twice([version for version, _ in ups], folder)
    return [
        Migration(version, path, down=downs.get(version))
        for version, path in sorted(ups, key=lambda up: (int(up[0]), up[0]))
    ]


def flyway(folder: Path, values: Mapping[str, str] = MappingProxyType({})) -> list[Migration]:
    """`V1.2__name.sql` with `U1.2__name.sql`, in the order of versions, then `R__name.sql`.

    `B1.2__name.sql` replaces all up to its version, as on a new database.
    """
    versioned: dict[tuple[int, ...], Migration] = {}
    bases: dict[tuple[int, ...], Migration] = {}
    repeatable: list[Migration] = []
    undo: dict[tuple[int, ...], Path] = {}
    twice: list[str] = []
    for path in _sql(folder):
        found = _FLYWAY.fullmatch(path.name)
        if not found:
            continue
        version = found["version"].replace("_", ".")
        if found["kind"] == "U":
            undo[numbers(version)] = path
        elif found["kind"] == "R":
            repeatable.append(
                Migration(
                    found["name"].replace("_", " "), path, checksum=_of_repeatable(path, values)
                )
            )
        elif version:
            several = bases if found["kind"] == "B" else versioned
            twice += [version] if numbers(version) in several else []
            sums = flyway_checksum(path)
            several[numbers(version)] = Migration(version, path, checksum=sums)
    _refuse(twice, folder)
    ordered = [replace(versioned[key], down=undo.get(key)) for key in sorted(versioned)]
    return _with_base(ordered, bases) + sorted(repeatable, key=lambda m: m.version)


def _with_base(
    ordered: list[Migration], bases: Mapping[tuple[int, ...], Migration]
) -> list[Migration]:
    """With the newest base after those that it replaces; `B2` differs from the `2` of its number.

    See https://documentation.red-gate.com/flyway/flyway-concepts/migrations/baseline-migrations
    """
    if not bases:
        return ordered
    newest = max(bases)
    old = [m for m in ordered if numbers(m.version) <= newest]
    names = tuple(m.version for m in old)
    base = replace(bases[newest], version=f"B{bases[newest].version}", replaces=names)
    return [*old, base, *ordered[len(old) :]]


def is_base(migration: Migration) -> bool:
    """Whether flyway runs it on a new database alone, in place of all up to its version."""
    return migration.path.name.startswith("B") and migration.path.suffix == ".sql"


def flyway_checksum(path: Path) -> str:
    """As flyway writes it down: CRC-32 of the lines without their ends, as a signed number."""
    return _checksum(text_of(path))


def _of_repeatable(path: Path, values: Mapping[str, str]) -> str | None:
    """Of the text with its placeholders filled in; None where a value is not known here."""
    text = text_of(path)
    known = all(name in values for name in _PLACEHOLDER.findall(text))
    return _checksum(with_values(text, path, values)) if known else None


def _checksum(text: str) -> str:
    value = 0
    for line in re.split(r"\r\n|\r|\n", text):
        value = zlib.crc32(line.encode(), value)
    return str(value - (1 << 32) if value >= 1 << 31 else value)


def with_values(text: str, path: Path, values: Mapping[str, str]) -> str:
    """A flyway script with its placeholders filled in; `${flyway:filename}` is known.

    Raises:
        CouldNotMeasure: one has no value.
    """
    known = {"flyway:filename": path.name, **values}

    def value(found: re.Match[str]) -> str:
        if found[1] in known:
            return known[found[1]]
        raise CouldNotMeasure(
            f"the placeholder {found[0]} has no value",
            where=str(path),
            remedy=f'set it in [databases.NAME.migrations]: placeholders = {{ "{found[1]}" ='
            " 'VALUE' }",
        )

    return _PLACEHOLDER.sub(value, text)


def is_repeatable(migration: Migration) -> bool:
    """Whether flyway runs it again whenever its file has changed."""
    return migration.path.name.startswith("R__")


def _sql(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise CouldNotMeasure(
            "the folder does not exist",
            where=str(folder),
            remedy="check `folder` of its migrations",
        )
    yield from sorted(folder.rglob("*.sql"))


def numbers(version: str) -> tuple[int, ...]:
    """The version to sort by; 1.0 is 1, as flyway has it."""
    numbers = [int(part) for part in version.lstrip("B").split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _refuse_twice(versions: list[str], folder: Path) -> None:
    _refuse([version for version, times in Counter(versions).items() if times > 1], folder)


def _refuse(twice: list[str], folder: Path) -> None:
    if twice:
        raise CouldNotMeasure(
            f"duplicate version {twice[0]}",
            where=str(folder),
            remedy="renumber one of them",
        )


def alembic(folder: Path) -> list[Migration]:
    """The files with `revision` and `down_revision`, in no particular order."""
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
        own = _several(names.get("branch_labels")) or ()
        found.append(Migration(revision, path, after, needs=needs, labels=own))
        labels |= dict.fromkeys(own, revision)
    _refuse_twice([m.version for m in found], folder)
    known = {m.version for m in found}
    return [replace(m, needs=tuple(_revision(n, labels, known) for n in m.needs)) for m in found]


def _revision(named: str, labels: Mapping[str, str], known: set[str]) -> str:
    """The revision that a label, or the beginning of its name, stands for."""
    named = labels.get(named, named)
    like = [version for version in known if version.startswith(named)]
    return like[0] if named not in known and len(like) == 1 else named


def django(folder: Path) -> list[Migration]:
    """The files `APP/migrations/NAME.py` with a class Migration, in no particular order.

    Dependencies on apps outside of this folder are left out.
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
        app = _label(path.parent.parent)
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


def _label(app: Path) -> str:
    """The name by which django knows an app: its folder's, unless its configuration has another."""
    config = app / "apps.py"
    bodies = _parsed(config).body if config.is_file() else []
    labels = [_assigned(node).get("label") for node in bodies if isinstance(node, ast.ClassDef)]
    return next((label for label in labels if isinstance(label, str)), app.name)


def _python(folder: Path, pattern: str) -> Iterator[Path]:
    if not folder.is_dir():
        raise CouldNotMeasure("the folder does not exist", where=str(folder), remedy=_REMEDY)
    # The folder itself may be that of an installed package.
    own = (p for p in folder.glob(pattern) if "site-packages" not in p.relative_to(folder).parts)
    yield from sorted(own)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(text_of(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CouldNotMeasure(f"is not valid Python: {error}", where=str(path)) from None


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
    """A literal; in a list, anything else (`swappable_dependency(…)`) is left out."""
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
