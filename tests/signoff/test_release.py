"""Four items of a release, from the first sign-off to the admission of its image."""

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from readiness.areas.signoff import documents, reference
from readiness.cli.main import main
from readiness.config.base.signoffs import Signoff
from readiness.config.loading import load
from readiness.config.subjects import subjects
from readiness.lib import proof, ssh_signatures
from readiness.lib.signoffs import state
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

ITEMS = ("acceptance-test", "alert-drill", "operational-documents", "release")
BEFORE, AFTER = (f"registry.example.com/shop@sha256:{digit * 64}" for digit in "ab")
FILE = f"""[target]
name = "shop"
release = "2.4.1"
image = "{BEFORE}"
deployer = "bot"
[gate]
profile = ["own.answers"]
suites = ["checks"]
[signoffs]
required = {json.dumps(ITEMS)}
signed = ["release"]
allowed_signers = "signers/allowed"
guides.release = ["Read the page."]
"""
BLOCKER = """
from readiness import Evidence, Measurement, check, equal_to

@check("own.answers", title="It answers", why="It must.", fix="Start it.", severity="blocker")
def test_answers(evidence: Evidence) -> None:
    evidence.judge("answers", Measurement("answers", 1, "count", source="us"), equal_to(1))
"""


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[reference.Signed]:
    """A folder with readiness.toml, evidence and keys, and a wiki."""
    if problem := ssh_signatures.absent():
        pytest.skip(problem)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readiness.toml").write_text(FILE)
    made = reference.make(tmp_path, "2.4.1")
    yield made
    made.stop()


def readiness(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="readiness")


def sign(item: str, evidence: str, *more: str) -> None:
    done = readiness("signoff", item, "--by", "grace@example.com", "--evidence", evidence, *more)
    assert done.exit_code == 0, done.output


def signed_by_all(people: reference.Signed) -> None:
    sign(ITEMS[0], "operations/acceptance.md", "--write")
    sign(ITEMS[1], f"{people.pages}/on-call/rota", "--write")
    sign(ITEMS[2], "operations/runbook.md", "--write")
    sign(ITEMS[3], f"{people.pages}/on-call/rota", "--key", "signers/signer", "--write")


def edit(*changes: tuple[str, str]) -> None:
    path = Path("readiness.toml")
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def judged(name: str, item: str) -> str:
    """The misses of a check of sign-offs on an item."""
    loaded, evidence = load(Path("readiness.toml"), {}), Evidence()
    found = {one.name: one for one in subjects(loaded.config, "signoff_item")}
    module = suite("signoff.test_signoff")
    match name:
        case "signed":
            module.test_manual_items(found[item], loaded.config, loaded.asked_sha256, evidence)
        case "evidence":
            module.test_evidence(found[item], loaded.config, loaded.path, evidence)
        case _:
            module.test_signatures(found[item], loaded.config, evidence)
    return misses(evidence)


def test_four_items_are_written_verified_expire_and_go_stale(people: reference.Signed) -> None:
    assert readiness("signoff", "--check").exit_code == 1
    signed_by_all(people)
    assert readiness("signoff", "--check").output == "".join(f"{item}: signed\n" for item in ITEMS)
    assert [judged("evidence", item) for item in ITEMS] == [""] * 4
    assert judged("signature", "release") == ""

    loaded = load(Path("readiness.toml"), {})
    later = datetime.now(UTC).date() + timedelta(days=31)
    expired = [
        state(i, loaded.config, config_sha256=loaded.asked_sha256, today=later) for i in ITEMS
    ]
    assert all("expired on" in one.problems[0] for one in expired)

    Path("checks").mkdir()
    Path("checks/test_own.py").write_text(BLOCKER)
    ran = readiness("run", "-n", "0", "--attest", "attestation.json")
    assert ran.exit_code == 0, ran.output
    assert "attestation.json (PASSED)" in ran.output
    predicate = json.loads(Path("attestation.json").read_text())["predicate"]
    assert [name for name in predicate["passedTests"] if "manual" in name] == [
        f"signoff.manual-items[{item}]" for item in ITEMS
    ]
    page = Path("reports/readiness.html").read_text()
    assert "Before signing" in page
    assert "☑ Read the page." in page
    assert (
        readiness("attest", "reports/readiness.json", "attestation.json", "--verify").exit_code == 0
    )

    # The release is built again: the same name, another artifact.
    path = Path("readiness.toml")
    path.write_text(path.read_text().replace(BEFORE, AFTER, 1))
    told = readiness("signoff", "--check")
    assert told.exit_code == 1
    assert "not for image sha256:bbbbbbbbbbbb" in told.output


def test_a_changed_configuration_makes_every_sign_off_stale(people: reference.Signed) -> None:
    signed_by_all(people)
    edit(("Read the page.", "Read nothing."))
    assert "the configuration changed since" in judged("signed", "release")


def test_an_edited_sign_off_is_refused(people: reference.Signed) -> None:
    signed_by_all(people)
    before = Path("readiness.toml").read_text()
    for old, new in (
        ("grace@example.com", "ada@example.com"),
        ("aaaa", "bbbb"),
        ("/on-call/rota", "/on-call/other"),
        ("expires = 2", "expires = 3"),
        ("2.4.1", "2.4.2"),
    ):
        edit((old, new))
        assert "is not valid for what it signs" in judged("signature", "release"), old
        Path("readiness.toml").write_text(before)


def test_a_forged_one_is_refused_and_so_is_one_without_a_signature(
    people: reference.Signed,
) -> None:
    stranger = ("--by", "grace@example.com", "--evidence", "operations/runbook.md", "--key")
    refused = readiness("signoff", "release", *stranger, "signers/stranger", "--write")
    assert refused.exit_code == 2
    assert "the signature of grace@example.com is not valid" in refused.output
    assert "[[signoff]]" not in Path("readiness.toml").read_text()

    sign("release", "operations/runbook.md", "--write")
    assert "has no signature" in judged("signature", "release")


@pytest.mark.parametrize(
    ("evidence", "problem"),
    [
        ("x", "'x' is neither an address nor a file beside readiness.toml"),
        ("WIKI/gone", "/gone answered 404"),
        ("http://127.0.0.1:9/", "connection refused"),
        ("https://ada:hunter22@127.0.0.1:9/", "a password must not be written in the file"),
    ],
)
def test_evidence_that_nobody_can_look_at_is_refused(
    people: reference.Signed, evidence: str, problem: str
) -> None:
    asked = evidence.replace("WIKI", people.pages)
    done = readiness("signoff", "release", "--by", "Ada", "--evidence", asked, "--write")
    assert done.exit_code == 2
    assert problem in done.output
    assert "hunter22" not in done.output
    assert "[[signoff]]" not in Path("readiness.toml").read_text()


class _Everything(BaseHTTPRequestHandler):
    """A server that has a page for everything, and a private one."""

    def do_GET(self) -> None:
        self.send_response(403 if self.path == "/private" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_an_answer_that_shows_nothing_is_an_error() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Everything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        given = Signoff(item="uat", person="Ada", evidence="x", release="1", expires=date.max)
        for path, problem in (("/any/page", "a page that does not exist"), ("/private", "403")):
            one = given.model_copy(update={"evidence": url + path})
            with pytest.raises(CouldNotMeasure, match=problem):
                proof.problem(one, Path(), 5)
        server.shutdown()


def test_what_an_item_requires(people: reference.Signed) -> None:
    told = readiness("signoff", "alert-drill")
    assert told.output.startswith(
        "alert-drill: alert-drill is not signed for 2.4.1\n  [ ] Announce"
    )
    assert readiness("signoff", "alert-dril").output.endswith("[signoffs] required\n")
    signed_by_all(people)
    assert "  [x] Announce" in readiness("signoff", "alert-drill").output


def test_a_run_that_cannot_be_attested_measures_nothing(people: reference.Signed) -> None:
    Path("attestation.json").write_text('{"mine": true}')
    assert "can be replaced" in readiness("run", "--attest", "attestation.json").output
    edit((f'image = "{BEFORE}"\n', ""))
    done = readiness("run", "--attest", "other.json")
    assert done.exit_code == 2
    assert "[target] has no image" in done.output
    assert not Path("reports").exists()
    assert Path("attestation.json").read_text() == '{"mine": true}'


def test_git_decides_how_old_a_document_is(people: reference.Signed) -> None:
    def git(*arguments: str, at: str = "2026-01-01T00:00:00Z") -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            check=True,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(Path.cwd()), "GIT_COMMITTER_DATE": at},
        )

    runbook, topology = people.folder / "runbook.md", people.folder / "topology.txt"
    git("init", "-q")
    git("add", "operations")
    git("commit", "-qm", "all")
    assert documents.lag_s(runbook, [str(topology)]) == 0
    topology.write_text("two services\n")
    git("commit", "-qam", "more", at="2026-01-01T01:00:00Z")
    assert documents.lag_s(runbook, [str(people.folder / "*.txt")]) == 3600
    runbook.write_text("not committed yet")
    assert documents.lag_s(runbook, [str(topology)]) == 0
    with pytest.raises(NoData, match="matches no file"):
        documents.lag_s(runbook, ["nothing/*"])
    git("clone", "-q", "--depth", "1", f"file://{Path.cwd()}", "shallow")
    shallow = Path("shallow/operations")
    with pytest.raises(NoData, match="is shallow"):
        documents.lag_s(shallow / "runbook.md", [str(shallow / "topology.txt")])
