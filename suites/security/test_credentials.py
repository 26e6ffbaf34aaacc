"""Pages and jobs that need credentials."""

from collections.abc import Sequence

from readiness import Evidence, check
from readiness.areas.security.config import Protected, ScheduledJob, Site
from readiness.areas.security.probes import access
from readiness.areas.security.probes.visits import trusting
from readiness.lib.findings import none_of

_KINDS = {
    "none": "open without credentials",
    "empty": "open with empty credentials",
    "wrong": "open with wrong credentials",
    "unset": "open with what an unset variable becomes",
}


@check(
    "security.protected-pages",
    title="Protected pages refuse missing, empty and wrong credentials",
    failure_title="A protected page opens with credentials that are not right",
    core=True,
    explains=("security.private-answers",),
    why="""A comparison with a variable that is not set opens to whoever sends nothing, or the word
    `undefined`: the page works in every test with the right secret, and is open to everybody on the
    machine where the variable is missing.""",
    fix="""Try it:
    curl -si URL/PATH;  curl -si -H 'Authorization: Bearer undefined' URL/PATH
Refuse to start without the secret, and compare in constant time:
    Python: if not SECRET: raise SystemExit;  hmac.compare_digest(given, SECRET)
    Node:   if (!process.env.SECRET) process.exit(1);  crypto.timingSafeEqual(a, b)
A page that a GET does not reach, or that needs another header: correct `path`, `header` and
`scheme` in [security.sites.NAME.pages.NAME].""",
    severity="blocker",
    effect="observe",
    each="site",
    needs="pages",
    judgements=("none", "empty", "wrong", "unset"),
)
def test_protected_pages(site: Site, evidence: Evidence) -> None:
    """With the right credentials each must open: otherwise a refusal proves nothing."""
    _judge_doors(site, list(site.pages.values()), evidence)
    for page in site.opened:
        with evidence.attempt(), trusting(site) as session:
            access.opens(site, page, session)


@check(
    "security.protected-jobs",
    title="Jobs that a scheduler starts refuse missing, empty and wrong credentials",
    failure_title="Anybody can start a job that only the scheduler should",
    why="""Scheduled jobs are requests that anybody can send. With a secret that is not set, the
    usual comparison is fail-open: `Bearer undefined` deletes, bills or mails for everybody who
    tries it.""",
    fix="""Try it where it does no harm:
    curl -si -X POST -H 'Authorization: Bearer undefined' URL/PATH
Refuse to start without the secret (Vercel: CRON_SECRET), and compare in constant time:
    if (!process.env.CRON_SECRET) throw new Error("CRON_SECRET is not set")
A 404 or 405 is an error: correct `path` and `method` in [security.sites.NAME.jobs.NAME].""",
    severity="blocker",
    effect="write",
    each="site",
    needs="jobs",
    judgements=("none", "empty", "wrong", "unset"),
)
def test_protected_jobs(site: Site, evidence: Evidence) -> None:
    """The right credentials are never sent: the job would run. One that is open runs."""
    _judge_doors(site, list(site.jobs.values()), evidence)


def _judge_doors(site: Site, doors: Sequence[Protected | ScheduledJob], evidence: Evidence) -> None:
    opened: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for door in doors:
        with evidence.attempt():
            for attempt in access.attempts(site, door):
                if attempt.opened:
                    words = f"{door.path} answers {attempt.answer.status} to {attempt.shown}"
                    opened[attempt.kind].append(words)
                    if isinstance(door, ScheduledJob):
                        break  # it has run once too often already
    for kind, words in _KINDS.items():
        source = f"requests of {site.url}"
        none_of(evidence, kind, f"protected paths are {words}", opened[kind], len(doors), source)
