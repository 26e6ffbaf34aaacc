"""What only a person can attest, for this release and not for an earlier one."""

from datetime import UTC, datetime
from pathlib import Path

from readiness import Evidence, Measurement, check, equal_to
from readiness.config.base.area import Subject
from readiness.config.base.signoffs import Signoff
from readiness.config.models import Config
from readiness.lib import proof, signoffs, ssh_signatures
from readiness.model.errors import NoData


@check(
    "signoff.manual-items",
    title="Somebody other than the deployer has signed the item off for this release",
    failure_title="The item is not signed off for this release",
    core=True,
    why="""No program can see that the runbook was read, the on-call rota is filled, or the rollback
    was rehearsed. A sign-off that is expired, of an earlier release, artifact or configuration, or
    by the deployer says nothing about what goes live now.""",
    fix="""List the items and what they lack, and what to do for one of them:
    readiness signoff
    readiness signoff ITEM
Let somebody who is not the deployer do what the item requires, and add the sign-off:
    readiness signoff ITEM --by NAME --evidence LINK --expires YYYY-MM-DD --write
Expired or for something else: do it again before you renew it; do not only change the date.""",
    # Not a blocker: a verdict needs one that was measured, so that READY cannot be declared.
    severity="major",
    effect="observe",
    each="signoff_item",
    judgements=("signed",),
    explains=("signoff.evidence", "signoff.signatures"),
)
def test_manual_items(
    signoff_item: Subject, target: Config, config_asked: str, evidence: Evidence
) -> None:
    """One valid sign-off is enough; the message says what is wrong with the others."""
    found = signoffs.state(
        signoff_item.name, target, config_sha256=config_asked, today=datetime.now(UTC).date()
    )
    evidence.judge(
        "signed",
        Measurement(
            "valid sign-offs",
            int(found.signed),
            "count",
            source=f'[[signoff]] item = "{signoff_item.name}"',
        ),
        equal_to(1, "`signoffs.required`"),
        "; ".join(found.problems),
        says=f"{signoff_item.name} is not signed for {target.target.release}",
    )


@check(
    "signoff.evidence",
    title="The evidence of a sign-off can be looked at",
    failure_title="A sign-off has no evidence that can be looked at",
    why="""A sign-off whose evidence is "x", a dead link or a file that was edited since cannot be
    checked by anyone, and counts as much as no sign-off.""",
    fix="""Name an address that answers, or a file beside readiness.toml, whose digest is kept:
    readiness signoff ITEM --by NAME --evidence docs/acceptance-test.md --write""",
    severity="major",
    effect="observe",
    each="signoff_item",
    judgements=("reachable",),
)
def test_evidence(
    signoff_item: Subject, target: Config, config_path: Path, evidence: Evidence
) -> None:
    """Of every sign-off of the item for this release."""
    given = _given(signoff_item, target)
    timeout_s = target.signoffs.timeout_s if target.signoffs else 0
    problems = [proof.problem(one, config_path.parent, timeout_s) for one in given]
    evidence.judge(
        "reachable",
        Measurement(
            "sign-offs without evidence",
            sum(map(bool, problems)),
            "count",
            source=", ".join(dict.fromkeys(one.evidence for one in given)),
            samples=len(given),
        ),
        equal_to(0),
        "; ".join(filter(None, problems)),
        says=f"the evidence of {signoff_item.name} cannot be looked at",
    )


@check(
    "signoff.signatures",
    title="Sign-offs carry a valid SSH signature of the person they name",
    failure_title="A sign-off is not signed by the person it names, or was edited",
    why="""Whoever can edit readiness.toml can write another person's name under a release. A
    signature cannot be written without that person's key, nor kept when the text is edited.""",
    fix="""Let the person sign again, with the key that the allowed signers list for them:
    readiness signoff ITEM --by NAME --evidence LINK --key ~/.ssh/id_ed25519 --write
Who may sign with which key, one a line, as git reads it: NAME ssh-ed25519 AAAA...""",
    severity="major",
    effect="observe",
    each="signed_item",
    judgements=("verified",),
)
def test_signatures(signed_item: Subject, target: Config, evidence: Evidence) -> None:
    """Every sign-off of the item for this release: a forged one beside a valid one is a finding."""
    given = _given(signed_item, target)
    allowed = str(target.signoffs.allowed_signers) if target.signoffs else ""
    problems = [ssh_signatures.problem(one, Path(allowed)) for one in given]
    evidence.judge(
        "verified",
        Measurement(
            "sign-offs without a valid signature",
            sum(map(bool, problems)),
            "count",
            source=f"ssh-keygen -Y verify -f {allowed}",
            samples=len(given),
        ),
        equal_to(0, "`signoffs.allowed_signers`"),
        "; ".join(filter(None, problems)),
        says=f"{signed_item.name} is not signed by whom it names",
    )


def _given(item: Subject, target: Config) -> list[Signoff]:
    found = signoffs.for_release(item.name, target)
    if not found:
        raise NoData(
            f"{item.name} has no sign-off for {target.target.release}",
            where="[[signoff]]",
            remedy=f"readiness signoff {item.name} --by NAME --evidence LINK --write",
        )
    return found
