"""Whether a shell script can fail, by its shape: nothing of it is run. Alone: it knows no area."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "ksh", "zsh"})
_SUCCEEDS: Final = frozenset({"true", ":", "echo", "printf", "date", "uptime"})
_ENDS: Final = frozenset({";", "&", "\n"})
_OPERATORS: Final = frozenset({"&&", "||"})
_GROUPS: Final = {"(": ")", "{": "}"}
# Scripts with these are not looked into: they are taken to be able to fail.
_COMPOUND: Final = frozenset(
    {"if", "then", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "{", "}"}
    | {"(", ")", "!", "function"}
)


def can_fail(script: str) -> bool:
    """Whether the script may end with another status than 0.

    Only what surely succeeds counts as such: `curl URL || true`, `pg_isready; exit 0`, `echo ok`.
    """
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|()\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return True  # a quote that is not closed: the shell refuses it
    words = _flat(words)
    if _COMPOUND & set(words):
        return True
    commands: list[list[str]] = [[]]
    for word in words:
        if word in _ENDS or set(word) <= {";", "\n"}:
            commands.append([])
        else:
            commands[-1].append(word)
    for one in filter(None, commands):
        # An `exit` of its own ends the script, whatever comes after it.
        if one[0] == "exit" and not _OPERATORS & set(one):
            return _command_can_fail(one)
        # What may end it earlier: `|| exit 1`, or any command after `set -e`.
        if one[0] == "set" or any(_command_can_fail(tail) for tail in _exits(one)):
            return True
    return _list_can_fail(next(filter(None, reversed(commands)), []))


def _flat(words: list[str]) -> list[str]:
    """Without the parentheses or braces around the whole script."""
    while len(words) > 1 and words[0] in _GROUPS and words[-1] == _GROUPS[words[0]]:
        inner = words[1:-1]
        if set(inner) & {*_GROUPS, *_GROUPS.values()}:
            break
        words = inner
    return words


def _exits(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Each `exit` among commands that are joined, with its status."""
    return (words[at : at + 2] for at, word in enumerate(words) if word == "exit")


def _list_can_fail(words: Sequence[str]) -> bool:
    """Whether commands that are joined by `&&` and `||`, from left to right, can fail."""
    fails, operator, current = False, "", list[str]()
    for word in [*words, ""]:
        if word and word not in _OPERATORS:
            current.append(word)
            continue
        this = _command_can_fail(current)
        fails = this if not operator else (fails or this) if operator == "&&" else fails and this
        operator, current = word, []
    return fails


def _command_can_fail(words: Sequence[str]) -> bool:
    if not words:
        return False
    if "|" in words:  # the status of a pipeline is that of its last command
        return _command_can_fail(words[len(words) - 1 - list(words)[::-1].index("|") + 1 :])
    name, *arguments = words
    name = name.rpartition("/")[2]
    if name in _SHELLS and (script := _script(arguments)) is not None:
        return can_fail(script)
    if name == "exit":
        return arguments[:1] != ["0"]
    return name not in _SUCCEEDS


def _script(arguments: Sequence[str]) -> str | None:
    """The script of `sh -c` or `bash -euc`."""
    for at, word in enumerate(arguments[:-1]):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            # With -e, any command of it may end it.
            return f"set -e; {arguments[at + 1]}" if "e" in word else arguments[at + 1]
    return None


def command_can_fail(words: Sequence[str]) -> bool:
    """The same for a command with its arguments that no shell reads."""
    return _command_can_fail([word for word in words if word != "|"])
