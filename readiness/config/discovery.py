"""What `readiness init` found, as a file: each line with its origin, and what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from textwrap import wrap
from typing import Any, Final

from readiness.areas.registry import areas
from readiness.config.base.discovery import Finding, Gap, Line, Script, Sources
from readiness.config.base.tables import Target
from readiness.config.models import Config
from readiness.config.places import label
from readiness.config.template import toml_of
from readiness.model.errors import ReadinessError
from readiness.model.secrets import redact

_WIDTH: Final = 100
_COLUMN: Final = 48
_TARGET: Final = ("target",)
_HEAD: Final = """\
# What `readiness init` found, each line with its origin. Limits have defaults; `readiness init
# --template FILE` writes every key with its meaning.
"""


@dataclass(frozen=True, slots=True)
class Discovered:
    """What was found.

    Attributes:
        lines: of readiness.toml, in its order; one for each key.
        gaps: what was not found.
        scripts: files to review, one for each name.
    """

    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    scripts: tuple[Script, ...]


def discover(sources: Sources) -> Discovered:
    """Ask all areas; a source that does not answer is a gap, and the others are still asked."""
    found: list[Finding] = []
    for area in areas():
        for one in area.discovers():
            found += _kept(one(sources))
    found += _target(sources)
    gaps: dict[str, Gap] = {}
    for gap in (one for one in found if isinstance(one, Gap)):
        gaps.setdefault(gap.what, gap)
    return Discovered(
        lines=tuple(_in_order([one for one in found if isinstance(one, Line)])),
        gaps=tuple(gaps.values()),
        scripts=tuple(_joined([one for one in found if isinstance(one, Script)])),
    )


def _kept(findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except ReadinessError as error:
        # What a server does not answer to several areas is one gap.
        yield Gap(error.cause.what, error.remedy)


def _target(sources: Sources) -> Iterator[Finding]:
    """What is known of the target if no area found more."""
    yield Line(_TARGET, "name", sources.name, "this folder, or --name")
    yield Line(_TARGET, "environment", "production", "no page says another one")
    yield Line(_TARGET, "release", "${RELEASE:-unknown}", "export RELEASE=$(git rev-parse HEAD)")
    todo = "`allow` in [target], for staging: write, load, disrupt"
    yield Gap("consent to more than looking", todo)


def _in_order(lines: Sequence[Line]) -> list[Line]:
    """The first line for each key, sorted as the tables of the file are; tables stay together."""
    first: dict[tuple[tuple[str | int, ...], str], Line] = {}
    for line in lines:
        first.setdefault((line.table, line.key), line)
    ranks = {name: rank for rank, name in enumerate(Config.model_fields)}
    tables = dict.fromkeys(line.table for line in first.values())
    order = sorted(tables, key=lambda table: (ranks[str(table[0])], len(table) > 1))
    # Several areas add to [target].
    keys = list(Target.model_fields)
    return sorted(
        first.values(),
        key=lambda line: (
            order.index(line.table),
            keys.index(line.key) if line.table == _TARGET else 0,
        ),
    )


def _joined(scripts: Sequence[Script]) -> Iterator[Script]:
    """One for each name; of several, the lines of the first and those that the others add."""
    for name in dict.fromkeys(one.name for one in scripts):
        first, *others = (one for one in scripts if one.name == name)
        known = first.text.splitlines(keepends=True)
        added = (row for one in others for row in one.text.splitlines(keepends=True))
        more = (row for row in dict.fromkeys(added) if row not in known)
        yield replace(first, text="".join((first.text, *more)))


def render(found: Discovered) -> str:
    """The text of readiness.toml.

    Only what others answered is redacted: a password may be a word of the file, as `shop`.
    """
    rows = [_HEAD]
    for table, lines in groupby(found.lines, key=lambda line: line.table):
        rows += [label(table), *_table(list(lines)), ""]
    if found.gaps:
        rows.append("# Not found, and what to do:")
    for gap in found.gaps:
        rows += wrap(
            redact(" ".join(str(gap).split())),
            _WIDTH,
            initial_indent="# * ",
            subsequent_indent="#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(rows) + "\n"


def _table(lines: Sequence[Line]) -> Iterator[str]:
    """The lines of one table, their comments in one column where they fit."""
    codes = [f"{_key(line.key)} = {toml_of(line.value)}" for line in lines]
    column = max((len(code) for code in codes if len(code) <= _COLUMN), default=0)
    for line, code in zip(lines, codes, strict=True):
        source = " ".join(line.source.split())
        beside = f"{code:<{column}}  # {source}"
        if len(beside) <= _WIDTH:
            yield beside
            continue
        yield from wrap(source, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield from _broken(line.key, line.value) if len(code) > _WIDTH else [code]


def _broken(key: str, value: Any) -> Iterator[str]:
    """A list over several lines; anything else stays on one."""
    if not isinstance(value, list | tuple):
        yield f"{_key(key)} = {toml_of(value)}"
        return
    yield f"{_key(key)} = ["
    row = "   "
    for item in map(toml_of, value):
        if len(row) + len(item) + 2 > _WIDTH and row.strip():
            yield row
            row = "   "
        row += f" {item},"
    yield from (row, "]")


def _key(key: str) -> str:
    return label((key,))[1:-1]
