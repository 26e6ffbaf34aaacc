"""Scripts that start unpacked programs with their libraries, and with files at fixed paths."""

import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = "launchers"
"""Their folder in the folder of unpacked packages."""

_LOADER_S: Final = 20.0
_LAUNCHER: Final = """\
#!/bin/sh
# Written by readiness: the program runs with the libraries that were unpacked with it.
here=${{0%/launchers/*}}
{environ}{special}exec "$here/{path}" "$@"
"""
# A path in /usr/share is compiled into the program: it gets the unpacked /usr/share with the time
# zones of the system, by a private mount where that is permitted, else by proot. A missing path is
# never bound: as root, proot would create it and leave it behind.
_SHOWN: Final = """\
if [ ! -e {needs} ]; then
  root=--map-root-user
  [ "$(id -u)" = 0 ] && root=
  if unshare $root --mount mount --bind "$here/usr/share" /usr/share 2>/dev/null; then
    exec unshare $root --mount sh -c '
      [ -d /usr/share/zoneinfo ] && exec 9</usr/share/zoneinfo
      mount --bind "$1" /usr/share || exit
      [ -e /proc/self/fd/9 ] && mount --no-canonicalize --bind /proc/self/fd/9 /usr/share/zoneinfo
      exec 9<&-
      shift && exec "$@"' sh "$here/usr/share" "$here/{path}" "$@"
  fi
  zones=
  [ -d /usr/share/zoneinfo ] && zones="-b /usr/share/zoneinfo"
{proot}fi
"""
# It would write its loader into /tmp, and leave it there when killed.
_PROOT: Final = """\
  export PROOT_DONT_POLLUTE_ROOTFS=1
  [ -x "$here/launchers/proot.loader" ] && export PROOT_LOADER="$here/launchers/proot.loader"
  exec "$here/usr/bin/proot" {bound} "$here/{path}" "$@"
"""
_VARIABLES: Final = {
    # It restarts itself, and writes its own command into recovery settings.
    "pgbackrest": {"PGBACKREST_CMD": "$here/launchers/pgbackrest"},
    "openssl": {
        "OPENSSL_CONF": "${OPENSSL_CONF:-$here/etc/ssl/openssl.cnf}",
    },
    "barman": {
        "PYTHONPATH": "$here/usr/lib/python3/dist-packages",
        "PATH": "$PATH:$here/launchers",  # it copies with rsync
    },
    "chromium": {"FONTCONFIG_FILE": "$here/launchers/fonts.conf"},
}
# The script of the same name expects the program at a fixed path.
_REAL: Final = {"chromium": "usr/lib/chromium/chromium"}
# Its processes start each other by these paths; only proot covers all of their ways.
_COMPILED_IN: Final = {"dovecot": ("/usr/lib/dovecot", "/usr/bin/doveconf", "/usr/sbin/dovecot")}
# It needs no library, and is copied to places without the layer.
_STATIC: Final = {"busybox"}
_FONTS: Final = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir prefix="relative">../usr/share/fonts</dir></fontconfig>
"""


def write(tree: Path, needs: Mapping[str, str]) -> None:
    """Write a launcher for each unpacked program.

    Args:
        tree: the folder of the unpacked packages.
        needs: by program, a file that it opens at exactly this path.
    """
    folder = tree / FOLDER
    folder.mkdir()
    folder.chmod(0o755)
    for place in ("sbin", "bin", "usr/sbin", "usr/bin"):
        for real in sorted((tree / place).glob("*")):
            if real.is_file():
                path = _REAL.get(real.name, f"{place}/{real.name}")
                _write_launcher(tree, folder / real.name, path, needs.get(real.name, ""))
    for release in sorted(tree.glob("usr/lib/postgresql/*")):
        _write_postgres(tree, release, folder / "postgresql" / release.name)
    (folder / "fonts.conf").write_text(_FONTS)


def _write_postgres(tree: Path, release: Path, folder: Path) -> None:
    """Make a folder that looks like an installation: `bin` and `lib`."""
    (folder / "bin").mkdir(parents=True)
    for made in (folder.parent, folder, folder / "bin"):
        made.chmod(0o755)
    for program in sorted((release / "bin").iterdir()):
        real = str(program.relative_to(tree))
        _write_launcher(tree, folder / "bin" / program.name, real)
        if program.name == "postgres":  # so that it is found by its name, as the others are
            _write_launcher(tree, tree / FOLDER / program.name, real)
    (folder / "lib").symlink_to(os.path.relpath(release / "lib", folder))


def _write_launcher(tree: Path, path: Path, real: str, needs: str = "") -> None:
    if path.name in _STATIC:
        path.symlink_to(os.path.relpath(tree / real, path.parent))
        return
    places = ":".join(f"$here/{place}" for place in _library_folders(tree))
    own = _VARIABLES.get(path.name, {})
    variables = {
        "LD_LIBRARY_PATH": f"{places}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}",
        **own,
    }
    environ = "".join(f'{n}="{v}"\nexport {n}\n' for n, v in variables.items())
    special = _shown(path.name, real, needs)
    path.write_text(_LAUNCHER.format(environ=environ, special=special, path=real))
    path.chmod(0o755)


def _shown(name: str, real: str, needs: str) -> str:
    """The part of a launcher for a program that opens files at fixed paths."""
    if needs:
        bound = '-b "$here/usr/share:/usr/share" $zones'
        return _SHOWN.format(needs=needs, path=real, proot=_PROOT.format(bound=bound, path=real))
    paths = _COMPILED_IN.get(name, ())
    bound = " ".join(f'-b "$here{path}:{path}"' for path in paths)
    proot = _PROOT.format(bound=bound, path=real)
    return f"if [ ! -e {paths[0]} ]; then\n{proot}fi\n" if paths else ""


def keep_loader(tree: Path) -> None:
    """Keep the loader that proot writes into /tmp while it runs; proot also works without it."""
    proot, loader = tree / FOLDER / "proot", tree / FOLDER / "proot.loader"
    if not proot.is_file():
        return
    (tree / "usr/share/zoneinfo").mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [proot, "sh", "-c", 'cp /tmp/prooted-$PPID-* "$0" && chmod 755 "$0"', loader],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LOADER_S,
            check=False,
        )


def _library_folders(tree: Path) -> list[str]:
    patterns = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/dovecot", "usr/lib", "lib")
    return [
        str(found.relative_to(tree)) for pattern in patterns for found in sorted(tree.glob(pattern))
    ]
