"""A mailbox of a real IMAP server (Dovecot), on a port and with an account of its own."""

import mailbox
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from readiness.servers.ports import free_port
from tests.contract.small_servers import HANG_S
from tests.waiting import eventually

PASSWORD = "correct-horse-battery"

_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 0
mail_location = maildir:{folder}/mail
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@contextmanager
def imap_server(folder: Path) -> Iterator[int]:
    """Serve the maildir in `folder`; gives the port. Skips where there is no Dovecot."""
    program = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip("no IMAP server: apt-get install dovecot-imapd, and be root")
    nobody = pwd.getpwnam("nobody")
    port = free_port()
    folder.chmod(0o755)
    (folder / "run").mkdir()
    mailbox.Maildir(folder / "mail", create=True)
    _own(folder / "mail", nobody.pw_uid, nobody.pw_gid)
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder, port=port, password=PASSWORD, user="nobody", group="nogroup",
            uid=nobody.pw_uid, gid=nobody.pw_gid,
        )
    )  # fmt: skip
    with subprocess.Popen([program, "-F", "-c", str(config)]) as server:
        try:
            assert eventually(lambda: "starting up" in _log(folder), HANG_S), _log(folder)
            yield port
        finally:
            server.terminate()
            server.wait(HANG_S)


def deliver(folder: Path, subject: str, text: str) -> None:
    """Put a mail into the mailbox, as a mail server does."""
    mail = EmailMessage()
    mail["subject"], mail["from"], mail["to"] = subject, "am@example.com", "probe@example.com"
    mail.set_content(text)
    maildir = mailbox.Maildir(folder / "mail", create=False)
    maildir.add(mail)
    nobody = pwd.getpwnam("nobody")
    _own(folder / "mail", nobody.pw_uid, nobody.pw_gid)


def _own(path: Path, uid: int, gid: int) -> None:
    for place in (path, *path.rglob("*")):
        os.chown(place, uid, gid)


def _log(folder: Path) -> str:
    log = folder / "log"
    return log.read_text() if log.exists() else ""
