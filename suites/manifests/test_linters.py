"""What other tools say of the same files, where the team uses them."""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.manifests.config import Manifests
from readiness.areas.manifests.probes import linters
from readiness.lib.text import worst


@check(
    "manifests.linters",
    title="The team's linters find nothing of the agreed severity",
    failure_title="A linter finds something of the agreed severity",
    each="manifests",
    needs="linters",
    why="""A rule that the team has agreed on, and that nothing enforces, holds until the next
    deadline. What the linters find in what is released today, nobody has looked at.""",
    fix="""Correct what is named, or accept the rule for all files, by its id:
      [manifests]
      linters_accept = ["DL3008"]
    One place: by a comment, as the tool has it (# hadolint ignore=DL3008)
    What a rule means:
      checkov: https://www.checkov.io/5.Policy%20Index/all.html
      compose-lint --explain CL-0009
      hadolint: https://github.com/hadolint/hadolint/wiki
      zizmor: https://docs.zizmor.sh/audits/""",
    judgements=("findings",),
)
def test_linters(manifests: Manifests, evidence: Evidence) -> None:
    """Rules that another check judges on the same files are left to it."""
    least = manifests.linters_fail_on
    for name in manifests.linters:
        with evidence.attempt():
            report = linters.run(name, manifests)
            found = report.own(least, manifests.linters_accept)
            twins = report.twins()
            evidence.judge(
                "findings",
                Measurement(
                    f"findings of {name}", len(found), "count", _source(name, twins),
                    samples=report.files,
                ),
                equal_to(0, manifests.deciding("linters_fail_on")),
                worst(map(str, found)),
                says=f"{name}, findings of severity {least} or worse: {len(found)}",
            )  # fmt: skip


def _source(name: str, twins: list[str]) -> str:
    return f"{name}; more is judged by {', '.join(twins)}" if twins else name
