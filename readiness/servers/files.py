"""Files of the reference system: written atomically, restored after a change, quoted in TOML."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]
"""A configuration file; its shape depends on the program that reads it."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    mode: int
    times_ns: tuple[int, int]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


@contextlib.contextmanager
def kept(path: Path) -> Iterator[None]:
    """Restore a file, or all files directly in a folder, at the end of the block."""
    before = _take(path)
    try:
        yield
    finally:
        for name in _take(path).keys() - before.keys():
            name.unlink()
        for name, file in before.items():
            write_whole(name, file.content)
            name.chmod(file.mode)
            os.utime(name, ns=file.times_ns)


def _take(path: Path) -> dict[Path, _File]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file: _read(file) for file in files if file.is_file()}


def _read(path: Path) -> _File:
    info = path.stat()
    times = (info.st_atime_ns, info.st_mtime_ns)
    return _File(path.read_bytes(), stat.S_IMODE(info.st_mode), times)


def quoted(text: str) -> str:
    """A text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
