"""Whether a one-line program for an interpreter can fail, by its shape; nothing of it is run.

Python is parsed; of other languages only what does nothing or ends with 0 is recognized. What is
not understood counts as able to fail.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "python": frozenset({"-c"}),
    "node": frozenset({"-e", "--eval", "-p"}),
    "bun": frozenset({"-e", "--eval"}),
    "perl": frozenset({"-e"}),
    "ruby": frozenset({"-e"}),
    "php": frozenset({"-r"}),
}
_VERSIONED: Final = re.compile(r"(python|php|ruby|perl)[\d.]*")
_QUOTED: Final = r"""(?:'[^'\\$]*'|"[^"\\$]*"|\d+)"""
_ENDS_WELL: Final = re.compile(
    r"(?:process\.exit|exit)\s*(?:\(\s*(?:0|true)?\s*\)|0|true)?"
    rf"|(?:console\.log|print|puts|echo)\s*(?:\(\s*{_QUOTED}?\s*\)|{_QUOTED})"
    r"|[01]|true|"
)
_QUITS: Final = frozenset({"exit", "quit", "_exit", "abort", "kill"})
_EVERYTHING: Final = frozenset({"Exception", "BaseException"})


def can_fail(name: str, arguments: Sequence[str]) -> bool | None:
    """Whether `python -c CODE` may end with another status than 0; None if it runs no code."""
    found = _VERSIONED.fullmatch(name)
    language = found[1] if found else name
    for option, code in pairwise(arguments):
        if option in _OPTIONS.get(language, ()):
            return not (_python(code) if language == "python" else _script(code))
    return None


def _script(code: str) -> bool:
    return all(_ENDS_WELL.fullmatch(part.strip()) for part in code.split(";"))


def _python(code: str) -> bool:
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return False
    return all(map(_is_harmless, body))


def _is_harmless(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Import(names=[ast.alias(name="sys" | "os")]):
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=called, args=values)):
            name = called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)
            constants = [v.value for v in values if isinstance(v, ast.Constant)]
            if len(constants) < len(values):
                return False
            return name == "print" or (name in _QUITS - {"abort", "kill"} and not any(constants))
        case ast.Try(handlers=handlers):
            after = [*node.orelse, *node.finalbody, *(s for h in handlers for s in h.body)]
            swallowed = any(map(_catches_all, handlers)) and not _quits(node.body)
            return swallowed and all(map(_is_harmless, after))
        case _:
            return False


def _catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or ast.unparse(handler.type) in _EVERYTHING


def _quits(body: Sequence[ast.stmt]) -> bool:
    """Whether it may end the process where no handler of `Exception` sees it."""
    names = (
        node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        for statement in body
        for node in ast.walk(statement)
    )
    return not _QUITS.isdisjoint(names)
