"""The part of the reference system that people sign: evidence, a runbook, a run on staging."""

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from readiness.config.base.signoffs import Signoff
from readiness.lib import ssh_signatures
from readiness.model.check import Effect, Severity
from readiness.model.evidence import Outcome
from readiness.model.measurement import now
from readiness.model.record import (
    CheckResult,
    Facts,
    RunFacts,
    RunRecord,
    Selection,
    SuiteResult,
    SuiteState,
    TargetFacts,
    resealed,
)
from readiness.model.verdict import judge
from readiness.servers.files import kept, quoted, write_whole
from readiness.servers.levers import Lever
from readiness.servers.programs import WITHOUT, refused

PART: Final = "ssh-keygen"
_FOLDER: Final = "operations"
_BY_KEY: Final = "alert-drill"
_SIGNER: Final = "grace@example.com"
_DRILL: Final = "backup.restores"
_DAYS: Final = 30
_PAGES: Final = {"/on-call/rota": "the rota of this month", "/dashboards/orders": "the dashboard"}


@dataclass(frozen=True, slots=True)
class Signed:
    """What people have signed, and the files beside it.

    Attributes:
        folder: that of the runbook and of the evidence.
        wiki: a small web server.
        release: the release that it is about.
        image: its artifact.
        keys: the folder of the SSH keys; None without ssh-keygen.
        given: the sign-offs.
    """

    folder: Path
    wiki: ThreadingHTTPServer
    release: str
    image: str
    keys: Path | None
    given: tuple[Signoff, ...] = ()

    @property
    def pages(self) -> str:
        """The address of the wiki."""
        return f"http://127.0.0.1:{self.wiki.server_address[1]}"

    def stop(self) -> None:
        """Stop the wiki."""
        self.wiki.shutdown()
        self.wiki.server_close()


class _Wiki(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = _PAGES.get(self.path, "no such page").encode()
        self.send_response(200 if self.path in _PAGES else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the terminal clean."""


def absent() -> str:
    """Why nothing can be signed by key on this machine; empty if it can."""
    return f"{PART} is disabled by ${WITHOUT}" if refused(PART) else ssh_signatures.absent()


def image_of(release: str) -> str:
    """The artifact of a release of the reference system, which has no registry."""
    return f"registry.example.com/orders@sha256:{hashlib.sha256(release.encode()).hexdigest()}"


def make(folder: Path, release: str) -> Signed:
    """Write the files, and start the wiki."""
    place = folder / _FOLDER
    place.mkdir()
    wiki = ThreadingHTTPServer(("127.0.0.1", 0), _Wiki)
    threading.Thread(target=wiki.serve_forever, name="wiki", daemon=True).start()
    keys = None if absent() else _make_keys(folder / "signers")
    made = Signed(place, wiki, release, image_of(release), keys)
    (place / "acceptance.md").write_text("Ten journeys, no deviation.\n", encoding="utf-8")
    (place / "topology.txt").write_text("one service, one database\n", encoding="utf-8")
    (place / "runbook.md").write_text(
        f"# Orders\n\nSee [the topology](topology.txt) and"
        f" [the dashboard]({made.pages}/dashboards/orders).\n",
        encoding="utf-8",
    )
    (place / "staging.json").write_text(_staging(release, made.image), encoding="utf-8")
    return replace(made, given=tuple(_given(made)))


def _make_keys(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    for name in ("signer", "stranger"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
    public = (folder / "signer.pub").read_text(encoding="utf-8")
    (folder / "allowed").write_text(f"{_SIGNER} {public}", encoding="utf-8")
    return folder


def tables(made: Signed) -> str:
    """The tables of readiness.toml."""
    allowed = made.keys / "allowed" if made.keys else None
    by_key = (
        f'signed = ["{_BY_KEY}"]\nallowed_signers = {quoted(str(allowed))}\n' if allowed else ""
    )
    given = [one for one in made.given if allowed or one.item != _BY_KEY]
    items = ", ".join(dict.fromkeys(f'"{one.item}"' for one in given))
    head = _TABLES.format(items=items, by_key=by_key, folder=_FOLDER, drill=_DRILL)
    return head + "".join(entry(one) for one in given)


def _given(made: Signed) -> Iterator[Signoff]:
    expires = (datetime.now(UTC) + timedelta(days=_DAYS)).date()
    acceptance = made.folder / "acceptance.md"
    yield Signoff(
        item="uat",
        person="Ada Lovelace",
        evidence=f"{_FOLDER}/{acceptance.name}",
        release=made.release,
        image=made.image,
        evidence_sha256=hashlib.sha256(acceptance.read_bytes()).hexdigest(),
        expires=expires,
    )
    yield _on_call(made, "Grace Hopper", expires)
    yield _on_call(made, "Alan Turing", expires)
    if made.keys:
        yield signed_by(made, made.keys / "signer", expires)


def signed_by(made: Signed, key: Path, expires: date) -> Signoff:
    """The sign-off of the alert drill, signed with a key."""
    plain = _on_call(made, _SIGNER, expires, item=_BY_KEY)
    return plain.model_copy(update={"signature": ssh_signatures.sign(plain, key)})


def entry(signoff: Signoff) -> str:
    """A sign-off as TOML."""
    values = signoff.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    days = {"expires": signoff.expires.isoformat()}
    lines = [f"{key} = {days.get(key) or json.dumps(text)}" for key, text in values.items()]
    return "\n[[signoff]]\n" + "\n".join(lines) + "\n"


def _on_call(made: Signed, person: str, expires: date, item: str = "on-call") -> Signoff:
    return Signoff(
        item=item,
        person=person,
        evidence=f"{made.pages}/on-call/rota",
        release=made.release,
        image=made.image,
        expires=expires,
    )


def _staging(release: str, image: str, *, hours: float = 1) -> str:
    """The record of a run on staging, in which the drill passed."""
    at = now() - timedelta(hours=hours)
    passed = CheckResult(
        id=_DRILL,
        subject="orders",
        suite="backup",
        title="A backup restores",
        severity=Severity.BLOCKER,
        effect=Effect.WRITE,
        outcome=Outcome.PASS,
    )
    target = TargetFacts(
        name="reference", environment="staging", release=release, image=image, fingerprint=""
    )
    run = RunFacts(
        id="staging",
        started=at,
        finished=at,
        duration_s=0,
        tool_version="",
        config_sha256="",
        selection=Selection(),
    )
    suite = SuiteResult(name="backup", state=SuiteState.VERIFIED)
    return judge(Facts(target=target, run=run, checks=(passed,), suites=(suite,))).to_json()


class SignoffLevers:
    """What can go wrong with what people sign."""

    def __init__(self, made: Signed) -> None:
        self._made = made

    def file(self, name: str, content: str | None) -> Lever:
        """Replace one of the files, or remove it."""
        return _replaced(self._made.folder / name, content)

    @contextmanager
    def described_later(self) -> Iterator[None]:
        """Change what the runbook describes, an hour after it was written."""
        later = (self._made.folder / "runbook.md").stat().st_mtime + 3600
        topology = self._made.folder / "topology.txt"
        with kept(topology):
            os.utime(topology, (later, later))
            yield

    def staged(self, *, release: str = "", hours: float = 1) -> Lever:
        """Replace the record of staging by one of another release, or of another time."""
        made = self._made
        text = _staging(release or made.release, made.image, hours=hours)
        return self.file("staging.json", text)

    def staging_edited(self, old: str, new: str) -> Lever:
        """Judge staging again with another text in its record."""
        text = (self._made.folder / "staging.json").read_text(encoding="utf-8")
        record = RunRecord.model_validate_json(text.replace(old, new))
        return self.file("staging.json", resealed(record).to_json())

    def forged(self) -> str:
        """The signature of the alert drill by a key that is not the person's."""
        if self._made.keys is None:
            raise LookupError(PART)
        expires = (datetime.now(UTC) + timedelta(days=_DAYS)).date()
        return signed_by(self._made, self._made.keys / "stranger", expires).signature


@contextmanager
def _replaced(path: Path, content: str | None) -> Iterator[None]:
    with kept(path):
        if content is None:
            path.unlink()
        else:
            write_whole(path, content.encode())
        yield


_TABLES: Final = """
[signoffs]
required = [{items}]
# Two people know the rota.
four_eyes = ["on-call"]
{by_key}
[signoffs.documents.runbook]
path = "{folder}/runbook.md"
describes = ["{folder}/topology.txt"]

# The run on staging in which a backup was restored.
[signoffs.staging]
record = "{folder}/staging.json"
fresh_h = 168
drills = ["{drill}"]
"""
