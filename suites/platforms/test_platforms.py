"""Each platform on its own: does it serve, scale, save and protect as declared?"""

from datetime import UTC, datetime
from typing import Literal

from readiness import Evidence, Limit, Measurement, at_least, at_most, check, equal_to
from readiness.areas.platforms.config import Github, Gitlab, Render, Supabase, Vercel
from readiness.areas.platforms.probes.repositories import branch_of
from readiness.areas.platforms.probes.supabase import HEALTHY, Project
from readiness.areas.platforms.probes.vercel import READY
from readiness.fixtures.platforms import RenderOf, SentOf, VercelOf
from readiness.lib.text import worst

_HOUR_S = 3600
_NOT_SET = "not set"


@check(
    "platforms.vercel",
    title="The domain on Vercel serves a deployment that is ready",
    failure_title="The domain on Vercel does not serve a ready deployment",
    each="vercel",
    severity="blocker",
    judgements=("alias", "ready"),
    why="""A deployment that is READY has an address of its own; users open the domain. While the
    domain points to a preview, to another project or nowhere, the green deployment serves
    nobody.""",
    fix="""See what the domain points to, and promote the deployment of the release:
      vercel inspect DOMAIN
      vercel promote DEPLOYMENT_URL
    Not assigned, or assigned to another project: see who has it, and assign it:
      vercel domains inspect DOMAIN
      vercel alias set DEPLOYMENT_URL DOMAIN
    ROLLING: complete or abort the rolling release:
      vercel rolling-release --help""",
)
def test_vercel(vercel: Vercel, vercel_of: VercelOf, evidence: Evidence) -> None:
    """The release itself is judged over all platforms, by platforms.release."""
    live = vercel_of(vercel)
    evidence.judge(
        "alias",
        Measurement("problems of the domain", len(live.problems), "count", live.source),
        equal_to(0, vercel.deciding("alias")),
        says=worst(live.problems),
    )
    if live.there:
        evidence.judge(
            "ready",
            Measurement("state of the deployment", live.state, "text", live.source),
            equal_to(READY),
            says=f"{vercel.alias} serves a deployment that is {live.state}",
        )


@check(
    "platforms.render",
    title="The service on Render is live, has a health check, and scales as agreed",
    failure_title="The service on Render is not live, has no health check, or does not scale",
    each="render",
    severity="blocker",
    judgements=("running", "health", "least", "most"),
    why="""A suspended service answers nobody. Without a health check path, Render takes an open
    port for a healthy release and sends users to instances that cannot serve.""",
    fix="""Open the service at dashboard.render.com, or change it with its API:
      curl -X POST https://api.render.com/v1/services/SERVICE/resume -H "Authorization: Bearer $KEY"
      curl -X PATCH https://api.render.com/v1/services/SERVICE -H "Authorization: Bearer $KEY" \\
        -H 'Content-Type: application/json' \\
        -d '{"serviceDetails": {"healthCheckPath": "/health/ready"}}'
    No deploy is live: see the log of the newest one with `render deploys list SERVICE`. Instances:
    change them under Scaling in the service's settings.""",
)
def test_render(render: Render, render_of: RenderOf, evidence: Evidence) -> None:
    """The release itself is judged over all platforms, by platforms.release."""
    running = render_of(render)
    live = running.live
    evidence.judge(
        "running",
        Measurement("reasons why it does not serve", len(live.problems), "count", live.source),
        equal_to(0),
        says=worst(live.problems),
    )
    if running.health_path is not None:
        _judge_health(running.health_path, render, live.source, evidence)
    instances = (
        ("least", "min_instances", running.least, "instances that always run"),
        ("most", "max_instances", running.most, "instances up to which it scales"),
    )
    for key, setting, found, name in instances:
        agreed: int | None = getattr(render, setting)
        if agreed is not None:
            limit = at_least(agreed, render.deciding(setting))
            evidence.judge(key, Measurement(name, found or 0, "count", live.source), limit)


def _judge_health(path: str, render: Render, source: str, evidence: Evidence) -> None:
    decided = render.deciding("health_path")
    wanted = render.health_path
    evidence.judge(
        "health",
        Measurement("health check path", path or _NOT_SET, "text", source),
        equal_to(wanted, decided) if wanted else Limit("!=", _NOT_SET, decided),
        says="" if path else "no health check path is set",
    )


@check(
    "platforms.supabase",
    title="The Supabase project is active, and its advisors find no error",
    failure_title="The Supabase project is not healthy, or its advisors find errors",
    each="supabase",
    severity="blocker",
    judgements=("active", "services", "security", "performance"),
    why="""Supabase pauses projects, and a project that restarts or restores refuses connections. A
    table in the schema `public` without row security can be read and changed by anybody who has
    the key in the page.""",
    fix="""See the state of the project at supabase.com/dashboard/project/PROJECT, and restore it if
    it is paused (INACTIVE). Its advisors name each object and a remedy; for a table without row
    security (rls_disabled_in_public):
      psql "$DATABASE_URL" -c 'alter table public.TABLE enable row level security'
    Meant as it is: name `rule:schema.object` in `accepted`.""",
)
def test_supabase(supabase: Supabase, evidence: Evidence) -> None:
    """A paused project has no services and no findings: its state decides."""
    with Project(supabase) as project:
        status = project.status()
        evidence.judge(
            "active",
            Measurement("state of the project", status, "text", project.source),
            equal_to(HEALTHY),
            says=f"the project is {status}",
        )
        if status == HEALTHY:
            with evidence.attempt():
                _judge_services(project, supabase, evidence)
            for advisor in supabase.advisors:
                with evidence.attempt():
                    _judge_findings(project, supabase, advisor, evidence)


def _judge_services(project: Project, supabase: Supabase, evidence: Evidence) -> None:
    found = project.services()
    states = {name: found.get(name, "not reported") for name in supabase.services}
    ill = [f"{name}: {state}" for name, state in states.items() if state != HEALTHY]
    evidence.judge(
        "services",
        Measurement("services that are not healthy", len(ill), "count", f"{project.source}/health"),
        equal_to(0, supabase.deciding("services")),
        worst(ill),
        says=f"{len(ill)} services are not healthy",
    )


def _judge_findings(
    project: Project,
    supabase: Supabase,
    advisor: Literal["security", "performance"],
    evidence: Evidence,
) -> None:
    found = project.findings(advisor)
    left = [str(one) for one in found if not one.is_accepted(supabase.accepted)]
    evidence.judge(
        advisor,
        Measurement(
            f"errors that the {advisor} advisor finds",
            len(left),
            "count",
            f"{project.source}/advisors/{advisor}",
            samples=len(found),
        ),
        equal_to(0, supabase.deciding("accepted")),
        worst(left),
        says=f"the {advisor} advisor finds {len(left)} errors",
    )


@check(
    "platforms.supabase-backups",
    title="The Supabase project has a young backup, and restores to a point in time if agreed",
    failure_title="The Supabase project's backups are missing or old",
    each="supabase",
    needs="backups",
    severity="blocker",
    judgements=("age", "point-in-time"),
    why="""A plan without backups, or a job that stopped, is noticed on the day of the disaster.
    Without point-in-time recovery everything written since the last daily backup is lost.""",
    fix="""See the backups at supabase.com/dashboard/project/PROJECT/database/backups. None: choose
    a plan that makes them; or make your own, declare them as [backup.NAME], and set
    `backups = false` here:
      supabase db dump --db-url "$DATABASE_URL" -f dump.sql
    Point in time: enable the add-on under Settings, Add-ons.""",
)
def test_supabase_backups(supabase: Supabase, evidence: Evidence) -> None:
    """Of the backups that are complete, and of the archived log, the newest counts."""
    with Project(supabase) as project:
        saved = project.backups()
    source = f"{project.source}/database/backups"
    if saved.newest is None:
        limit = at_least(1, supabase.deciding("backups"))
        evidence.judge("age", Measurement("complete backups", 0, "count", source), limit)
    else:
        age_h = (datetime.now(UTC) - saved.newest).total_seconds() / _HOUR_S
        limit = at_most(supabase.backup_max_age_h, supabase.deciding("backup_max_age_h"))
        age = Measurement("age of the newest backup", age_h, "h", source, samples=saved.count)
        evidence.judge("age", age, limit)
    if supabase.point_in_time:
        evidence.judge(
            "point-in-time",
            Measurement("point-in-time recovery", saved.point_in_time, "flag", source),
            equal_to(True, supabase.deciding("point_in_time")),
            says="point-in-time recovery is off",
        )


@check(
    "platforms.monitored",
    title="The platform sends its logs and metrics to the monitoring",
    failure_title="The platform does not send agreed data to the monitoring",
    each="monitored_host",
    severity="major",
    judgements=("sent",),
    why="""What a platform keeps to itself is not in the alerts, and is gone when it is needed:
    Vercel keeps logs for hours. A drain that had errors may be off without anybody knowing.""",
    fix="""Vercel: see the drains, and resume or create the one that is missing:
      vercel drains list
      vercel drains resume DRAIN
    Render: see the streams, and set the one that is missing under Integrations, Observability:
      curl -H "Authorization: Bearer $KEY" https://api.render.com/v1/logs/streams/owner/OWNER
      curl -H "Authorization: Bearer $KEY" https://api.render.com/v1/metrics-stream/OWNER""",
)
def test_monitored(monitored_host: Vercel | Render, sent_of: SentOf, evidence: Evidence) -> None:
    """Only what was declared is looked for."""
    sent = sent_of(monitored_host)
    wanted = monitored_host.monitored
    off = sent.lacking(wanted)
    key = "drains" if isinstance(monitored_host, Vercel) else "streams"
    evidence.judge(
        "sent",
        Measurement(
            "kinds of data that are not sent", len(off), "count", sent.source, samples=len(wanted)
        ),
        equal_to(0, monitored_host.deciding(key)),
        worst(off),
        says=f"{len(off)} kinds of data are not sent",
    )


@check(
    "platforms.branch",
    title="The branch of the release is protected, and requires this gate",
    failure_title="The branch of the release can be changed past this gate",
    each="repository",
    severity="major",
    judgements=("protected", "required"),
    why="""A gate that is not required is advice: a push, or a merge that does not wait for it,
    goes to production unjudged. A job that was renamed is required under its old name only.""",
    fix="""GitHub: require the gate's job on the branch, by a ruleset under Settings, Rules:
      gh api repos/REPOSITORY/rules/branches/BRANCH
    GitLab: Settings, Repository, Protected branches; Settings, Merge requests, "Pipelines must
    succeed", without "Skipped pipelines are considered successful"; and no `allow_failure` on the
    gate's job.""",
)
def test_branch(repository: Github | Gitlab, evidence: Evidence) -> None:
    """Whether the pipeline of the release succeeded is judged by configuration.ci."""
    branch = branch_of(repository)
    evidence.record(
        Measurement("protected by", ", ".join(branch.by) or "nothing", "text", branch.source)
    )
    evidence.judge(
        "protected",
        Measurement("protections", len(branch.by), "count", branch.source),
        at_least(1, repository.deciding("branch")),
        says=f"{branch.name} is not protected",
    )
    evidence.judge(
        "required",
        Measurement("ways past the gate", len(branch.past_gate), "count", branch.source),
        equal_to(0, repository.deciding("gate")),
        worst(branch.past_gate),
        says=f"{repository.gate} is not required on {branch.name}",
    )
