"""The statements about a run, read by programs that are not ours."""

import base64
import hashlib
import importlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from readiness.model.errors import ReadinessError
from readiness.model.record import RunRecord, Selection, TargetFacts, Verdict, seal
from readiness.report import write_record
from readiness.report.attestation import attest, beside, clear, verify
from readiness.servers import programs
from readiness.servers.programs import AbsentError
from tests.support import packages
from tests.support.processes import needed, skip
from tests.support.records import make_check, make_record

DIGEST = "sha256:" + "ab" * 32
IMAGE = f"registry.example.com/shop/orders:2@{DIGEST}"
RULE = Path(__file__).parents[2] / "docs" / "admission.rego"
BLOCKER = make_check("backup.restores", "shop", severity="blocker")


def target(image: str = IMAGE, release: str = "2.4.1") -> TargetFacts:
    return TargetFacts(
        name="orders", environment="staging", release=release, image=image, fingerprint="b41c"
    )


def record(*outcomes: str, image: str = IMAGE, release: str = "2.4.1", **known: Any) -> RunRecord:
    more = [make_check("database.bloat", str(n), word) for n, word in enumerate(outcomes)]
    return make_record([BLOCKER, *more], target=target(image, release), **known)


READY = record("warn")
FAILED = record("fail", "warn")
INCOMPLETE = record("error")
PARTIAL = record(selection=Selection(partial=True, reason="--suite backup"))
REPORT_ONLY = record(report_only=True)


@pytest.fixture
def statement(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Attests a record in a folder of its own."""

    def make(given: RunRecord) -> dict[str, Any]:
        write_record(given, tmp_path)
        attest(tmp_path / "readiness.json", tmp_path / "attestation.json")
        return json.loads((tmp_path / "attestation.json").read_text())  # type: ignore[no-any-return]

    return make


def test_the_whole_statement(statement: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    made = statement(FAILED)
    file = hashlib.sha256((tmp_path / "readiness.json").read_bytes()).hexdigest()
    assert made == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "registry.example.com/shop/orders:2", "digest": {"sha256": "ab" * 32}},
            {"name": "readiness.json", "digest": {"sha256": file}},
        ],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "FAILED",
            "configuration": [
                {
                    "name": "readiness",
                    "digest": {"sha256": "9f2c" * 16},
                    "annotations": {
                        "verdict": "NOT READY",
                        "profile": "full",
                        "judged": 3,
                        "required": 3,
                        "target": "orders",
                        "environment": "staging",
                        "release": "2.4.1",
                        "run": "20261120-1403-7c1e",
                        "finished": "2026-11-20T14:14:49Z",
                        "partial": False,
                        "reportOnly": False,
                        "tool": "0.1.0",
                    },
                }
            ],
            "passedTests": ["backup.restores[shop]"],
            "warnedTests": ["database.bloat[1]"],
            "failedTests": ["readiness", "database.bloat[0]"],
        },
    }


@pytest.mark.parametrize(
    ("given", "verdict", "result"),
    [
        (READY, Verdict.READY, "PASSED"),
        (FAILED, Verdict.NOT_READY, "FAILED"),
        (INCOMPLETE, Verdict.INCOMPLETE, "FAILED"),
        (PARTIAL, Verdict.INCOMPLETE, "FAILED"),
        (REPORT_ONLY, Verdict.READY, "FAILED"),
    ],
)
def test_only_a_whole_run_that_decides_and_is_ready_passed(
    statement: Callable[..., dict[str, Any]],
    tmp_path: Path,
    given: RunRecord,
    verdict: Verdict,
    result: str,
) -> None:
    assert given.verdict is verdict
    predicate = statement(given)["predicate"]
    assert predicate["result"] == result
    assert ("readiness" in predicate["failedTests"]) is (result == "FAILED")
    assert (tmp_path / "attestation.svr.json").exists() is (result == "PASSED")
    assert verify(tmp_path / "readiness.json", tmp_path / "attestation.json") is (
        result == "PASSED"
    )


def test_a_ready_run_has_a_verification_result_too(
    statement: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    subject = statement(READY)["subject"]
    svr = json.loads((tmp_path / "attestation.svr.json").read_text())
    assert svr == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://in-toto.io/attestation/svr/v0.2",
        "predicate": {
            "verifier": {
                "id": "urn:readiness:gate:1",
                "policies": [{"name": "readiness.toml", "digest": {"sha256": "9f2c" * 16}}],
            },
            "timeCreated": "2026-11-20T14:14:49Z",
            "properties": [
                "READINESS_READY",
                "READINESS_PROFILE_FULL",
                "READINESS_ENVIRONMENT_STAGING",
            ],
        },
    }
    assert verify(tmp_path / "readiness.json", tmp_path / "attestation.svr.json")


def test_a_later_run_leaves_no_result_of_an_earlier_one(
    statement: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    statement(READY)
    statement(FAILED)
    assert not (tmp_path / "attestation.svr.json").exists()
    clear(tmp_path / "attestation.json")
    assert [path.name for path in tmp_path.glob("att*")] == []


@pytest.mark.parametrize("change", [(b'"0.1.0"', b'"0.1.1"'), (b"\n}", b"\n} ")])
def test_a_changed_byte_of_the_record_is_noticed(
    statement: Callable[..., dict[str, Any]], tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    statement(READY)
    path = tmp_path / "readiness.json"
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(ReadinessError, match=r"another subject|was changed after it"):
        verify(path, tmp_path / "attestation.json")


def test_a_statement_that_was_edited_is_noticed(
    statement: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    statement(FAILED)
    path = tmp_path / "attestation.json"
    path.write_text(path.read_text().replace("FAILED", "PASSED"))
    with pytest.raises(ReadinessError, match="another predicate"):
        verify(tmp_path / "readiness.json", path)


def test_a_record_whose_verdict_was_edited_is_refused(
    statement: Callable[..., dict[str, Any]],
) -> None:
    forged = seal(FAILED, Verdict.READY, ["All is well."], FAILED.coverage)
    with pytest.raises(ReadinessError, match="verdict is READY, but its checks give NOT READY"):
        statement(forged)


@pytest.mark.parametrize(
    ("image", "release", "missing"),
    [
        ("", "2.4.1", "no image"),
        (IMAGE, "unknown", "no release"),
        ("", "unknown", "no image and no"),
    ],
)
def test_what_is_not_bound_to_an_artifact_is_refused(
    statement: Callable[..., dict[str, Any]],
    tmp_path: Path,
    image: str,
    release: str,
    missing: str,
) -> None:
    with pytest.raises(ReadinessError, match=missing):
        statement(record(image=image, release=release))
    assert not (tmp_path / "attestation.json").exists()


def test_a_file_that_is_something_else_is_kept(
    statement: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "attestation.json"
    path.write_text("{}")
    with pytest.raises(ReadinessError, match="not a statement of an earlier run"):
        statement(READY)
    assert path.read_text() == "{}"


@pytest.mark.parametrize("given", [READY, FAILED], ids=["ready", "failed"])
def test_the_published_library_reads_it(
    statement: Callable[..., dict[str, Any]], tmp_path: Path, given: RunRecord
) -> None:
    pytest.importorskip("in_toto_attestation")
    library: Any = importlib.import_module("in_toto_attestation.v1.statement")
    protobuf: Any = importlib.import_module("google.protobuf.json_format")
    statement(given)
    for path in filter(
        Path.exists, (tmp_path / "attestation.json", beside(tmp_path / "attestation"))
    ):
        read = protobuf.Parse(path.read_text(), library.spb.Statement())
        library.Statement.copy_from_pb(read).validate()
        assert protobuf.MessageToDict(read) == json.loads(path.read_text())


# The library that npm verifies provenance with; cosign itself is in no registry.
SIGSTORE = {
    "verify": (
        "2.1.1",
        "sha512-hVJD77oT67aowHxwT4+M6PGOp+E2LtLdTK3+FC0lBO9T7sYwItDMXZ7Z07IDCvR1M717a4axbIWckrW67KMP/w==",
    ),
    "bundle": (
        "3.1.0",
        "sha512-Mm1E3/CmDDCz3nDhFKTuYdB47EdRFRQMOE/EAbiG1MJW77/w1b3P7Qx7JSrVJs8PfwOLOVcKQCHErIwCTyPbag==",
    ),
    "core": (
        "2.0.0",
        "sha512-nYxaSb/MtlSI+JWcwTHQxyNmWeWrUXJJ/G4liLrGG7+tS4vAz6LF3xRXqLH6wPIVUoZQel2Fs4ddLx4NCpiIYg==",
    ),
    "protobuf-specs": (
        "0.4.3",
        "sha512-fk2zjD9117RL9BjqEwF7fwv7Q/P9yGsMV4MUJZ/DocaQJ6+3pKr+syBq1owU5Q5qGw5CUbXzm+4yJ2JVRDQeSA==",
    ),
}
VERIFIER = """
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");
const [bundle, rawBytes] = process.argv.slice(1).map((f) => require("fs").readFileSync(f, "utf8"));
const none = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const trusted = toTrustMaterial(none, { gate: { rawBytes } });
const signed = toSignedEntity(bundleFromJSON(JSON.parse(bundle)));
new Verifier(trusted, { tlogThreshold: 0 }).verify(signed);
"""
PAYLOAD = "application/vnd.in-toto+json"


def signed(statement: Path, openssl: str, key: Path) -> str:
    """A bundle as `cosign attest-blob --key` writes it, without a transparency log."""
    payload = statement.read_bytes()
    # What is signed of an envelope: github.com/secure-systems-lab/dsse, protocol.md.
    encoded = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
    command = [openssl, "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(command, input=encoded, capture_output=True, check=True).stdout
    envelope = {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "gate"}, "tlogEntries": []},
            "dsseEnvelope": envelope,
        }
    )


@pytest.fixture
def sigstore(tmp_path: Path) -> Callable[[str, Path], str]:
    """What Sigstore's library says of a bundle and a public key: empty if the signature is good."""
    modules = tmp_path / "node_modules/@sigstore"
    modules.mkdir(parents=True)
    try:
        node = packages.program("node")
        for name, pinned in SIGSTORE.items():
            (modules / name).symlink_to(packages.npm(f"@sigstore/{name}", *pinned))
    except AbsentError as problem:
        skip(problem)

    def verified(bundle: str, key: Path) -> str:
        file = tmp_path / "attestation.sigstore.json"
        file.write_text(bundle)
        done = subprocess.run(
            [node, "-e", VERIFIER, str(file), str(key)],
            env=os.environ | {"NODE_PATH": str(modules.parent)}, text=True, check=False,
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode == 0) is (done.stderr == "")
        return done.stderr

    return verified


def test_sigstore_verifies_a_signed_statement(
    statement: Callable[..., dict[str, Any]], sigstore: Callable[[str, Path], str], tmp_path: Path
) -> None:
    statement(READY)
    openssl, path = needed(programs.OPENSSL), tmp_path / "attestation.json"
    for name in ("ours", "others"):
        command = [openssl, "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", name]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        command = [openssl, "ec", "-in", name, "-pubout", "-out", f"{name}.pub"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    bundle = signed(path, openssl, tmp_path / "ours")
    assert sigstore(bundle, tmp_path / "ours.pub") == ""
    assert "signature verification failed" in sigstore(bundle, tmp_path / "others.pub")
    changed = path.read_bytes().replace(b"PASSED", b"FAILED")
    before, after = (base64.b64encode(one).decode() for one in (path.read_bytes(), changed))
    forged = bundle.replace(before, after)
    assert forged != bundle
    assert "signature verification failed" in sigstore(forged, tmp_path / "ours.pub")


def admitted(*statements: dict[str, Any], image: str = IMAGE) -> str:
    """What docs/admission.rego says: empty if it lets the image in, else why not."""
    try:
        engine: Any = importlib.import_module("regopy").Interpreter()
    except (ImportError, OSError) as problem:  # its library needs libatomic
        pytest.skip(f"regopy does not run here: {problem}")
    engine.add_module("admission", RULE.read_text())
    engine.set_input({"image": image, "statements": list(statements)})
    result = json.loads(str(engine.query("data.readiness.admission")))["expressions"][0]
    reasons = "; ".join(sorted(result["deny"]))
    assert result["allow"] is (reasons == "")
    return reasons


def test_the_admission_rule(statement: Callable[..., dict[str, Any]]) -> None:
    ready, failed = statement(READY), statement(FAILED)
    none = "no statement of the readiness gate is about this image"
    assert admitted(ready) == ""
    assert admitted(failed) == "the gate said FAILED: readiness, database.bloat[0]"
    assert admitted() == none
    assert admitted(ready, image=IMAGE.replace("abab", "abac")) == none
    assert "only some of its checks" in admitted(statement(PARTIAL))
    assert "--report-only" in admitted(statement(REPORT_ONLY))


def test_the_admission_rule_asks_the_newest_run(
    statement: Callable[..., dict[str, Any]],
) -> None:
    before, later = statement(READY), statement(FAILED)
    later["predicate"]["configuration"][0]["annotations"]["finished"] = "2026-11-21T08:00:00Z"
    assert admitted(before, later).startswith("the gate said FAILED")
    before["predicate"]["configuration"][0]["annotations"]["finished"] = "2026-11-22T08:00:00Z"
    assert admitted(before, later) == ""


def test_the_admission_rule_refuses_what_says_passed_of_a_run_that_does_not_decide(
    statement: Callable[..., dict[str, Any]],
) -> None:
    forged = statement(REPORT_ONLY)
    forged["predicate"] |= {"result": "PASSED", "failedTests": []}
    assert admitted(forged) == "the gate ran with --report-only, which decides nothing"
