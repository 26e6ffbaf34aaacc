"""What a repository has of migrations, what a database had of them, and how the two differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from readiness.model.errors import CouldNotMeasure, NoData


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Attributes:
        version: its unique name; with django `app.0001_name`.
        after: the versions that it builds on.
        needs: versions of another line that must be there before (alembic's `depends_on`).
        checksum: of the file, where the tool keeps one; None where it does not.
        down: the file of its rollback, where that is a separate file.
        replaces: the versions that it stands for (squashed).
        labels: the names of the line that begins with it (alembic's `branch_labels`).
    """

    version: str
    path: Path
    after: tuple[str, ...] = ()
    checksum: str | None = None
    down: Path | None = None
    replaces: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What the table of versions says.

    Attributes:
        coded: those that are no SQL and have no file here: Java of flyway, Go of goose.
        overlapping: those that alembic lists although another listed one builds on them.
    """

    versions: frozenset[str]
    source: str
    failed: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    coded: tuple[str, ...] = ()
    overlapping: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """How repository and database differ. All empty, and one head: they agree.

    Attributes:
        unknown: applied, not in the repository.
        failed: begun, and not ended well.
        altered: their file is another one than the one that was applied.
        heads: the ends of the repository.
        forks: ends that nobody declared and that ought to be merged into another one.
    """

    pending: tuple[str, ...]
    unknown: tuple[str, ...]
    failed: tuple[str, ...]
    altered: tuple[str, ...]
    heads: tuple[str, ...]
    forks: tuple[str, ...] = ()


def state(
    migrations: Iterable[Migration],
    applied: Applied,
    heads: Iterable[str],
    forks: Iterable[str] = (),
) -> State:
    """Compares the repository with what was applied."""
    known = {migration.version: migration for migration in migrations}
    done = set(applied.versions)
    for migration in known.values():
        if migration.replaces and done.issuperset(migration.replaces):
            done.add(migration.version)
        if migration.version in done:
            done.update(migration.replaces)
    replaced = {old for migration in known.values() for old in migration.replaces}
    return State(
        pending=tuple(version for version in known if version not in done),
        unknown=tuple(sorted(applied.versions - known.keys() - replaced - {*applied.coded})),
        failed=applied.failed,
        altered=tuple(
            version
            for version, written in sorted(applied.checksums.items())
            if version in known and known[version].checksum not in (None, written)
        ),
        heads=tuple(heads),
        forks=tuple(forks),
    )


def in_order(migrations: Iterable[Migration], where: str) -> list[Migration]:
    """The migrations, each after those it builds on; else by their names.

    Raises:
        CouldNotMeasure: they depend on each other in a circle, or on one that does not exist.
    """
    waiting = {m.version: m for m in sorted(migrations, key=lambda m: m.version)}
    if not waiting:
        raise NoData("no migrations were found", where=where, remedy="check `folder` and `tool`")
    there = set(waiting) | {old for m in waiting.values() for old in m.replaces}
    for migration in waiting.values():
        if missing := [v for v in migration.after + migration.needs if v not in there]:
            raise CouldNotMeasure(
                f"{migration.version} depends on {missing[0]}, which does not exist",
                where=str(migration.path),
            )
    ordered: list[Migration] = []
    done: set[str] = set()
    while waiting:
        ready = [m for m in waiting.values() if done.issuperset(m.after + m.needs)]
        if not ready:
            raise CouldNotMeasure(
                f"the migrations depend on each other in a circle, such as {min(waiting)}",
                where=where,
            )
        for migration in ready:
            ordered.append(waiting.pop(migration.version))
            done.update((migration.version, *migration.replaces))
    return ordered


def heads_of(migrations: Iterable[Migration]) -> tuple[str, ...]:
    """The migrations that none builds on."""
    found = list(migrations)
    built_on = {version for migration in found for version in migration.after}
    return tuple(m.version for m in found if m.version not in built_on)


def forks_of(migrations: Iterable[Migration]) -> tuple[str, ...]:
    """The heads beyond the first that have neither a label of their own nor one that needs them.

    Labels are how alembic keeps several lines on purpose; a head that another one depends on is
    applied with that: https://alembic.sqlalchemy.org/en/latest/branches.html
    """
    known = {migration.version: migration for migration in migrations}
    heads = heads_of(known.values())
    lines = {head: set(_line(head, known)) for head in heads}
    needed = {need for migration in known.values() for need in migration.needs}
    undeclared = []
    for head in heads:
        shared: set[str] = set().union(*(lines[other] for other in heads if other != head))
        own = lines[head] - shared
        if head not in needed and not any(known[version].labels for version in own):
            undeclared.append(head)
    return tuple(undeclared[1:])


def without_replaced(
    migrations: Sequence[Migration], done: AbstractSet[str] | None = None
) -> list[Migration]:
    """Squashed migrations in place of those that they replace, as on a new database.

    Where it is known what was applied (`done`), a squashed one that was not is left out instead.
    """
    used = [m for m in migrations if m.replaces and (done is None or m.version in done)]
    replaced = {old for m in used for old in m.replaces}
    unused = {m.version for m in migrations if m.replaces and m not in used}
    return [m for m in migrations if m.version not in replaced | unused]


def _line(head: str, known: Mapping[str, Migration]) -> Iterator[str]:
    """What a head builds on, and itself."""
    waiting = [head]
    while waiting:
        version = waiting.pop()
        if version in known:
            yield version
            waiting += known[version].after
