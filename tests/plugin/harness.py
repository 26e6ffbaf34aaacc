"""What a gate in a folder of its own is made of, and what it leaves."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD = """
import pytest
from readiness import Evidence, Measurement, at_most, check

def figure(value, unit="ms"):
    return Measurement("figure", value, unit, source="the test")
"""

CONFIG = """
[target]
name = "demo"
release = "1.0"
"""


@dataclass(frozen=True)
class Run:
    """What a run left."""

    code: int
    text: str
    folder: Path

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "reports/readiness.json").read_text())  # type: ignore[no-any-return]

    @property
    def has_record(self) -> bool:
        return (self.folder / "reports/readiness.json").exists()

    @property
    def verdict(self) -> str:
        return str(self.record["verdict"])

    @property
    def outcomes(self) -> dict[str, str]:
        return {
            f"{c['id']}[{c['subject']}]" if c["subject"] else c["id"]: c["outcome"]
            for c in self.record["checks"]
        }

    @property
    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): path.read_text(errors="replace")
            for path in (self.folder / "reports").rglob("*")
            if path.is_file()
        }


Gate = Callable[..., Run]
