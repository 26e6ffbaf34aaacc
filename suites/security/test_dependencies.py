"""What is known of the dependencies: reports of the tools that look for vulnerabilities."""

from readiness import Evidence, check
from readiness.areas.security.config import Audit
from readiness.areas.security.probes import audits
from readiness.lib.findings import none_of


@check(
    "security.dependencies",
    title="No dependency has a known vulnerability of the agreed severity",
    failure_title="Dependencies have known vulnerabilities",
    why="""Most break-ins use a vulnerability that has been public for months. A report that is
    empty, old or of another commit says nothing of what is released.""",
    fix="""Update what is named, or accept it by its id with a reason in `accepted`:
    pip install --upgrade NAME;  npm audit fix
Make the report in the pipeline of the release, where the lock file is:
    pip-audit -r requirements.lock -f json -o audit.json
    npm audit --json > audit.json
    osv-scanner --format json --all-packages --output audit.json .
    trivy repo --format json --list-all-pkgs --output audit.json .""",
    severity="blocker",
    effect="observe",
    each="audit",
    judgements=("known",),
)
def test_dependencies(audit: Audit, evidence: Evidence) -> None:
    """A vulnerability without a severity counts as critical: nobody has graded it yet."""
    report = audits.report(audit)
    found = [str(one) for one in report.at_least(audit.fails_on, audit.accepted)]
    none_of(
        evidence,
        "known",
        f"dependencies have vulnerabilities of severity {audit.fails_on} or worse",
        found,
        report.dependencies,
        f"{report.tool}: {audit.report}, {report.age_h:.1f} h old",
        setting=audit.deciding("fails_on"),
    )
