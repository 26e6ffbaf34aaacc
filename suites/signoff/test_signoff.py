"""What only a person can attest, for this release and not for an earlier one."""

from datetime import UTC, datetime

from readiness import Evidence, Measurement, at_least, check
from readiness.config.base.subject import Subject
from readiness.config.models import Config
from readiness.lib.signoffs import state


@check(
    "signoff.manual-items",
    title="A person other than the deployer has signed the item off for this release",
    why="""Some of readiness no program can see: that the runbook was read, the on-call rota is
    filled, the rollback was rehearsed. A sign-off for an earlier release, one that has expired,
    or one that deployers give themselves, attests nothing about what goes out now.""",
    fix="""See which item lacks what:
    readiness signoff
Let somebody who is not the deployer do what the item asks, and add to readiness.toml:
    [[signoff]]
    item = "ITEM"
    person = "NAME"
    evidence = "link or document number"
    release = "the release in [target]"
    expires = YYYY-MM-DD
Expired or for another release: do it again, then renew; do not only move the date.""",
    severity="blocker",
    effect="observe",
    each="signoff_item",
)
def test_manual_items(signoff_item: Subject, target: Config, evidence: Evidence) -> None:
    """One valid sign-off is enough; the message says what is wrong with those that are not."""
    found = state(
        signoff_item.name,
        target.signoff,
        release=target.target.release,
        deployer=target.target.deployer,
        today=datetime.now(UTC).date(),
    )
    evidence.judge(
        "valid-sign-offs",
        Measurement(
            "valid sign-offs",
            int(found.signed),
            "count",
            source=f'[[signoff]] item = "{signoff_item.name}"',
        ),
        at_least(1),
        "; ".join(found.problems),
    )
