"""What operations rely on: their documents, and the rehearsal on staging."""

from pathlib import Path
from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.signoff.documents import lag_s, links
from readiness.areas.signoff.staging import rehearsal
from readiness.config.base.area import Subject
from readiness.config.base.signoffs import Document
from readiness.config.models import Config
from readiness.model.errors import NoData
from readiness.model.measurement import now

_CLOCKS_DIFFER_H: Final = 0.1


@check(
    "signoff.documents",
    title="Documents for operations exist, are up to date, and their links work",
    failure_title="A document for operations is missing, outdated, or has dead links",
    why="""At two in the morning people do what the runbook says. One that is older than the system
    it describes sends them the wrong way, and a dead link leaves them without the next step.""",
    fix="""Write the document, or read it beside what changed since, and correct it:
    git log -1 --format=%cd -- docs/runbook.md
    git log --since=2026-01-01 --stat -- deploy/
Correct each dead link that the message names.""",
    severity="major",
    effect="observe",
    each="document",
    judgements=("exists", "links", "current"),
)
def test_documents(document: Document, target: Config, evidence: Evidence) -> None:
    """A missing document has no links and no age."""
    path = Path(document.path)
    exists = path.is_file()
    evidence.judge(
        "exists",
        Measurement("documents", int(exists), "count", source=document.path),
        equal_to(1, document.deciding("path")),
        says=f"{document.path} does not exist",
    )
    if not exists:
        return
    with evidence.attempt():
        found = links(path, target.signoffs.timeout_s if target.signoffs else 0)
        evidence.judge(
            "links",
            Measurement(
                "dead links",
                len(found.dead),
                "count",
                source=document.path,
                samples=max(found.total, 1),
            ),
            equal_to(0),
            "; ".join(found.dead),
            says=f"{document.path} has dead links",
        )
    with evidence.attempt():
        late = lag_s(path, document.describes)
        evidence.judge(
            "current",
            Measurement(
                "changes after the document",
                late,
                "s",
                source=", ".join(document.describes),
            ),
            at_most(0, document.deciding("describes")),
            says=f"what {document.path} describes was changed {late / 3600:.1f} h after it",
        )


@check(
    "signoff.staging",
    title="A recent run on staging judged this release READY",
    failure_title="Staging has not shown that this release is ready",
    why="""What must not be broken in production, such as a restore or a failed rollout, is shown on
    staging. A run of another release, or of last month, shows nothing about this one.""",
    fix="""Run the gate on staging for this release, with its drills, and hand its record over:
    readiness run --config staging.toml --reports staging
    cp staging/readiness.json evidence/staging.json""",
    severity="major",
    effect="observe",
    each="staging",
    judgements=("ready", "environment", "release", "fresh", "drills"),
)
def test_staging(staging: Subject, target: Config, evidence: Evidence) -> None:
    """The verdict is judged again from the checks of the record."""
    policy = target.signoffs.staging if target.signoffs else None
    if policy is None:
        raise LookupError(staging.name)
    found = rehearsal(Path(policy.record), policy.drills)
    here = target.target

    def judge(key: str, name: str, value: str, wanted: str, setting: str) -> None:
        evidence.judge(
            key,
            Measurement(name, value, "text", source=policy.record),
            equal_to(wanted, setting),
            says=f"the {name} of {policy.record} is {value}",
        )

    judge("ready", "verdict", found.verdict, "READY", policy.deciding("record"))
    judge("environment", "environment", found.environment, policy.environment,
          policy.deciding("environment"))  # fmt: skip
    judge("release", "release", found.release, here.release, here.deciding("release"))
    if here.image:
        judge("release", "image", found.image or "not named", here.image, here.deciding("image"))
    age_h = (now() - found.finished).total_seconds() / 3600
    if age_h < -_CLOCKS_DIFFER_H:
        raise NoData("is from the future", where=policy.record, remedy="set the clock: timedatectl")
    evidence.judge(
        "fresh",
        Measurement("age of the run", age_h, "h", source=policy.record),
        at_most(policy.fresh_h, policy.deciding("fresh_h")),
        says=f"the run on {policy.environment} is {age_h:.0f} h old",
    )
    evidence.judge(
        "drills",
        Measurement(
            "drills that did not pass",
            len(found.missing),
            "count",
            source=policy.record,
            samples=max(len(policy.drills), 1),
        ),
        equal_to(0, policy.deciding("drills")),
        ", ".join(found.missing),
        says=f"drills did not pass on {policy.environment}",
    )
