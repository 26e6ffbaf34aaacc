"""A package is really downloaded by apt, with a library that it needs, and runs from the cache."""

import shutil
import subprocess
from pathlib import Path

import pytest

from readiness.servers import unpacking
from readiness.servers.files import CACHE
from readiness.servers.programs import Program

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not shutil.which("apt-get"), reason="no Debian packages here"),
]

PROOT = Program(("proot",), "proot")
LACKING = Program(("no-such-program",), "readiness-no-such-package")


def test_apt_unpacks_a_program_with_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    before = _installed()
    said: list[str] = []
    wanted = (PROOT, LACKING)
    assert unpacking.unpack([program.debian for program in wanted], wanted, (), said.append) == ""
    path = Path(unpacking.launcher(PROOT.names))
    assert list(path.parents[1].rglob("libtalloc.so.2"))
    assert subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0
    assert "readiness-no-such-package does not exist" in unpacking.why_absent(LACKING.names)
    assert said[0].startswith("Downloading ")
    assert capfd.readouterr() == ("", "")
    assert _installed() == before


def _installed() -> bytes:
    return Path("/var/lib/dpkg/status").read_bytes()
