"""Publishes news, and removes the old ones from the caches: `publish.py FOLDER TEXT`.

FOLDER is that of the edge. This is how pages are removed from caches of nginx without modules.
"""

import sys
from pathlib import Path
from typing import Final

NEWS: Final = "www/news/index.html"
CACHES: Final = ("cache/shared", "cache/replica")


def publish(folder: Path, text: str) -> None:
    """Write the page, and then empty the caches."""
    (folder / NEWS).write_text(f"<!doctype html><title>News</title><h1>{text}</h1>", "utf-8")
    for cache in CACHES:
        for file in (folder / cache).iterdir():
            file.unlink(missing_ok=True)


def publishing(folder: Path, text: str) -> list[str]:
    """The command that does it, without the time that importing our package takes."""
    return [sys.executable, "-I", "-S", __file__, str(folder), text]


if __name__ == "__main__":
    publish(Path(sys.argv[1]), sys.argv[2])
