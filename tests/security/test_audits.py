"""Reports of audit tools: what they say, and what says nothing."""

import json
import os
import time
from pathlib import Path

import pytest

from readiness.model.errors import NoData
from tests.support.edges import audit, judged

PIP = {
    "dependencies": [
        {"name": "jinja2", "version": "2.4", "vulns": [
            {"id": "PYSEC-2021-66", "fix_versions": ["2.11.3"], "aliases": ["CVE-2020-28493"]}]},
        {"name": "click", "version": "8.1.7", "vulns": []},
        {"name": "ours", "skip_reason": "not found on PyPI"},
    ],
    "fixes": [],
}  # fmt: skip
NPM = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "minimist": {"via": [{"source": 1179, "url": "https://github.com/advisories/GHSA-xvch",
                              "severity": "critical", "range": "<1.2.6"}],
                     "fixAvailable": True},
        "mkdirp": {"via": ["minimist"], "fixAvailable": True},
        "glob": {"via": [{"source": 7, "url": "", "severity": "moderate", "range": "<2"}]},
    },
    "metadata": {"dependencies": {"total": 612}},
}  # fmt: skip
OSV = {
    "results": [{"packages": [
        {"package": {"name": "lodash", "version": "4.17.4"},
         "groups": [{"ids": ["GHSA-35jh"], "aliases": ["CVE-2021-23337"], "max_severity": "7.2"}]},
        {"package": {"name": "left-pad", "version": "1.3.0"}},
    ]}],
}  # fmt: skip
TRIVY = {
    "ArtifactName": ".",
    "CreatedAt": "2026-01-01T10:00:00.123456789Z",
    "Metadata": {"Commit": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"},
    "Results": [{"Packages": [{"Name": "openssl"}, {"Name": "zlib"}], "Vulnerabilities": [
        {"VulnerabilityID": "CVE-2026-2", "PkgName": "openssl", "InstalledVersion": "3.0.1",
         "FixedVersion": "3.0.2", "Severity": "HIGH"},
        {"VulnerabilityID": "CVE-2026-3", "PkgName": "zlib", "Severity": "UNKNOWN"}]}],
}  # fmt: skip


def found(folder: Path, document: object, **keys: object) -> str:
    path = folder / "report.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return judged("test_dependencies", "test_dependencies", audit(path, **keys))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (PIP, "jinja2 2.4 has PYSEC-2021-66 (critical, fixed in 2.11.3)"),
        (NPM, "minimist <1.2.6 has GHSA-xvch (critical, fixed in a newer version)"),
        (OSV, "lodash 4.17.4 has GHSA-35jh (high, not fixed yet)"),
        (TRIVY, "zlib  has CVE-2026-3 (critical, not fixed yet)"),
    ],
    ids=["pip-audit", "npm", "osv-scanner", "trivy"],
)
def test_vulnerabilities_are_named(tmp_path: Path, document: object, expected: str) -> None:
    message = found(tmp_path, document, max_age_h=1e6)
    assert expected in message
    assert "`.fails_on`, default" in message


def test_severity_and_accepted_ids_are_respected(tmp_path: Path) -> None:
    assert "glob" not in found(tmp_path, NPM)
    assert "glob <2 has 7 (medium" in found(tmp_path, NPM, fails_on="medium")
    assert found(tmp_path, PIP, accepted=["CVE-2020-28493"]) == ""
    assert found(tmp_path, OSV, fails_on="critical") == ""


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a report of"),
        ("{}", "is not a report of"),
        ({"dependencies": "none"}, "not a valid report of pip-audit: dependencies"),
        ({"dependencies": []}, "pip-audit looked at no dependency"),
        ({"dependencies": [{"name": "a", "skip_reason": "x"}]}, "looked at no dependency"),
        (NPM | {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 0}}}, "npm audit"),
        ({"results": []}, "osv-scanner looked at no dependency"),
        ({"ArtifactName": "x", "Results": None}, "trivy looked at no dependency"),
    ],
)
def test_what_says_nothing_is_an_error(tmp_path: Path, document: object, why: str) -> None:
    with pytest.raises(NoData, match=why):
        found(tmp_path, document)


def test_old_reports_are_errors_by_their_own_time_where_they_have_one(tmp_path: Path) -> None:
    with pytest.raises(NoData, match="h old; limit 24 h"):
        found(tmp_path, TRIVY)
    path = tmp_path / "pip.json"
    path.write_text(json.dumps(PIP))
    os.utime(path, (time.time() - 25 * 3600,) * 2)
    with pytest.raises(NoData, match="is 25 h old; limit 24 h"):
        judged("test_dependencies", "test_dependencies", audit(path))
    with pytest.raises(NoData, match="no such file"):
        judged("test_dependencies", "test_dependencies", audit(tmp_path / "none.json"))


def test_report_must_be_of_the_commit(tmp_path: Path) -> None:
    trivy = {"max_age_h": 1e6, "fails_on": "critical", "accepted": ["CVE-2026-3"]}
    assert found(tmp_path, TRIVY, commit="0a1b2c3d", **trivy) == ""
    for other in ("0a1b2c3e", "0a1b"):
        with pytest.raises(NoData, match="is of commit 0a1b2c3d"):
            found(tmp_path, TRIVY, commit=other, **trivy)
    with pytest.raises(NoData, match="does not say of which commit"):
        found(tmp_path, OSV, commit="0a1b2c3d")
    noted = tmp_path / "commit"
    noted.write_text("0a1b2c3d4e\n")
    keys = {"commit_file": str(noted), "fails_on": "critical"}
    assert found(tmp_path, OSV, commit="0a1b2c3d", **keys) == ""
    noted.write_text("ffffffffff\n")
    with pytest.raises(NoData, match="is of commit ffffffffff, not of 0a1b2c3d"):
        found(tmp_path, OSV, commit="0a1b2c3d", **keys)
