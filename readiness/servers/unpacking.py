"""Debian packages that are unpacked into a cache, with the libraries that they depend on.

A layer is the folder of one download: the files of all its packages, and `launchers/` with a script
for each program that sets the library paths and executes the program. A layer does not depend on
what is installed (apt plans it for a system with nothing but the C library), so that images of one
release can share the cache.

apt uses lists and archives in folders of our own: it needs no privileges and changes nothing in
the system.
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.servers import launchers
from readiness.servers.files import CACHE, cache_folder, locked

# Increase the number when launchers change: those of an existing layer are not written again.
_LAYERS: Final = "layers-2"
_BROKEN: Final = "broken"
_LONGEST_S: Final = 600.0
_VERSION_S: Final = 20.0
_LISTS_ARE_FRESH_S: Final = 24 * 3600
_DOWNLOADS: Final = 4
_MEGABYTE: Final = 1e6
# Packages of a plan that are unpacked: those requested, parts of them, and libraries.
_KEPT: Final = re.compile(
    r"lib.*|postgresql(-client)?-\d+|promtool|dovecot-core|chromium-common|fontconfig-config"
    r"|python3-.*"
)
# Those of them that are not: PostgreSQL's JIT compiler, web pages, Perl, what only an installation
# uses, and the C library, which must be the same build as the system's loader.
_LEFT_OUT: Final = re.compile(
    r"libllvm.*|libz3-.*|libjs-.*|lib.*-perl|libperl.*|libc6|libc-(bin|l10n)|libcap2-bin|libgdbm.*"
    r"|libdb5.*|libpython3.*|libdebconf.*|libsemanage.*|libsepol.*|libpam-modules.*|lib.*-common"
    r"|libsasl2-modules.*|python3-(minimal|distutils|lib2to3|all|distro-info)"
)
_USELESS: Final = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/info"),
    *("usr/share/bug", "lib/systemd", "usr/lib/systemd", "usr/lib/postgresql/*/lib/bitcode"),
    # With it but without its compiler, every query that PostgreSQL compiles fails.
    "usr/lib/postgresql/*/lib/llvmjit*",
)
_ITEM: Final = re.compile(r"^'(?P<uri>[^']+)' (?P<name>[^_ ]+)_\S+ (?P<size>\d+)", re.MULTILINE)
_UNKNOWN: Final = re.compile(
    r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate"
)


@dataclass(frozen=True, slots=True)
class Program:
    """One program, and where it comes from.

    Attributes:
        names: what it may be called; messages use the first one.
        debian: the Debian package that has it; empty if none has.
        wheel: the Python package that has it; empty if none has.
        version: arguments with which it only shows that it runs.
        needs: a file that the packaged program opens at exactly this path; empty if it opens none.
        extra: packages that it needs although its own does not depend on them.
    """

    names: tuple[str, ...]
    debian: str = ""
    wheel: str = ""
    version: tuple[str, ...] = ("--version",)
    needs: str = ""
    extra: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.names[0]

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"apt-get install {self.debian}" if self.debian else f"pip install {self.wheel}"


@dataclass(frozen=True, slots=True)
class _Deb:
    """One package of a plan; `size` is in bytes."""

    name: str
    size: int


class _Refused(Exception):
    """The error of apt or dpkg."""


def launcher(names: Iterable[str]) -> str:
    """The path of a program that was unpacked before; empty if none was."""
    for layer in _layers():
        for name in names:
            path = layer / launchers.FOLDER / name
            if path.is_file():
                return str(path)
    return ""


def why_absent(names: Iterable[str]) -> str:
    """Why a program does not run, as noted when its package was unpacked; empty without a note.

    The text continues a sentence that begins with its name.
    """
    file = _note_of(names)
    return file.read_text(encoding="utf-8") if file else ""


def _noted_lately(names: Iterable[str]) -> bool:
    """Whether unpacking it failed within the last day; packages of a release change rarely."""
    file = _note_of(names)
    return file is not None and time.time() - file.stat().st_mtime < _LISTS_ARE_FRESH_S


def _note_of(names: Iterable[str]) -> Path | None:
    files = (layer / _BROKEN / name for layer in _layers() for name in names)
    return next((file for file in files if file.is_file()), None)


def postgres_folders() -> Iterator[Path]:
    """Where unpacked programs of PostgreSQL are, the newest release of each layer first."""
    for layer in _layers():
        releases = (layer / launchers.FOLDER / "postgresql").glob("*")
        for release in sorted(releases, key=_release_number, reverse=True):
            yield release / "bin"


def is_unpacked(folder: Path) -> bool:
    """Whether this folder is part of a layer, which cannot be copied in part."""
    return launchers.FOLDER in folder.parts


def unpack(
    packages: Sequence[str],
    absent: Sequence[Program],
    others: Sequence[Program],
    say: Callable[[str], None],
) -> str:
    """Make a layer of Debian packages and their dependencies.

    Safe to call from several processes at once: one makes it while the others wait.

    Args:
        packages: names of the packages.
        absent: the programs to get.
        others: further programs that may be in these packages.
        say: called with a line about the download.

    Returns:
        Why it cannot be made; empty on success, also of another process.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "this is not a Debian system"
    try:
        home = _made_home()
        with locked(home / "lock", _LONGEST_S):
            if not all(launcher(p.names) or _noted_lately(p.names) for p in absent):
                _make_layer(home, packages, absent, others, say)
    except subprocess.TimeoutExpired as problem:
        return f"{problem.cmd[0]} did not end within {_LONGEST_S:g} s"
    except _Refused as problem:
        return f"its package cannot be downloaded: {problem}"
    except TimeoutError:
        return f"another process has been downloading it for more than {_LONGEST_S:g} s"
    except OSError as problem:
        return (
            f"it cannot be unpacked into {cache_folder()}: {problem.strerror or problem}"
            f" (another folder: {CACHE}=FOLDER)"
        )
    return ""


def why_not(path: str, arguments: Sequence[str]) -> str:
    """Why a program does not run; empty if it does."""
    with tempfile.TemporaryDirectory(prefix="readiness-") as folder:
        try:
            done = subprocess.run(
                [path, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it does not answer within {_VERSION_S:g} s"
        except OSError as problem:
            return problem.strerror or str(problem)
    if done.returncode == 0:
        return ""
    lines = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"it ends with status {done.returncode}"


@functools.cache
def _system() -> str:
    """The part of the cache for this system: the distribution, its release and the processor."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    release = system.get("VERSION_ID") or system.get("VERSION_CODENAME", "unknown")
    parts = (system.get("ID", "unknown"), release, platform.machine())
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def _layers() -> list[Path]:
    """The existing layers, the newest first."""
    try:
        found = [(e.stat().st_mtime, e.path) for e in os.scandir(_home() / _LAYERS) if e.is_dir()]
    except OSError:
        return []
    return [Path(path) for _, path in sorted(found, reverse=True)]


def _home() -> Path:
    return cache_folder() / _system()


def _made_home() -> Path:
    home = _home()
    missing = [folder for folder in (home, *home.parents) if not folder.exists()]
    (home / _LAYERS).mkdir(parents=True, exist_ok=True)
    for folder in (*missing, home / _LAYERS):
        folder.chmod(0o755)  # whatever the umask is
    return home


def _make_layer(
    home: Path,
    packages: Sequence[str],
    absent: Sequence[Program],
    others: Sequence[Program],
    say: Callable[[str], None],
) -> None:
    began = time.monotonic()
    for left in home.glob("work-*"):  # of a process that was killed, as we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=home))
    try:
        apt = _Apt(home, work)
        debs = apt.plan(packages)
        size = sum(deb.size for deb in debs) / _MEGABYTE
        place = _abbreviated(cache_folder())
        say(f"Downloading {len(debs)} packages, {size:.0f} MB, into {place}")
        tree = work / "tree"
        tree.mkdir()
        apt.download(debs, tree)
        _trim(tree)
        programs = {p.names: p for p in (*others, *absent)}.values()
        launchers.write(tree, {name: p.needs for p in programs for name in p.names})
        launchers.keep_loader(tree)
        _test_all(tree, programs)
        _note_missing(tree, absent, debs)
        (tree / "layer.json").write_text(
            json.dumps({"packages": list(packages), "unpacked": [deb.name for deb in debs]})
        )
        tree.chmod(0o755)
        target = home / _LAYERS / _key(debs)
        if target.exists():  # a program was removed from it
            target.rename(work / "old")
        tree.rename(target)
        os.utime(target)
        say(f"Unpacked {len(debs)} packages after {time.monotonic() - began:.0f} s")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _key(debs: Sequence[_Deb]) -> str:
    text = "\n".join(sorted(f"{deb.name} {deb.size}" for deb in debs))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _abbreviated(folder: Path) -> str:
    with contextlib.suppress(ValueError, RuntimeError):
        return f"~/{folder.relative_to(Path.home())}"
    return str(folder)


class _Apt:
    """apt with a state of its own, in which no package is installed.

    Args:
        home: where its lists are kept.
        work: a folder for this download.
    """

    def __init__(self, home: Path, work: Path) -> None:
        self._work = work
        self._lists = home / "apt" / "lists"
        self._deadline = time.monotonic() + _LONGEST_S
        archives = home / "apt" / "cache" / "archives"
        for folder in (self._lists / "partial", archives / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        (work / "status").touch()
        self._config = work / "apt.conf"
        self._config.write_text(
            # Hooks of container images clean the system's folders, or need its services.
            "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
            "#clear APT::Update::Post-Invoke-Success;\n"
            f'Dir::State::lists "{self._lists}";\nDir::State::status "{work / "status"}";\n'
            f'Dir::Cache "{home / "apt" / "cache"}";\nDir::Log "{work}";\n'
            'APT::Sandbox::User "";\nDebug::NoLocking "true";\nAPT::Install-Recommends "false";\n'
            'Acquire::Languages "none";\nAcquire::Retries "2";\nAcquire::http::Timeout "30";\n'
            'Acquire::https::Timeout "30";\n'
        )

    def plan(self, packages: Sequence[str]) -> list[_Deb]:
        """The packages to unpack for those that are requested.

        Raises:
            _Refused: apt cannot resolve them.
        """
        refusal = self._refresh()
        asked = list(packages)
        while asked:
            try:
                uris = self._run("apt-get", "--print-uris", "-qq", "--yes", "install", *asked)
            except _Refused as problem:
                unknown = {a or b for a, b in _UNKNOWN.findall(str(problem))} & set(asked)
                if not unknown or len(asked) == len(unknown):
                    raise _Refused(refusal or _last_line(str(problem))) from None
                asked = [name for name in asked if name not in unknown]
                continue
            items = [_Deb(m["name"], int(m["size"])) for m in _ITEM.finditer(uris)]
            return [deb for deb in items if _is_used(deb.name, asked)]
        raise _Refused(refusal or "no package was requested")

    def download(self, debs: Sequence[_Deb], tree: Path) -> None:
        """Download packages in parallel and unpack each of them into `tree`.

        apt verifies each file against the signed lists.

        Raises:
            _Refused: one cannot be downloaded or unpacked.
        """
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            for done in [pool.submit(self._fetch, s, tree) for s in _shares(debs) if s]:
                done.result()

    def _fetch(self, debs: Sequence[_Deb], tree: Path) -> None:
        folder = Path(tempfile.mkdtemp(dir=self._work))
        try:
            self._run("apt-get", "-q", "download", *(deb.name for deb in debs), folder=folder)
        except _Refused as problem:
            raise _Refused(_last_line(str(problem))) from None
        files = sorted(folder.glob("*.deb"))
        if len(files) != len(debs):
            raise _Refused(f"apt-get downloaded {len(files)} of {len(debs)} packages")
        for file in files:
            self._run("dpkg-deb", "-x", str(file), str(tree))
        shutil.rmtree(folder)

    def _refresh(self) -> str:
        """Update the lists if they are old; returns the error, which is not yet fatal.

        If one source of several does not answer, the others may be enough.
        """
        stamp = self._lists.parent / "updated"
        with contextlib.suppress(OSError):
            if time.time() - stamp.stat().st_mtime < _LISTS_ARE_FRESH_S:
                return ""
        try:
            self._run("apt-get", "-q", "update")
        except _Refused as problem:
            return _last_line(str(problem))
        stamp.touch()
        return ""

    def _run(self, program: str, *arguments: str, folder: Path | None = None) -> str:
        options = (f"--config-file={self._config}",) if program == "apt-get" else ()
        done = subprocess.run(
            [program, *options, *arguments],
            cwd=folder or self._work,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=max(self._deadline - time.monotonic(), 1),
            check=False,
        )
        if done.returncode != 0:
            raise _Refused(done.stderr.strip() or f"{program} ended with {done.returncode}")
        return done.stdout


def _last_line(text: str) -> str:
    return text.splitlines()[-1] if text else text


def _is_used(name: str, asked: Sequence[str]) -> bool:
    return name in asked or bool(_KEPT.fullmatch(name) and not _LEFT_OUT.fullmatch(name))


def _shares(debs: Sequence[_Deb]) -> list[list[_Deb]]:
    """Distribute the packages over a few lists of about the same size in bytes."""
    shares: list[list[_Deb]] = [[] for _ in range(_DOWNLOADS)]
    for deb in sorted(debs, key=lambda deb: deb.size, reverse=True):
        min(shares, key=lambda share: sum(d.size for d in share)).append(deb)
    return shares


def _trim(tree: Path) -> None:
    """Remove files that are never read, and set-user-id and set-group-id bits."""
    for pattern in _USELESS:
        for found in sorted(tree.glob(pattern)):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()
    for path in tree.rglob("*"):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def _test_all(tree: Path, programs: Iterable[Program]) -> None:
    """Run each program; the launcher of one that does not run is removed, and the reason noted."""
    (tree / _BROKEN).mkdir()
    (tree / _BROKEN).chmod(0o755)
    for program in programs:
        if program.needs:  # it depends on the rights of a process: `programs.find` tests it
            continue
        for path in (tree / launchers.FOLDER / name for name in program.names):
            if path.is_file() and (why := why_not(str(path), program.version)):
                _note(tree, path.name, f"was downloaded but does not run here: {why}")
                path.unlink()


def _note_missing(tree: Path, absent: Sequence[Program], debs: Sequence[_Deb]) -> None:
    """Note why a program is not in the layer made for it, so that it is not tried again."""
    for program in absent:
        names = program.names
        if any((tree / place / n).exists() for place in (launchers.FOLDER, _BROKEN) for n in names):
            continue
        exists = any(deb.name == program.debian for deb in debs)
        why = "does not have it" if exists else "does not exist for this release"
        _note(tree, names[0], f"is not installed; the package {program.debian} {why}")


def _note(tree: Path, name: str, why: str) -> None:
    (tree / _BROKEN / name).write_text(why, encoding="utf-8")


def _release_number(folder: Path) -> float:
    try:
        return float(folder.name)
    except ValueError:
        return 0.0
