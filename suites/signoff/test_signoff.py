"""What only a person can attest, for this release and not for an earlier one."""

from datetime import UTC, datetime

from readiness import Evidence, Measurement, check, equal_to
from readiness.config.base.area import Subject
from readiness.config.models import Config
from readiness.lib.signoffs import state


@check(
    "signoff.manual-items",
    title="Somebody other than the deployer has signed the item off for this release",
    failure_title="The item is not signed off for this release",
    core=True,
    why="""No program can see that the runbook was read, the on-call rota is filled, or the rollback
    was rehearsed. A sign-off that is expired, of an earlier release, or by the deployer says
    nothing about what goes live now.""",
    fix="""List the items and what they lack:
    readiness signoff
Let somebody who is not the deployer do what the item requires, and add the sign-off:
    readiness signoff ITEM --person NAME --evidence LINK --expires YYYY-MM-DD --write
Expired or for another release: do it again before you renew it; do not only change the date.""",
    # Not a blocker: a verdict needs one that was measured, so that READY cannot be declared.
    severity="major",
    effect="observe",
    each="signoff_item",
    judgements=("signed",),
)
def test_manual_items(signoff_item: Subject, target: Config, evidence: Evidence) -> None:
    """One valid sign-off is enough; the message says what is wrong with the others."""
    found = state(
        signoff_item.name,
        target.signoff,
        release=target.target.release,
        deployer=target.target.deployer,
        today=datetime.now(UTC).date(),
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
