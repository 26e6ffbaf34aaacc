"""Mistakes by theme, each with the message that a user reads: `mistakes/THEME.txt`.

`READINESS_GOLDEN=update pytest tests/config/test_config_errors.py` writes the messages anew.
"""

import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest

from readiness.config.loading import load
from readiness.model.errors import ConfigError

FOLDER = Path(__file__).with_name("mistakes")
SECRET = "correct-horse-battery"
ENVIRONMENT = {"WORD": "word", "EMPTY": "", "SPACES": "  ", "NEGATIVE": "-5", "SECRET": SECRET}
PYDANTIC = ["pydantic", "Input", "input", "validation", "Value error", "type=", "{{", "None"]
FILE = "readiness.toml"


class Case(NamedTuple):
    theme: Path
    name: str
    text: str
    says: str


def cases() -> Iterator[Case]:
    for theme in sorted(FOLDER.glob("*.txt")):
        for block in re.split(r"^=== ", theme.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = block.partition("\n")
            text, _, says = rest.partition("--- says\n")
            yield Case(theme, name, text, says.strip())


CASES = list(cases())
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def message(text: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    Path(FILE).write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load(Path(FILE), ENVIRONMENT, today=date(2026, 1, 15))
    assert caught.value.__cause__ is None, "the cause would show what was read"
    return str(caught.value)


@each
def test_message(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = message(case.text.encode(), tmp_path, monkeypatch)
    if os.environ.get("READINESS_GOLDEN") == "update":
        text = case.theme.read_text(encoding="utf-8")
        before = f"=== {case.name}\n{case.text}--- says\n"
        case.theme.write_text(text.replace(before + case.says, before + found), encoding="utf-8")
        return
    assert found == case.says


@each
def test_message_has_no_words_of_pydantic_and_no_secret(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = message(case.text.encode(), tmp_path, monkeypatch)
    assert SECRET not in found
    assert "hunter2" not in found
    assert [word for word in PYDANTIC if word in found] == []
    places = [line for line in found.splitlines() if not line.startswith("  →")]
    assert places
    assert all(FILE in line for line in places)


def test_a_file_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'[target]\nname = "caf\xe9"\n'
    expected = f"{FILE}:2: is not UTF-8 text\n  → save the file as UTF-8"
    assert message(text, tmp_path, monkeypatch) == expected


def test_mistakes_have_unique_names() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 35
