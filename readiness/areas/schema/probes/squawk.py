"""The findings of squawk, the linter of migrations."""

import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, TookTooLong, Unreachable
from readiness.servers import programs

_INSTALL: Final = "pip install squawk-cli"
_TIMEOUT_S: Final = 60.0
_TASTE: Final = "prefer-"


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding of squawk.

    Attributes:
        version: of the migration.
        line: of the file, from one.
        rule: the name of the rule.
        message: as squawk words it.
    """

    version: str
    line: int
    rule: str
    message: str

    @property
    def of_taste(self) -> bool:
        """Whether the rule is about style, and not about a running system."""
        return self.rule.startswith(_TASTE)

    def __str__(self) -> str:
        return f"{self.version}, line {self.line}: {self.rule} ({clean(self.message, 90)})"


class _Violation(BaseModel):
    file: str
    line: int
    rule_name: str
    message: str


_violations: Final = TypeAdapter(list[_Violation])


def remarks(
    scripts: Sequence[tuple[str, str]], *, exclude: Collection[str], server: int
) -> list[Remark]:
    """The findings of squawk on migrations, in their order.

    Args:
        scripts: version and SQL of each migration; each is run in a transaction.
        exclude: rules that are ignored.
        server: the major release of PostgreSQL that they are for.

    Raises:
        Unreachable: squawk is not installed.
        CouldNotMeasure: its output is not a list of findings.
    """
    try:
        program = programs.find(programs.SQUAWK)
    except programs.AbsentError as problem:
        raise Unreachable(problem.message, where="PATH", remedy=problem.remedy) from None
    with tempfile.TemporaryDirectory(prefix="readiness-") as folder:
        files = {}
        for number, (version, script) in enumerate(scripts):
            path = Path(folder) / f"{number:04}.sql"
            path.write_text(script, encoding="utf-8")
            files[str(path)] = version
        options = ["--reporter=json", "--assume-in-transaction", f"--pg-version={server}.0"]
        if exclude:
            options.append(f"--exclude={','.join(exclude)}")
        said = _run([program, *options, *files], folder)
    return [
        Remark(files.get(v.file, v.file), v.line + 1, v.rule_name, v.message)
        for v in _parsed(said, program)
    ]


def _run(argv: Sequence[str], folder: str) -> str:
    """What it printed; the exit status 1 stands for findings and for failures."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,  # a squawk.toml of the working directory must not change the findings
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TookTooLong(f"squawk took longer than {_TIMEOUT_S:g} s", where=argv[0]) from None
    except OSError as error:
        raise Unreachable(
            f"squawk cannot be started: {error.strerror}", where=argv[0], remedy=_INSTALL
        ) from None
    if done.returncode not in (0, 1):
        raise CouldNotMeasure(
            f"squawk ended with {done.returncode}: {clean(done.stderr.decode(errors='replace'))}",
            where=argv[0],
            remedy=f"{_INSTALL} --upgrade",
        )
    return done.stdout.decode("utf-8", "replace")


def _parsed(said: str, program: str) -> list[_Violation]:
    try:
        return _violations.validate_json(said)
    except ValidationError:
        raise CouldNotMeasure(
            f"squawk printed no list of findings: {clean(said) or 'its output is empty'}",
            where=program,
            remedy=f"{_INSTALL} --upgrade",
        ) from None
