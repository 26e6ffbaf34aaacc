"""A check: one requirement, declared on the pytest function that judges it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Final, ParamSpec, Self, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

ATTRIBUTE: Final = "__readiness_check__"
_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z][a-z0-9]*(-[a-z0-9]+)*")
LABEL: Final = re.compile(r"([a-z][a-z0-9-]*(?:, [a-z][a-z0-9-]*)*):(?: |$)")
"""The beginning of a part of a fix: the judgements that it is about."""

GOES_ON: Final = re.compile(r"(?:,|\b(?:a|an|as|in|is|its|so|that|the))$")
"""The end of a row of prose whose sentence goes on in the next row."""


class Severity(StrEnum):
    """How much a failure weighs: `minor` is listed and does not decide the verdict."""

    BLOCKER = "blocker"
    MAJOR = "major"
    MINOR = "minor"

    @property
    def decides(self) -> bool:
        """Whether a check of this severity can decide the verdict."""
        return self is not Severity.MINOR


class Effect(StrEnum):
    """What a check does to the target."""

    OBSERVE = "observe"
    """Reads."""
    WRITE = "write"
    """Writes its own synthetic data and cleans it up."""
    LOAD = "load"
    """Sends significant traffic."""
    DISRUPT = "disrupt"
    """Deploys, restarts, scales, takes things away."""

    @property
    def needs_quiet(self) -> bool:
        """Whether the check runs alone, after the parallel phase."""
        return self in {Effect.LOAD, Effect.DISRUPT}


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """The declaration of a check.

    Attributes:
        id: `area.slug`; never changes its meaning.
        title: the requirement, as one sentence.
        severity: how much a failure weighs.
        effect: what it does to the target.
        why: the consequence of a failure, for somebody on call.
        fix: how to fix a failure, with the command to paste.
        each: the kind of subject it is judged on, once for each (`service`, `database`, ...),
            and the name of the test function's argument; empty for the target as a whole.
        needs: keys that must be set in the subject's table, as `physical.dsn`, or conditions that
            it must meet; it is judged on those subjects alone that have all of them.
        failure_title: what is true when it fails, as one sentence; empty for the title.
        judgements: the keys of what it judges.
        core: whether the profile `core` requires it.
        explains: ids of checks that its failure makes fail or impossible to judge.
    """

    id: str
    title: str
    severity: Severity
    effect: Effect
    why: str
    fix: str
    each: str = ""
    needs: tuple[str, ...] = ()
    failure_title: str = ""
    judgements: tuple[str, ...] = ()
    core: bool = False
    explains: tuple[str, ...] = ()

    @property
    def suite(self) -> str:
        """The suite the check belongs to."""
        return self.id.partition(".")[0]

    def fix_of(self, missed: Collection[str]) -> str:
        """The part of its fix that is about what was missed.

        A fix may have parts: rows that begin with keys of judgements, as `trusted, names: `, and
        what is below each of them. Shown are those of the keys that were missed, and what is before
        the first part; all of it where none is about what was missed.
        """
        parts = self.fix_parts()
        if not any(keys.intersection(missed) for keys, _ in parts):
            return self.fix
        told = (text for keys, text in parts if not keys or keys.intersection(missed))
        return "\n\n".join(told)

    def fix_parts(self) -> list[tuple[frozenset[str], str]]:
        """Its fix in parts: the judgements that each is about, none for what is before them.

        A fix that does not name each judgement has one part.
        """
        rows = self.fix.splitlines()
        if not _names_all(rows, self.judgements):
            return [(frozenset(), self.fix)]
        parts: list[tuple[frozenset[str], list[str]]] = [(frozenset(), [])]
        for row in rows:
            if keys := _label(row, self.judgements):
                parts.append((keys, []))
            parts[-1][1].append(row)
        texts = ((keys, "\n".join(rows).strip("\n")) for keys, rows in parts)
        return [(keys, text) for keys, text in texts if text]

    def to_dict(self) -> dict[str, object]:
        """Convert to JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, object]) -> Self:
        """Convert from JSON types; unknown keys are ignored."""
        known = {field.name: raw[field.name] for field in fields(cls)}
        known["severity"] = Severity(str(raw["severity"]))
        known["effect"] = Effect(str(raw["effect"]))
        for name in ("needs", "judgements", "explains"):
            known[name] = tuple(known[name])  # type: ignore[arg-type]
        return cls(**known)  # type: ignore[arg-type]


def _label(row: str, judgements: Collection[str]) -> frozenset[str]:
    """The judgements that a row of a fix begins with; empty if it begins with anything else."""
    label = LABEL.match(row)
    keys = frozenset(label[1].split(", ")) if label else frozenset()
    return keys if keys <= set(judgements) else frozenset()


def _names_all(rows: Iterable[str], judgements: Collection[str]) -> bool:
    """Whether rows begin with each judgement, so that they are parts and not keys of a file."""
    named: set[str] = set().union(*(_label(row, judgements) for row in rows))
    return bool(judgements) and named == set(judgements)


def _laid_out(fix: str, judgements: Collection[str]) -> str:
    """A fix in parts, without the indentation of its module: prose, and commands four spaces deep.

    In the module, what is deeper than the prose is a command, unless the sentence before it goes
    on. A fix without parts is returned as it is.
    """
    first, *others = fix.splitlines()
    base = min((_indent(row) for row in others if row.strip()), default=0)
    rows = [first, *(row[base:] for row in others)]
    if not _names_all(rows, judgements):
        return fix
    told = rows[:1]
    for row in rows[1:]:
        goes_on = GOES_ON.search(told[-1]) or row.lstrip().startswith("(")
        if _label(row, judgements):
            told += ["", row]
        elif not _indent(row) or (goes_on and not _indent(told[-1])):
            told.append(row.strip())
        else:
            told.append(row if base == 0 else f"    {row.removeprefix('  ')}")
    return "\n".join(told)


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip())


def check(
    id: str,  # noqa: A002 - the field's word, and the one the reports use
    *,
    title: str,
    why: str,
    fix: str,
    severity: Severity | str = Severity.MAJOR,
    effect: Effect | str = Effect.OBSERVE,
    each: str = "",
    needs: str | tuple[str, ...] = (),
    failure_title: str = "",
    judgements: tuple[str, ...] = (),
    core: bool = False,
    explains: tuple[str, ...] = (),
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Declare a pytest function to be a check.

    Args:
        id: `area.slug`, lower case, words joined with `-`.
        title: this and the others: see `CheckSpec`.
        why: why the requirement matters.
        fix: how to fix a failure.
        severity: `blocker`, `major` or `minor`.
        effect: `observe`, `write`, `load` or `disrupt`.
        each: the kind of subject the check runs once for; the function takes an argument of
            that name.
        needs: one key or several that the subject must have.
        failure_title: what is true when it fails.
        judgements: the only keys that it may judge; empty allows any.
        core: whether the profile `core` requires it wherever its area is declared.
        explains: checks that cannot pass, or cannot be judged, while this one fails.

    Raises:
        ValueError: the id is not of that form, or a text is empty.
    """
    if not _ID.fullmatch(id):
        raise ValueError(f"check id {id!r} is not of the form 'area.slug' in lower case")
    if not (title.strip() and why.strip() and fix.strip()):
        raise ValueError(f"check {id!r} needs a title, a why and a fix")
    spec = CheckSpec(
        id=id,
        title=title,
        severity=Severity(severity),
        effect=Effect(effect),
        why=" ".join(why.split()),
        fix=_laid_out(fix.strip(), judgements),
        each=each,
        needs=(needs,) if isinstance(needs, str) else needs,
        failure_title=failure_title,
        judgements=judgements,
        core=core,
        explains=explains,
    )

    def declare(function: Callable[_P, _R]) -> Callable[_P, _R]:
        setattr(function, ATTRIBUTE, spec)
        return function

    return declare


def spec_of(function: object) -> CheckSpec | None:
    """The spec declared on a test function, or None where it is not a check."""
    spec = getattr(function, ATTRIBUTE, None)
    return spec if isinstance(spec, CheckSpec) else None
