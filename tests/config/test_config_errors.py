"""Every mistake has its own file, and its message beside it, as a user reads it.

`READINESS_GOLDEN=update pytest tests/config/test_config_errors.py` writes the messages anew.
"""

import os
from datetime import date
from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.model.errors import ConfigError

GOLDEN = Path(__file__).parent.parent / "golden" / "config_errors"
SECRET = "correct-horse-battery"
ENVIRONMENT = {"WORD": "word", "EMPTY": "", "SPACES": "  ", "NEGATIVE": "-5", "SECRET": SECRET}
FILES = sorted(GOLDEN.glob("*.toml"))
PYDANTIC = ["pydantic", "Input", "input", "validation", "Value error", "type=", "{{", "None"]


def message(file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(file.parent)
    with pytest.raises(ConfigError) as caught:
        load(Path(file.name), ENVIRONMENT, today=date(2026, 1, 15))
    assert caught.value.__cause__ is None, "the cause would show what was read"
    return f"{caught.value}\n"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_message(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = file.with_suffix(".txt")
    found = message(file, monkeypatch)
    if os.environ.get("READINESS_GOLDEN") == "update":
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_message_is_ours_and_tells_no_secret(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = message(file, monkeypatch)
    assert SECRET not in found
    assert "hunter2" not in found
    assert [word for word in PYDANTIC if word in found] == []
    assert all(file.name in line for line in found.splitlines() if not line.startswith("  →"))


def test_there_are_many_mistakes_and_no_message_without_one() -> None:
    assert len(FILES) >= 35
    assert {f.stem for f in GOLDEN.glob("*.txt")} == {f.stem for f in FILES}
