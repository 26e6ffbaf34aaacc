"""A mailbox of a real IMAP server (Dovecot), on a port and with an account of its own."""

import grp
import mailbox
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from readiness.servers import programs
from readiness.servers.binaries import server_account
from readiness.servers.processes import free_port
from tests.support.processes import eventually, needed
from tests.support.small_servers import HANG_S

PASSWORD = "correct-horse-battery"

_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
import_environment = TZ LD_LIBRARY_PATH
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
    program = needed(programs.DOVECOT)
    account = server_account()
    user = pwd.getpwuid(account.uid).pw_name
    group = grp.getgrgid(account.gid).gr_name
    port = free_port()
    folder.chmod(0o755)
    (folder / "run").mkdir()
    mailbox.Maildir(folder / "mail", create=True)
    _own(folder / "mail")
    _own(folder / "run")
    (folder / "log").touch()
    _own(folder / "log")
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder, port=port, password=PASSWORD, user=user, group=group,
            uid=account.uid, gid=account.gid,
        )
    )  # fmt: skip
    with subprocess.Popen(
        [program, "-F", "-c", str(config)], cwd=folder, **account.popen
    ) as server:
        try:
            assert eventually(lambda: "starting up" in _log(folder), HANG_S), _log(folder)
            yield port
        finally:
            # Not the process that was started: that may be what shows it its files.
            os.kill(int((folder / "run" / "master.pid").read_text()), signal.SIGTERM)
            server.wait(HANG_S)


def deliver(folder: Path, subject: str, text: str) -> None:
    """Put a mail into the mailbox, as a mail server does."""
    mail = EmailMessage()
    mail["subject"], mail["from"], mail["to"] = subject, "am@example.com", "probe@example.com"
    mail.set_content(text)
    maildir = mailbox.Maildir(folder / "mail", create=False)
    maildir.add(mail)
    _own(folder / "mail")


def _own(path: Path) -> None:
    account = server_account()
    for place in (path, *path.rglob("*")):
        os.chown(place, account.uid, account.gid)


def _log(folder: Path) -> str:
    log = folder / "log"
    return log.read_text() if log.exists() else ""
