"""All platforms on one server, in a thread of this process, and the tables that declare them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.areas.platforms.reference.platform_server import TOKEN, Fault, Platforms, answers
from readiness.areas.platforms.reference.target import platforms
from readiness.config.loading import load
from readiness.config.models import Config

SECRET: Final = "a-token-that-nobody-may-see-4711"
RELEASE: Final = "1.5.0"
HEAD: Final = f"""
[target]
name = "shop"
release = "{RELEASE}"
allow_in_production = ["observe", "write"]
"""


@dataclass(frozen=True)
class World:
    """The server, and what readiness.toml says of it.

    Attributes:
        url: its address.
        served: its answers and its fault.
        file: the configuration that was loaded last.
    """

    url: str
    served: Platforms
    file: Path

    def break_by(self, **broken: object) -> None:
        """Set a fault of the server."""
        self.served.fault = Fault.model_validate(broken)

    def change(self, path: str, change: object) -> None:
        """Let one answer differ, by a JSON merge patch."""
        assert path in answers(RELEASE), path
        self.served.fault = Fault(changes={**self.served.fault.changes, path: change})

    def config(self, *changes: tuple[str, str], more: str = "") -> Config:
        """The tables of the reference system, with some text replaced."""
        text = HEAD + platforms(self.url).replace('serves = "orders"\n', "") + more
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.file.write_text(text, encoding="utf-8")
        return load(self.file, {TOKEN: SECRET}).config
