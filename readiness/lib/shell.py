"""Whether a shell script can fail, by its shape: it is walked through, and nothing of it is run.

The grammar is that of POSIX (`2.10 Shell Grammar`). What is not understood counts as able to fail.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from readiness.lib import one_liners

_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "ksh", "zsh"})
_SUCCEEDS: Final = frozenset({"true", ":", "echo", "printf", "date", "uptime", "sleep"}) | {
    *("export", "set", "unset", "trap", "break", "continue"),
    *("hostname", "id", "pwd", "uname", "whoami"),
}
# As a filter, after a pipe and without files, they end well whatever they read.
_FILTERS: Final = frozenset({"cat", "tee", "head", "tail", "tr", "wc", "sort", "uniq", "cut"})
# With one of these, a program tells of itself, whatever it serves.
_OF_ITSELF: Final = (["--version"], ["--help"], ["-version"])
# `ps` with all processes and their arguments, and `grep` for a text without special characters.
_ALL_PROCESSES: Final = re.compile(r"-?[a-zA-Z]*[aAex][a-zA-Z]*")
_LITERAL: Final = re.compile(r"[\w./:@ -]+")
# They run the command that follows their options and, with some, a number.
_WRAPPERS: Final = frozenset({"command", "env", "exec", "nice", "nohup", "time", "timeout"})
_RESERVED: Final = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}", ")", ";;"})
_TOKEN: Final = re.compile(r"&&|\|\||;;|[;&|()\n]|\d*(?:>>|>&|<&|&>|>\||<>|>|<)")
_BLANK: Final = " \t\r"
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?[smhd]?")
_STRINGS: Final = ("=", "==", "!=")
_NUMBERS: Final = {
    "-eq": int.__eq__, "-ne": int.__ne__, "-lt": int.__lt__,
    "-le": int.__le__, "-gt": int.__gt__, "-ge": int.__ge__,
}  # fmt: skip
# Of an exit status, only whether it is 0.
Statuses = frozenset[bool]
_ANY: Final[Statuses] = frozenset({True, False})
_GOOD: Final[Statuses] = frozenset({True})
_BAD: Final[Statuses] = frozenset({False})
_NONE: Final[Statuses] = frozenset()


class _NotUnderstoodError(ValueError):
    """The script has a syntax error, or a construct that is not followed."""


class _Word(NamedTuple):
    """A word or an operator.

    Attributes:
        text: without quotes.
        operator: whether it separates commands or redirects.
        plain: whether it was written without quotes and expansions.
        fixed: whether nothing in it is expanded.
    """

    text: str
    operator: bool = False
    plain: bool = True
    fixed: bool = True


class _Result(NamedTuple):
    """How a command may end.

    Attributes:
        flow: the statuses with which the script goes on.
        ends: the statuses with which it ends the script.
    """

    flow: Statuses
    ends: Statuses = _NONE

    def then(self, other: "_Result", on: Statuses = _ANY) -> "_Result":
        """This one and, where it ends with one of `on`, the other."""
        if not self.flow & on:
            return self
        return _Result((self.flow - on) | other.flow, self.ends | other.ends)

    def either(self, other: "_Result") -> "_Result":
        return _Result(self.flow | other.flow, self.ends | other.ends)


def can_fail(script: str) -> bool:
    """Whether the script may end with another status than 0.

    Only what surely succeeds counts as such: `curl URL || true`, `pg_isready; exit 0`, `echo ok`.
    """
    return False in _statuses(script)


def command_can_fail(words: Sequence[str]) -> bool:
    """The same for a command with its arguments that no shell reads."""
    return False in _Walk([]).simple([_Word(word) for word in words], piped=False).flow


def _statuses(script: str) -> Statuses:
    try:
        return _Walk(_words(script)).script()
    except _NotUnderstoodError:
        return _ANY


def _words(script: str) -> list[_Word]:
    found: list[_Word] = []
    at = 0
    while at < len(script):
        operator = _TOKEN.match(script, at)
        if script[at] in _BLANK or script.startswith("\\\n", at):
            at += 1 + (script[at] == "\\")
        elif script[at] == "#":
            at = (script.find("\n", at) + 1 or len(script) + 1) - 1
        elif operator:
            if operator[0] == "<" and script.startswith("<<", at):
                raise _NotUnderstoodError("a text within the script")
            found.append(_Word(operator[0], operator=True))
            at = operator.end()
        else:
            word, at = _word(script, at)
            found.append(word)
    return found


def _word(script: str, at: int) -> tuple[_Word, int]:
    """The word that begins here, and where it ends."""
    text, plain, fixed = "", True, True
    while at < len(script) and script[at] not in _BLANK and not _separates(script, at):
        end = at + 1
        match script[at]:
            case "\\":
                text, plain, end = text + script[at + 1 : at + 2], False, at + 2
            case "'":
                end = _after(script, "'", at + 1)
                text, plain = text + script[at + 1 : end - 1], False
            case '"':
                inner, end = _quoted(script, at + 1)
                text, plain, fixed = text + inner.text, False, fixed and inner.fixed
            case "$" | "`":
                end = _expansion(script, at)
                text, plain, fixed = text + script[at:end], False, False
            case letter:
                text, fixed = text + letter, fixed and letter not in "*?["
        at = end
    return _Word(text, plain=plain, fixed=fixed or text in {"[", "[["}), at


def _separates(script: str, at: int) -> bool:
    found = _TOKEN.match(script, at)
    # A number belongs to a redirection only at the beginning of a word: `2>&1`.
    return found is not None and not found[0][0].isdigit()


def _quoted(script: str, at: int) -> tuple[_Word, int]:
    """What is between this double quote and the next one."""
    text, fixed = "", True
    while at < len(script):
        if script[at] == '"':
            return _Word(text, fixed=fixed), at + 1
        end = at + 1
        if script[at] == "\\":
            end = at + 2
        elif script[at] in "$`":
            end, fixed = _expansion(script, at), False
        text, at = text + script[at:end], end
    raise _NotUnderstoodError("a quote is not closed")


def _expansion(script: str, at: int) -> int:
    """Where the variable or command that is expanded here ends."""
    if script[at] == "`":
        return _after(script, "`", at + 1)
    opening = script[at + 1 : at + 2]
    if opening not in {"(", "{"}:
        return at + 2 if not (name := re.compile(r"\w+").match(script, at + 1)) else name.end()
    closing, depth, at = ")" if opening == "(" else "}", 1, at + 2
    while at < len(script):
        if script[at] in "'\"":
            at = _after(script, script[at], at + 1) - 1
        depth += (script[at] == opening) - (script[at] == closing)
        at += 1
        if not depth:
            return at
    raise _NotUnderstoodError("an expansion is not closed")


def _after(script: str, mark: str, at: int) -> int:
    end = script.find(mark, at)
    if end < 0:
        raise _NotUnderstoodError("a quote is not closed")
    return end + 1


@dataclass(slots=True)
class _Walk:
    """Walks through a script from left to right, and collects how it may end.

    Attributes:
        words: the script.
        at: the next word.
        stops: whether the first command that fails ends it, as after `set -e`.
        pipefail: whether each part of a pipeline counts.
        last: the statuses of the command before, `$?`.
    piping: the words of the command that writes into the pipe.
        trapped: those with which a trap ends the script in any case.
    """

    words: list[_Word]
    at: int = 0
    stops: bool = False
    pipefail: bool = False
    last: Statuses = _GOOD
    piping: Sequence[str] = ()
    trapped: list[Statuses] = field(default_factory=list)

    def script(self) -> Statuses:
        found = self.whole()
        return (self.trapped or [found.flow | found.ends])[-1]

    def whole(self) -> _Result:
        return self._list(())

    def _next(self) -> _Word:
        return self.words[self.at] if self.at < len(self.words) else _Word("", operator=True)

    def _is(self, *texts: str) -> bool:
        """Whether one of these operators or reserved words comes next."""
        word = self._next()
        return word.plain and word.text in texts and self.at < len(self.words)

    def _take(self, *texts: str) -> bool:
        found = self._is(*texts)
        self.at += found
        return found

    def _must(self, text: str) -> None:
        if not self._take(text):
            raise _NotUnderstoodError(f"{text!r} is missing")

    def _list(self, ends: Collection[str]) -> _Result:
        """Commands up to one of these words, which is not taken."""
        found = _Result(_GOOD)
        while True:
            while self._take(";", "\n"):
                pass
            if self.at >= len(self.words) or self._is(*ends):
                return found
            if self._is(*_RESERVED):
                raise _NotUnderstoodError(self._next().text)
            one = self._and_or()
            if self._take("&"):
                one = _Result(_GOOD)
            found = found.then(one)
            self.last = one.flow

    def _and_or(self) -> _Result:
        found, last = self._pipeline(), _ANY
        while self._is("&&", "||"):
            last = frozenset({self._take("&&")})
            self.at += last == frozenset({False})
            while self._take("\n"):
                pass
            before, self.last = found, last
            found = found.then(self._pipeline(), last)
            last = _NONE if not before.flow & last else last
        if self.stops and False in found.flow and True in last:
            return _Result(found.flow, found.ends | {False})
        return found

    def _pipeline(self) -> _Result:
        negated = False
        while self._take("!"):
            negated = not negated
        found, piped = self._command(piped=False), False
        while self._take("|"):
            while self._take("\n"):
                pass
            piped, before = True, found
            found = self._command(piped=True)
            inner = found.flow | found.ends
            fails = self.pipefail and False in before.flow | before.ends
            found = _Result(inner | {False} if fails else inner)
        if negated and not piped:
            return _Result(frozenset(not status for status in found.flow), found.ends)
        return _Result(frozenset(not s for s in found.flow)) if negated else found

    def _command(self, *, piped: bool) -> _Result:
        if self._take("("):
            inner = self._list((")",))
            self._must(")")
            found = _Result(inner.flow | inner.ends)
        elif self._take("{"):
            found = self._list(("}",))
            self._must("}")
        elif self._take("if"):
            found = self._if()
        elif self._take("while", "until"):
            found = self._loop()
        elif self._take("for"):
            found = self._for()
        elif self._take("case"):
            found = self._case()
        else:
            return self.simple(self._arguments(), piped=piped)
        if self._arguments():
            raise _NotUnderstoodError("words after a compound command")
        return found

    def _arguments(self) -> list[_Word]:
        """The words of a simple command, without its redirections."""
        found: list[_Word] = []
        while self.at < len(self.words):
            word = self._next()
            if word.operator and not set(word.text) & {"<", ">"}:
                break
            self.at += 1
            if word.operator:
                self.at += 1  # the file, or the number after `>&`
            else:
                found.append(word)
        if self._is("(") and found:
            raise _NotUnderstoodError("a function")
        return found

    def _if(self) -> _Result:
        condition = self._list(("then",))
        self._must("then")
        body = self._list(("elif", "else", "fi"))
        if self._take("elif"):
            otherwise = self._if()
        else:
            otherwise = self._list(("fi",)) if self._take("else") else _Result(_GOOD)
            self._must("fi")
        no = _Result(condition.flow - _GOOD, condition.ends)
        yes = _Result(condition.flow & _GOOD)
        return yes.then(body).either(no.then(otherwise))

    def _loop(self) -> _Result:
        """A loop may be ended by what waits for it, and that is a failure."""
        condition = self._list(("do",))
        return _Result(_ANY, condition.ends).either(self._body())

    def _for(self) -> _Result:
        while not self._is("do", ""):
            self.at += 1
            if self.at >= len(self.words):
                raise _NotUnderstoodError("`do` is missing")
        return _Result(_GOOD).either(self._body())

    def _body(self) -> _Result:
        self._must("do")
        found = self._list(("done",))
        self._must("done")
        return found

    def _case(self) -> _Result:
        self.at += 1
        while self._take("\n"):
            pass
        self._must("in")
        found, whole = _Result(_NONE), False
        while True:
            while self._take("\n"):
                pass
            if self._take("esac"):
                return found if whole else found.either(_Result(_GOOD))
            self._take("(")
            pattern: list[str] = []
            while not self._take(")"):
                pattern.append(self._next().text)
                self.at += 1
                if self.at >= len(self.words):
                    raise _NotUnderstoodError("a case without its end")
            whole = whole or pattern == ["*"]
            found = found.either(self._list((";;", "esac")))
            self._take(";;")

    def simple(self, words: Sequence[_Word], *, piped: bool) -> _Result:
        """One command with its arguments."""
        values = [word for word in words if word.fixed is False and _ASSIGNMENT.match(word.text)]
        words = list(words)
        while words and _ASSIGNMENT.fullmatch(words[0].text):
            words.pop(0)
        if not words:
            # Its status is that of a command whose output it takes.
            return _Result(_ANY if any("(" in v.text or "`" in v.text for v in values) else _GOOD)
        name, arguments = words[0].text.rpartition("/")[2], words[1:]
        before, self.piping = self.piping, [word.text for word in words]
        if not words[0].fixed:
            return _Result(_ANY)
        if piped and _finds_itself(before, words):
            return _Result(_GOOD)
        if name in {"exit", "return"}:
            return _Result(_NONE, self._exit(arguments))
        if name == "set":
            options = [word.text for word in arguments]
            self.stops |= any(re.fullmatch("-[a-z]*e[a-z]*", o) or o == "errexit" for o in options)
            self.pipefail |= "pipefail" in options
        if name == "trap" and [word.text for word in arguments[1:]] in (["EXIT"], ["0"]):
            self.trapped += [ends] if (ends := _ends(arguments[0].text)) else []
        if name in _WRAPPERS and (command := _wrapped(arguments)):
            inner = self.simple(command, piped=piped)
            return _Result(_NONE, inner.flow) if name == "exec" else inner
        return _Result(_of_program(name, arguments, piped=piped))

    def _exit(self, arguments: Sequence[_Word]) -> Statuses:
        if not arguments or arguments[0].text == "$?":
            return self.last
        if not re.fullmatch(r"\d+", arguments[0].text):
            return _ANY
        return frozenset({int(arguments[0].text) % 256 == 0})


def _ends(script: str) -> Statuses:
    """The statuses with which a trap ends the script; none if it leaves them as they are."""
    found = _Walk(_words(script)).whole()
    return found.ends if not found.flow else _NONE


def _wrapped(arguments: Sequence[_Word]) -> Sequence[_Word]:
    """The command that a wrapper runs."""
    for at, word in enumerate(arguments):
        told = word.text.startswith("-") or _ASSIGNMENT.fullmatch(word.text)
        if not told and not _NUMBER.fullmatch(word.text):
            return arguments[at:]
    return ()


def _finds_itself(before: Sequence[str], words: Sequence[_Word]) -> bool:
    """Whether it is `ps aux | grep nginx`, which finds the command line of this grep."""
    if [w.rpartition("/")[2] for w in before[:1]] != ["ps"] or words[0].text != "grep":
        return False
    options = [word.text for word in words[1:] if word.text.startswith("-")]
    patterns = [word for word in words[1:] if not word.text.startswith("-")]
    return (
        all(_ALL_PROCESSES.fullmatch(word) for word in before[1:])
        and len(before) > 1
        and all(re.fullmatch("-[qiEFcn]+", option) for option in options)
        and len(patterns) == 1
        and patterns[0].fixed
        and _LITERAL.fullmatch(patterns[0].text) is not None
    )


def _of_program(name: str, arguments: Sequence[_Word], *, piped: bool) -> Statuses:
    texts = [word.text for word in arguments]
    if name in _SHELLS and (script := _script(texts)) is not None:
        return _statuses(script)
    if name in {"test", "["}:
        return _test(arguments[: len(arguments) - (name == "[")])
    if all(word.fixed for word in arguments) and one_liners.can_fail(name, texts) is False:
        return _GOOD
    if name == "wait" and not texts:
        return _GOOD
    if piped and name in _FILTERS and (name == "tee" or all(t.startswith("-") for t in texts)):
        return _GOOD
    succeeds = name in _SUCCEEDS or texts in _OF_ITSELF
    return _GOOD if succeeds else _BAD if name == "false" else _ANY


def _script(arguments: Sequence[str]) -> str | None:
    """The script of `sh -c` or `bash -euc`."""
    for at, word in enumerate(arguments[:-1]):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            # With -e, any command of it may end it.
            return f"set -e; {arguments[at + 1]}" if "e" in word else arguments[at + 1]
    return None


def _test(arguments: Sequence[_Word]) -> Statuses:
    """Of `test`, where both sides are constants."""
    if not all(word.fixed for word in arguments):
        return _ANY
    match [word.text for word in arguments]:
        case ["-n", _] | ["-z", _] as words:
            return frozenset({bool(words[1]) == (words[0] == "-n")})
        case [word]:
            return frozenset({bool(word)})
        case [left, operator, right] if operator in _STRINGS:
            return frozenset({(left == right) == (operator != "!=")})
        case [left, operator, right] if operator in _NUMBERS:
            if all(re.fullmatch(r"-?\d+", side) for side in (left, right)):
                return frozenset({_NUMBERS[operator](int(left), int(right))})
    return _ANY
