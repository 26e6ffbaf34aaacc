"""The account that PostgreSQL runs as: ourselves, or `nobody` when we are root.

PostgreSQL refuses to run as root. The id of an existing unprivileged account is enough, as long as
it may enter the folders.
"""

import os
import pwd
import shutil
import tempfile
from pathlib import Path

from readiness.lib.command import Account
from readiness.model.errors import Unreachable
from readiness.servers import cache
from readiness.servers.binaries import Binaries
from readiness.servers.unpacking import is_unpacked


def server_account() -> Account:
    """The account to run PostgreSQL as."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), other=False)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(65534, 65534, other=True)
    return Account(entry.pw_uid, entry.pw_gid, other=True)


def reachable_folder(folder: Path, account: Account) -> Path:
    """The folder itself, or one in the system's temporary folder that the account can reach.

    Raises:
        Unreachable: there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if account.reaches(folder.resolve()):
        return folder.resolve()
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - mkdtemp makes it safe
        if account.reaches(Path(place).resolve()):
            substitute = Path(tempfile.mkdtemp(prefix="readiness-postgres-", dir=place))
            substitute.chmod(0o711)
            return substitute
    raise Unreachable(
        f"the account {account.uid}, which PostgreSQL runs as, cannot enter any temporary folder",
        where=str(folder),
        remedy="set TMPDIR to a folder with mode 755, or do not run as root",
    )


def reachable_binaries(binaries: Binaries, account: Account, home: Path) -> Binaries:
    """The binaries themselves, or a copy under `home` where the account cannot reach them.

    That is so when root keeps the Python environment with the wheel in its own home folder.

    Raises:
        Unreachable: they are unpacked packages, which have a folder that everybody may enter, if
            nobody chose another one.
    """
    if account.reaches(binaries.folder.resolve()):
        return binaries
    if is_unpacked(binaries.folder):
        raise Unreachable(
            f"the account {account.uid}, which PostgreSQL must run as, cannot enter its programs",
            where=str(binaries.folder),
            remedy=f"set {cache.VARIABLE} to a folder with mode 755",
        )
    installation = binaries.folder.parent
    package, copy = installation.parent, home / "programs"
    shutil.copytree(installation, copy / package.name / installation.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found by its place beside the package
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    folder = copy / package.name / installation.name / binaries.folder.name
    return Binaries(folder, binaries.version, binaries.origin)
