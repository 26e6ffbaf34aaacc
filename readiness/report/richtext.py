"""Parses the markup of a check's `why` and `fix`: `code`, blocks of commands, links."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from readiness.model.clean import clean

_LONGEST: Final = 4000
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`|(?P<link>https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)])"
)


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

    for row in clean(text, _LONGEST).split("\n"):
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


def plain(text: RichText) -> str:
    """Flatten to one line of text, code in backticks."""
    words = (f"`{s.text}`" if s.kind == "code" else s.text for b in text for s in _lines(b))
    return " ".join("".join(words).split())


def _lines(block: Block) -> tuple[Span, ...]:
    return (*block.spans, Span("text", " "))
