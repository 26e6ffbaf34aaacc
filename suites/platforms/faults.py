"""What proves the checks of platforms: faults of our replacement for the vendors."""

from collections.abc import Collection, Mapping
from typing import Final

from readiness.areas.platforms.reference import platform_server as server
from readiness.areas.platforms.reference.platform_server import commit_of
from readiness.model.fault import Fault, broken_by
from readiness.servers.fleet.releases import OLD

_VERCEL: Final = "platforms.vercel[web]"
_RENDER: Final = "platforms.render[api]"
_SUPABASE: Final = "platforms.supabase[data]"
_BACKUPS: Final = "platforms.supabase-backups[data]"
_LOGS_OF_WEB: Final = "platforms.monitored[web]"
_LOGS_OF_API: Final = "platforms.monitored[api]"
_GITHUB: Final = "platforms.branch[github]"
_GITLAB: Final = "platforms.branch[gitlab]"
_RELEASE: Final = "platforms.release[all]"
_TRANSACTION: Final = "platforms.transaction[data]"

_ALIAS: Final = f"/vercel/v4/aliases/{server.DOMAIN}"
_DEPLOYMENT: Final = "/vercel/v13/deployments/dpl_new"
_DRAINS: Final = "/vercel/v1/drains"
_SERVICE: Final = f"/render/v1/services/{server.SERVICE}"
_DEPLOYS: Final = f"{_SERVICE}/deploys"
_PROJECT: Final = f"/supabase/v1/projects/{server.REF}"
_HEALTH: Final = f"{_PROJECT}/health"
_SECURITY: Final = f"{_PROJECT}/advisors/security"
_PERFORMANCE: Final = f"{_PROJECT}/advisors/performance"
_SAVED: Final = f"{_PROJECT}/database/backups"
_STREAM: Final = f"/render/v1/logs/streams/resource/{server.SERVICE}"
_BRANCH: Final = f"/gitlab/api/v4/projects/{server.GROUP}/repository/branches/main"
_JOBS: Final = f"/gitlab/api/v4/projects/{server.GROUP}/pipelines/47/jobs"
_MAIN: Final = f"/github/repos/{server.REPOSITORY}/branches/main"
_RULES: Final = f"/github/repos/{server.REPOSITORY}/rules/branches/main"
_GROUP: Final = f"/gitlab/api/v4/projects/{server.GROUP}"
_LONG: Final = "3600"


def _server(
    name: str, story: str, misses: Mapping[str, Collection[str]], **broken: object
) -> Fault:
    """A fault of the server: see its `Fault`."""
    return broken_by(
        name, story, misses, lambda levers: levers.server_fault("platform_server", **broken)
    )


def _changed(
    name: str, story: str, misses: Mapping[str, Collection[str]], **changes: object
) -> Fault:
    """Answers that differ, by the constants above in lower case."""
    paths = {key: globals()[f"_{key.upper()}"] for key in changes}
    return _server(
        name, story, misses, changes={paths[key]: change for key, change in changes.items()}
    )


vercel_alias_at_old_release = _changed(
    "vercel_alias_at_old_release",
    "The deployment of the release is READY; the domain still points to the one before.",
    {_RELEASE: {"same"}},
    alias={"deploymentId": "dpl_old"},
)
vercel_alias_at_preview = _changed(
    "vercel_alias_at_preview",
    "The domain points to a preview of the same commit, READY with the preview's variables.",
    {_VERCEL: {"alias"}, _RELEASE: {"same"}},
    deployment={"target": None},
)
vercel_alias_of_another_project = _changed(
    "vercel_alias_of_another_project",
    "The domain was moved to another project.",
    {_VERCEL: {"alias"}, _RELEASE: {"same"}},
    alias={"projectId": "prj_other"},
)
vercel_alias_not_assigned = _changed(
    "vercel_alias_not_assigned",
    "The domain is not assigned to any deployment.",
    {_VERCEL: {"alias"}, _RELEASE: {"same"}},
    alias=None,
)
vercel_build_failed = _changed(
    "vercel_build_failed",
    "The domain was assigned to a deployment whose build failed.",
    {_VERCEL: {"ready"}},
    deployment={"readyState": "ERROR"},
)
vercel_rolling = _changed(
    "vercel_rolling",
    "A rolling release was not completed: some users get the release before.",
    {_VERCEL: {"ready"}},
    deployment={"readySubstate": "ROLLING"},
)
render_suspended = _changed(
    "render_suspended",
    "The service was suspended.",
    {_RENDER: {"running"}, _RELEASE: {"same"}},
    service={"suspended": "suspended", "suspenders": ["billing"]},
)
render_without_health_path = _changed(
    "render_without_health_path",
    "The health check path of the service was emptied.",
    {_RENDER: {"health"}},
    service={"serviceDetails": {"healthCheckPath": ""}},
)
render_scales_too_little = _changed(
    "render_scales_too_little",
    "Autoscaling was set to 1 to 3 instances.",
    {_RENDER: {"least", "most"}},
    service={"serviceDetails": {"autoscaling": {"min": 1, "max": 3}}},
)
render_not_autoscaled = _changed(
    "render_not_autoscaled",
    "Autoscaling was switched off: two instances, whatever comes.",
    {_RENDER: {"most"}},
    service={"serviceDetails": {"autoscaling": {"enabled": False}}},
)
render_another_release = _changed(
    "render_another_release",
    "The deploy of the release failed on Render, and the release before serves.",
    {_RELEASE: {"same"}},
    deploys=[
        {"cursor": "b", "deploy": {"id": "dep-2", "status": "update_failed"}},
        {
            "cursor": "a",
            "deploy": {"id": "dep-1", "status": "live", "commit": {"id": commit_of(OLD)}},
        },
    ],
)
another_release_everywhere = _changed(
    "another_release_everywhere",
    "All platforms agree, on the release before.",
    {_RELEASE: {"expected"}},
    alias={"deploymentId": "dpl_old"},
    deploys=[
        {
            "cursor": "a",
            "deploy": {"id": "dep-1", "status": "live", "commit": {"id": commit_of(OLD)}},
        },
    ],
)
supabase_paused = _changed(
    "supabase_paused",
    "The Supabase project was paused.",
    {_SUPABASE: {"active"}},
    project={"status": "INACTIVE"},
)
supabase_service_unhealthy = _changed(
    "supabase_service_unhealthy",
    "The REST service of the project is not healthy.",
    {_SUPABASE: {"services"}},
    health=[
        {"name": "auth", "status": "ACTIVE_HEALTHY"},
        {"name": "db", "status": "ACTIVE_HEALTHY"},
        {"name": "rest", "status": "UNHEALTHY", "error": "connection refused"},
    ],
)
supabase_table_open_to_all = _changed(
    "supabase_table_open_to_all",
    "A table in the schema public has no row security.",
    {_SUPABASE: {"security"}},
    security={
        "lints": [
            {
                "name": "rls_disabled_in_public",
                "level": "ERROR",
                "metadata": {"schema": "public", "name": "customers", "type": "table"},
            }
        ]
    },
)
supabase_slow_policies = _changed(
    "supabase_slow_policies",
    "The performance advisor reports an error.",
    {_SUPABASE: {"performance"}},
    performance={"lints": [{"name": "auth_rls_initplan", "level": "ERROR"}]},
)
supabase_without_backups = _changed(
    "supabase_without_backups",
    "The plan of the project makes no backups.",
    {_BACKUPS: {"age", "point-in-time"}},
    saved={"backups": [], "pitr_enabled": False, "walg_enabled": False},
)
supabase_backup_failed = _changed(
    "supabase_backup_failed",
    "The newest backup failed, and the one before is old.",
    {_BACKUPS: {"age"}},
    saved={
        "backups": [
            {"status": "FAILED", "inserted_at": "2026-11-20T03:00:00Z"},
            {"status": "COMPLETED", "inserted_at": "2024-11-19T03:00:00Z"},
        ]
    },
)
vercel_drain_errored = _changed(
    "vercel_drain_errored",
    "The drain of the logs had errors for too long, and was switched off.",
    {_LOGS_OF_WEB: {"sent"}},
    drains={
        "drains": [
            {"name": "logs", "status": "errored", "schemas": {"log": {}, "trace": {}}},
            {
                "name": "another project's",
                "schemas": {"log": {}},
                "projectIds": ["prj_other"],
            },
        ]
    },
)
render_logs_dropped = _changed(
    "render_logs_dropped",
    "The log stream of the service drops its logs.",
    {_LOGS_OF_API: {"sent"}},
    stream={"resourceId": server.SERVICE, "setting": "drop"},
)
github_not_protected = _changed(
    "github_not_protected",
    "The ruleset of the default branch was switched off.",
    {_GITHUB: {"protected", "required"}},
    main={"protected": False},
    rules=[],
)
github_gate_not_required = _changed(
    "github_gate_not_required",
    "The gate's job was renamed, and is not required under its new name.",
    {_GITHUB: {"required"}},
    rules=[
        {
            "type": "required_status_checks",
            "parameters": {"required_status_checks": [{"context": "readiness-gate"}]},
        }
    ],
)
gitlab_not_protected = _changed(
    "gitlab_not_protected",
    "The default branch is not protected.",
    {_GITLAB: {"protected"}},
    branch={"protected": False},
)
gitlab_gate_may_fail = _changed(
    "gitlab_gate_may_fail",
    "The gate's job is allowed to fail.",
    {_GITLAB: {"required"}},
    jobs=[{"id": 1, "name": server.GATE, "allow_failure": True}],
)
gitlab_merges_when_skipped = _changed(
    "gitlab_merges_when_skipped",
    "A pipeline that was skipped allows merging.",
    {_GITLAB: {"required"}},
    group={"allow_merge_on_skipped_pipeline": True},
)
transaction_refused = _server(
    "transaction_refused",
    "The page answers transactions with 502: it cannot reach the service behind it.",
    {_TRANSACTION: {"entered"}},
    failing="/shop/probe",
    status=502,
)
transaction_lost = _server(
    "transaction_lost",
    "The page takes transactions, and they do not arrive in the database.",
    {_TRANSACTION: {"arrived"}},
    loses=True,
)
transaction_echoed = _server(
    "transaction_echoed",
    "The last place of the transaction shows whatever it is asked for.",
    {_TRANSACTION: ()},
    echoes=True,
)
render_limits_requests = _server(
    "render_limits_requests",
    "Render answers 429, and asks to wait for an hour.",
    {_RENDER: (), _LOGS_OF_API: (), _RELEASE: ()},
    failing="/render",
    status=429,
    retry_after=_LONG,
)
vercel_token_without_scope = _server(
    "vercel_token_without_scope",
    "The token of Vercel may not see the team's drains.",
    {_LOGS_OF_WEB: ()},
    failing=_DRAINS,
    status=403,
)
supabase_token_expired = _server(
    "supabase_token_expired",
    "The token of Supabase has expired.",
    {_SUPABASE: (), _BACKUPS: ()},
    failing="/supabase",
    status=401,
)
lists_do_not_end = _server(
    "lists_do_not_end",
    "Each page of a list, by cursor or by link, leads to itself.",
    {_RENDER: (), _RELEASE: (), _GITHUB: (), _GITLAB: ()},
    endless=True,
)
platforms_answer_html = _server(
    "platforms_answer_html",
    "A login page answers for GitHub.",
    {_GITHUB: (), _RELEASE: ()},
    failing="/github",
    status=200,
)
