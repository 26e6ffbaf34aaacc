"""Parses the markup of a check's `why` and `fix`: `code`, blocks of commands, links."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from readiness.model.check import GOES_ON
from readiness.model.clean import clean

_LONGEST: Final = 4000
_INDENT: Final = 4
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`|(?P<link>https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)])"
)
# What remedies name to run, in a shell or in psql.
_PROGRAMS: Final = (
    "sudo|curl|pg_isready|psql|pg_[a-z]+|readiness|systemctl|journalctl|apt-get|ssh|amtool|promtool"
    "|kubectl|docker|openssl|python|pip|git|make|export|chmod|grant|alter|create|select|vacuum"
)
_RUNS: Final = re.compile(rf"(?:{_PROGRAMS}) \S", re.IGNORECASE)
_AFTER_COLON: Final = re.compile(rf": ((?:{_PROGRAMS}) \S.*)$")
# A row such as "Half done: undo what it left".
_LABEL: Final = re.compile(r"[A-Z][\w ,'/-]{0,40}: +\S")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text; `kind` is `text`, `code` or `link`."""

    kind: Literal["text", "code", "link"]
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph of spans, or a preformatted block of commands."""

    kind: Literal["paragraph", "code"]
    spans: tuple[Span, ...]


RichText = tuple[Block, ...]


def spans(text: str) -> tuple[Span, ...]:
    """Split one paragraph into plain text, `code` and links."""
    found: list[Span] = []
    end = 0
    for match in _INLINE.finditer(text):
        if match.start() > end:
            found.append(Span("text", text[end : match.start()]))
        code, link = match["code"], match["link"]
        found.append(Span("code", code) if code else Span("link", link))
        end = match.end()
    if end < len(text):
        found.append(Span("text", text[end:]))
    return tuple(found)


def rich(text: str) -> RichText:
    """Parse paragraphs; lines between ``` fences, or indented by four spaces, are commands."""
    blocks: list[Block] = []
    prose: list[str] = []
    code: list[str] = []
    fenced = False

    def flush() -> None:
        if prose:
            blocks.append(Block("paragraph", spans(" ".join(prose))))
        if code:
            blocks.append(Block("code", (Span("code", "\n".join(code)),)))
        prose.clear()
        code.clear()

    for row in _dedented(clean(text, _LONGEST)).split("\n"):
        if row.strip().startswith("```"):
            flush()
            fenced = not fenced
        elif fenced or row.startswith("    "):
            if prose:
                flush()
            code.append(row if fenced else row[4:])
        elif not row.strip():
            flush()
        else:
            if code:
                flush()
            prose.append(row.strip())
    flush()
    return tuple(blocks)


def command(text: RichText) -> str:
    """The first commands: a block, code in a sentence, or what follows a colon; empty for none."""
    block = next((block.spans[0].text for block in text if block.kind == "code"), "")
    if block:
        return block
    inline = (s.text for b in text for s in b.spans if s.kind == "code" and _RUNS.match(s.text))
    sentences = ("".join(span.text for span in block.spans) for block in text)
    ends = (match[1] for match in map(_AFTER_COLON.search, sentences) if match)
    return next(inline, "") or next(ends, "")


def paragraph(text: RichText) -> tuple[Span, ...]:
    """The first paragraph; empty if there is none."""
    return next((block.spans for block in text if block.kind == "paragraph"), ())


def plain(text: RichText) -> str:
    """Flatten to one line of text, code in backticks."""
    words = (f"`{s.text}`" if s.kind == "code" else s.text for b in text for s in _lines(b))
    return " ".join("".join(words).split())


def _dedented(text: str) -> str:
    """Without the indentation that the rows after the first share, if prose is among them.

    So texts look that stand in the middle of a module. What is deeper than the prose is a command,
    whatever its depth, unless the sentence before it goes on; a row that begins with a label
    is a paragraph. A first row without a colon goes on in the second one, if some row is deeper.
    """
    first, *others = text.split("\n")
    indents = [len(row) - len(row.lstrip()) for row in others if row.strip()]
    shared = min(indents, default=0)
    if shared < _INDENT or (
        indents[0] == shared
        and not _LABEL.match(others[0].strip())
        and (first.endswith(":") or max(indents) == shared)
    ):
        return text
    rows = [first]
    for row in (row[shared:] for row in others):
        goes_on = GOES_ON.search(rows[-1]) or row.lstrip().startswith("(")
        is_prose = not row.startswith(" ") or (goes_on and not rows[-1].startswith(" "))
        if _LABEL.match(row):
            rows.append("")
        rows.append(row.lstrip() if is_prose else f"{' ' * _INDENT}{row.removeprefix('  ')}")
    return "\n".join(rows)


def _lines(block: Block) -> tuple[Span, ...]:
    return (*block.spans, Span("text", " "))
