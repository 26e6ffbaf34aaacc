"""What platforms answer, healthy in unusual ways and otherwise, and what is made of it."""

import json
from typing import Any

import pytest

from readiness.areas.platforms.config import Everywhere
from readiness.areas.platforms.probes.released import Served, sent_by
from readiness.areas.platforms.probes.render import running_on
from readiness.areas.platforms.probes.vercel import live_on
from readiness.areas.platforms.reference.platform_server import GATE, TOKEN, commit_of
from readiness.config.models import Config
from readiness.config.subjects import subjects
from readiness.fixtures.once import Once
from readiness.model.errors import ConfigError, CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import Evidence, Outcome
from tests.plugin.gates import Gate
from tests.support.many_platforms import RELEASE, SECRET, World
from tests.support.monitored_service import missed, misses, suite
from tests.support.small_servers import Reply, SmallServer

NEW, OLD = commit_of("1.5.0"), commit_of("1.4.0")
SERVICE = "/render/v1/services/srv-orders"
ALIAS = "/vercel/v4/aliases/shop.example.com"
DEPLOYMENT = "/vercel/v13/deployments/dpl_new"
DRAINS = "/vercel/v1/drains"
PROJECT = "/supabase/v1/projects/abcdefghijklmnopqrst"
RULES = "/github/repos/shop/orders/rules/branches/main"
BRANCH = "/github/repos/shop/orders/branches/main"
GROUP = "/gitlab/api/v4/projects/shop%2Forders"

CHECKS = {
    "vercel": "web", "render": "api", "supabase": "data", "supabase_backups": "data",
    "branch": "github", "monitored": "web",
}  # fmt: skip
ARGUMENTS = {"supabase_backups": "supabase", "branch": "repository", "monitored": "monitored_host"}


def judged(config: Config, check: str, name: str = "") -> Evidence:
    """What a check finds; nothing that it says has the token."""
    evidence = Evidence()
    once: dict[str, object] = {
        "vercel": {"vercel_of": Once(live_on).of},
        "render": {"render_of": Once(running_on).of},
        "monitored": {"sent_of": Once(sent_by).of},
    }
    kind = ARGUMENTS.get(check, check)
    subject = config.platforms[name or CHECKS[check]]
    more = once.get(check, {})
    assert isinstance(more, dict)
    run = getattr(suite("platforms.test_platforms"), f"test_{check}")
    run(**{kind: subject}, evidence=evidence, **more)
    assert SECRET not in repr(evidence)
    return evidence


def release(config: Config) -> Evidence:
    """What the check of all platforms together finds."""
    evidence = Evidence()
    suite("platforms.test_same_release").test_release(
        Everywhere(config), Once(live_on).of, Once(running_on).of, Once(sent_by).of, evidence
    )
    assert SECRET not in repr(evidence)
    return evidence


def transaction(config: Config) -> Evidence:
    evidence = Evidence()
    arrival = subjects(config, "arrival")[0]
    suite("platforms.test_same_release").test_transaction(arrival, evidence)
    return evidence


@pytest.mark.parametrize("check", CHECKS)
def test_healthy(world: World, check: str) -> None:
    assert judged(world.config(), check).conclude() is Outcome.PASS


def test_autoscaling_is_off_and_nothing_was_agreed(world: World) -> None:
    world.change(SERVICE, {"serviceDetails": {"autoscaling": None, "numInstances": 1}})
    config = world.config(("min_instances = 2\nmax_instances = 4\n", ""))
    assert misses(judged(config, "render")) == ""


@pytest.mark.parametrize("kind", ["static_site", "background_worker", "private_service"])
def test_only_web_services_have_a_health_check(world: World, kind: str) -> None:
    world.change(SERVICE, {"type": kind, "serviceDetails": {"healthCheckPath": None}})
    assert misses(judged(world.config(), "render")) == ""


def test_another_health_path_than_agreed(world: World) -> None:
    config = world.config(('srv-orders"\n', 'srv-orders"\nhealth_path = "/ready"\n'))
    assert misses(judged(config, "render")).startswith("health check path: /health/ready")


def test_maintenance_serves_nobody(world: World) -> None:
    world.change(SERVICE, {"serviceDetails": {"maintenanceMode": {"enabled": True}}})
    assert "maintenance mode" in misses(judged(world.config(), "render"))


def test_newer_previews_are_not_looked_at(world: World) -> None:
    """The domain decides, whatever was deployed after it was assigned."""
    world.served.answers["/vercel/v13/deployments/dpl_preview"] = {
        "id": "dpl_preview", "readyState": "ERROR", "target": None, "meta": {},
    }  # fmt: skip
    assert misses(judged(world.config(), "vercel")) == ""
    assert misses(release(world.config())) == ""


def test_a_domain_that_redirects_serves_nothing(world: World) -> None:
    world.change(ALIAS, {"redirect": "www.example.com"})
    assert "redirects to www.example.com" in misses(judged(world.config(), "vercel"))


def test_a_preview_at_a_domain_that_was_declared_for_it(world: World) -> None:
    world.change(DEPLOYMENT, {"target": None})
    config = world.config(('alias = "', 'target = "preview"\nalias = "'))
    assert misses(judged(config, "vercel")) == ""


@pytest.mark.parametrize(
    "drain",
    [
        {"name": "all", "schemas": {"log": {}, "trace": {}}},
        {"name": "all", "schemas": {"log": {}, "trace": {}}, "projectAccess": {"access": "all"}},
        {
            "name": "some",
            "schemas": {"log": {}, "trace": {}},
            "projectAccess": {"access": "some", "projectIds": ["prj_shop"]},
        },
    ],
)
def test_drains_of_all_projects_count(world: World, drain: dict[str, Any]) -> None:
    broken = {"name": "old", "status": "errored", "schemas": {"log": {}}}
    world.change(DRAINS, {"drains": [drain, broken]})
    assert misses(judged(world.config(), "monitored")) == ""


OTHERS = [
    ({"deployment": {"environments": ["preview"]}}, "log: not sent"),
    ({"project": {"ids": ["prj_other"]}}, "log: not sent"),
    ({"deployment": {}, "project": {}}, ""),
]


@pytest.mark.parametrize(("only", "words"), OTHERS)
def test_a_drain_that_filters_data_out_does_not_count(
    world: World, only: dict[str, Any], words: str
) -> None:
    chosen = {"version": "v2", "filter": {"type": "basic", **only}}
    drain = {"name": "some", "schemas": {"log": {}, "trace": {}}, "filterV2": chosen}
    world.change(DRAINS, {"drains": [drain]})
    assert words in misses(judged(world.config(), "monitored"))
    assert bool(words) is bool(misses(judged(world.config(), "monitored")))


def test_a_drain_of_previews_is_that_of_staging(world: World) -> None:
    chosen = {"version": "v2", "filter": {"deployment": {"environments": ["preview"]}}}
    drain = {"name": "some", "schemas": {"log": {}, "trace": {}}, "filterV2": chosen}
    world.change(DRAINS, {"drains": [drain]})
    config = world.config(('alias = "', 'target = "staging"\nalias = "'))
    assert misses(judged(config, "monitored")) == ""


def test_a_drain_of_other_data_does_not_count(world: World) -> None:
    world.change(DRAINS, {"drains": [{"name": "some", "schemas": {"log": {}}}]})
    assert "trace: not sent" in misses(judged(world.config(), "monitored"))


def test_a_free_plan_with_backups_elsewhere(world: World) -> None:
    backups = {"backups": [], "pitr_enabled": False}
    world.change(f"{PROJECT}/database/backups", backups)
    config = world.config(("point_in_time = true", "backups = false"))
    assert misses(judged(config, "supabase")) == ""
    planned = suite("platforms.test_platforms").test_supabase_backups
    assert planned.__readiness_check__.needs == ("backups",)


def test_point_in_time_that_nobody_agreed(world: World) -> None:
    world.change(f"{PROJECT}/database/backups", {"pitr_enabled": False})
    config = world.config(("point_in_time = true\n", ""))
    assert misses(judged(config, "supabase_backups")) == ""


def test_the_archived_log_counts_as_a_backup(world: World) -> None:
    path = f"{PROJECT}/database/backups"
    old = {"backups": [{"status": "COMPLETED", "inserted_at": "2024-01-01T00:00:00"}]}
    world.change(path, old)
    assert missed(judged(world.config(), "supabase_backups")) == {"age"}
    seconds = 4_000_000_000
    latest = {"latest_physical_backup_date_unix": seconds}
    world.change(path, {**old, "physical_backup_data": latest})
    assert misses(judged(world.config(), "supabase_backups")) == ""


def test_a_rule_of_the_advisors_may_be_accepted_whole(world: World) -> None:
    config = world.config((":public.orders_view", ""))
    assert misses(judged(config, "supabase")) == ""
    config = world.config((":public.orders_view", ":public.other"))
    assert "security_definer_view:public.orders_view" in misses(judged(config, "supabase"))


def test_a_paused_project_says_so_alone(world: World) -> None:
    """Its health and advisors answer with errors, or with what was before."""
    world.served.fault = world.served.fault.model_copy(
        update={"changes": {PROJECT: {"status": "INACTIVE"}}, "failing": f"{PROJECT}/"}
    )
    evidence = judged(world.config(), "supabase")
    assert evidence.failures[0].startswith("the project is INACTIVE")
    assert not evidence.lost


def test_a_service_that_is_not_reported_is_not_healthy(world: World) -> None:
    world.change(f"{PROJECT}/health", [])
    assert "rest: not reported" in misses(judged(world.config(), "supabase"))


def classic(contexts: list[str], level: str = "non_admins") -> dict[str, Any]:
    checks = {"enforcement_level": level, "contexts": contexts, "checks": []}
    return {"protection": {"enabled": True, "required_status_checks": checks}}


def test_classic_branch_protection(world: World) -> None:
    world.change(RULES, [])
    world.change(BRANCH, classic(["lint", GATE]))
    assert misses(judged(world.config(), "branch")) == ""
    world.change(BRANCH, classic(["lint", GATE], "off"))
    assert missed(judged(world.config(), "branch")) == {"required"}


def test_a_server_without_rulesets(world: World) -> None:
    world.change(RULES, None)
    world.change(BRANCH, classic([GATE]))
    assert misses(judged(world.config(), "branch")) == ""


def test_rules_about_names_do_not_protect(world: World) -> None:
    world.change(RULES, [{"type": "branch_name_pattern"}, {"type": "commit_message_pattern"}])
    assert missed(judged(world.config(), "branch")) == {"protected", "required"}


def test_a_gitlab_branch_that_a_pattern_protects(world: World) -> None:
    """The list of protected branches shows `release/*`; the branch itself says `protected`."""
    path = f"{GROUP}/repository/branches"
    world.served.answers[f"{path}/release%2F1.5"] = {"name": "release/1.5", "protected": True}
    config = world.config(('provider = "gitlab"', 'provider = "gitlab"\nbranch = "release/1.5"'))
    assert misses(judged(config, "branch", "gitlab")) == ""


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        ("", {"only_allow_merge_if_pipeline_succeeds": False}, "does not wait for the pipeline"),
        ("", {"allow_merge_on_skipped_pipeline": True}, "a skipped pipeline allows merging"),
        ("/repository/branches/main", {"developers_can_push": True}, "developers may push"),
        ("/pipelines", [], "no pipeline has run"),
        ("/pipelines/47/jobs", [], f"pipeline 47 has no job {GATE}"),
    ],
)
def test_ways_past_the_gate_on_gitlab(world: World, place: str, change: object, words: str) -> None:
    world.change(f"{GROUP}{place}", change)
    assert words in misses(judged(world.config(), "branch", "gitlab"))


NAMES = ["v1.5.0", NEW, NEW[:7], NEW[:12].upper()]


@pytest.mark.parametrize("name", NAMES)
def test_the_release_under_its_names(world: World, name: str) -> None:
    assert misses(release(world.config(('commit = "v{release}"', f'commit = "{name}"')))) == ""


@pytest.mark.parametrize("name", ["v1.5.0", NEW[:12]])
def test_gitlab_alone_resolves_the_release(world: World, name: str) -> None:
    """A hash that the platform does not serve is asked for, to be told whole."""
    path = f"{GROUP}/repository/commits/{NEW[:12]}"
    world.served.answers[path] = {"id": NEW}
    config = world.config(('commit = "v{release}"', f'commit = "{name}"'))
    others = {one: table for one, table in config.platforms.items() if one != "github"}
    config = config.model_copy(update={"platforms": others})
    assert misses(release(config)) == ""
    deploy = {"id": "dep-9", "status": "live", "commit": {"id": OLD}}
    world.change(f"{SERVICE}/deploys", [{"cursor": "a", "deploy": deploy}])
    assert f"api serves {OLD[:12]}" in misses(release(config))


def test_a_commit_needs_no_repository(world: World) -> None:
    config = world.config(('commit = "v{release}"', f'commit = "{OLD[:10]}"'))
    alone = {name: one for name, one in config.platforms.items() if name in {"web", "api"}}
    config = config.model_copy(update={"platforms": alone})
    assert missed(release(config)) == {"expected"}


@pytest.mark.parametrize("name", ["latest", "20261201"])
def test_a_name_that_nobody_knows_is_an_error(world: World, name: str) -> None:
    config = world.config(('commit = "v{release}"', f'commit = "{name}"'))
    with pytest.raises(NoData, match=f"'{name}' is not the served commit"):
        release(config).conclude()


@pytest.mark.parametrize(
    ("name", "served"),
    [("1.5.0", True), ("sha256:abc", True), ("registry/shop:1.5.0", True), ("1.5", False)],
)
def test_an_image_is_known_by_its_tag_or_digest(world: World, name: str, served: bool) -> None:
    image = {"ref": "registry/shop:1.5.0", "sha": "sha256:abc"}
    deploy = {"id": "dep-9", "status": "live", "image": image}
    world.change(f"{SERVICE}/deploys", [{"cursor": "a", "deploy": deploy}])
    config = world.config(('commit = "v{release}"', f'commit = "{name}"'))
    api = config.platforms["api"]
    assert api.provider == "render"
    live = running_on(api).live
    assert Served(api, live, "").is_expected is served


def test_what_disagrees_is_the_first_line(world: World) -> None:
    world.change(ALIAS, {"deploymentId": "dpl_old"})
    evidence = release(world.config())
    first, *others = evidence.failures
    assert first.startswith("2 releases are served")
    assert f"web serves {OLD[:12]} since 2" in first
    assert "api serves v1.5.0 since 2" in first
    assert not others
    shown = {one.name: one.value for one in evidence.measurements}
    assert str(shown["api (Render)"]).startswith(f"v1.5.0 ({NEW[:12]}), live since 2")
    assert str(shown["web (Vercel)"]).endswith("; monitoring: log, trace sent")
    assert shown["data (Supabase)"] == "no release, ACTIVE_HEALTHY"


def test_platforms_may_call_the_release_otherwise(world: World) -> None:
    """One runs a commit, the other an image of it."""
    image = {"ref": "registry/shop:1.5.0"}
    deploy = {"id": "dep-9", "status": "live", "image": image}
    world.change(f"{SERVICE}/deploys", [{"cursor": "a", "deploy": deploy}])
    declared = 'service = "srv-orders"\ncommit = "'
    config = world.config((f"{declared}v{{release}}", f"{declared}{{release}}"))
    assert misses(release(config)) == ""
    others = {name: one for name, one in config.platforms.items() if name in {"web", "api"}}
    with pytest.raises(NoData, match=r"'v1.5.0' is not the served commit"):
        release(config.model_copy(update={"platforms": others})).conclude()


def test_the_view_says_what_is_really_sent(world: World) -> None:
    world.change(DRAINS, {"drains": []})
    shown = {one.name: one.value for one in release(world.config()).measurements}
    assert str(shown["web (Vercel)"]).endswith("; monitoring: log: not sent, trace: not sent")


def test_a_deployment_without_a_commit_is_another_release(world: World) -> None:
    world.change(DEPLOYMENT, {"meta": None, "gitSource": None})
    assert "nothing that names a commit" in misses(release(world.config()))


@pytest.mark.parametrize(
    ("version", "fits"),
    [("1.5.0", True), (NEW[:8], True), ("v1.5.0", True), ("1.4.0", False), (OLD, False)],
)
def test_the_version_of_the_service(world: World, version: str, fits: bool) -> None:
    with SmallServer({"/version": Reply(json.dumps({"version": version}))}) as service:
        more = f'[services.orders]\nurl = "{service.url}"\n'
        declared = ('srv-orders"\n', 'srv-orders"\nserves = "orders"\n')
        evidence = release(world.config(declared, more=more))
    assert missed(evidence) == (set() if fits else {"version"})


@pytest.mark.parametrize("body", ["<html>", "[]", '{"version": null}', '{"other": 1}'])
def test_a_service_without_a_version_is_an_error(world: World, body: str) -> None:
    with SmallServer({"/version": Reply(body)}) as service:
        more = f'[services.orders]\nurl = "{service.url}"\n'
        declared = ('srv-orders"\n', 'srv-orders"\nserves = "orders"\n')
        with pytest.raises(NoData, match="no text or number at 'version'"):
            release(world.config(declared, more=more)).conclude()


FAILING: list[tuple[dict[str, object], type[CouldNotMeasure], str]] = [
    ({"status": 401}, NotPermitted, "the token is not valid or has expired"),
    ({"status": 403}, NotPermitted, "lacks a permission: configured fault"),
    ({"status": 404}, NoData, "does not exist there, or the token cannot see it"),
    ({"status": 429, "retry_after": "3600"}, CouldNotMeasure, "again allowed after 3600 s"),
    ({"status": 500}, CouldNotMeasure, "the API is down or overloaded"),
    ({"status": 200}, NoData, "with text/html instead of JSON"),
    ({"status": 302}, NoData, "redirects"),
]


EVERY = [*CHECKS.items(), ("branch", "gitlab"), ("monitored", "api")]


@pytest.mark.parametrize(("check", "name"), EVERY)
@pytest.mark.parametrize(("broken", "kind", "words"), FAILING)
def test_whatever_else_answers_is_one_error(
    world: World,
    check: str,
    name: str,
    broken: dict[str, object],
    kind: type[CouldNotMeasure],
    words: str,
) -> None:
    world.break_by(failing="/", **broken)
    with pytest.raises(kind, match=words) as caught:
        judged(world.config(), check, name)
    assert type(caught.value) is kind
    assert caught.value.remedy
    assert SECRET not in str(caught.value)


UNKNOWN = "the token is not valid or has expired"
SCOPE = "the token is not accepted or lacks a permission: "
# In the words of each vendor: wrong or expired, then without the permission.
REFUSING = {
    "web": (
        (403, {"error": {"code": "forbidden", "message": "No", "invalidToken": True}}, UNKNOWN),
        (403, {"error": {"code": "forbidden", "message": "Not authorized"}}, f"{SCOPE}Not auth"),
    ),
    "api": ((401, {"id": "", "message": "Unauthorized"}, UNKNOWN),),
    "data": (
        (401, {"message": "Unauthorized"}, UNKNOWN),
        (403, {"message": "Forbidden resource"}, f"{SCOPE}Forbidden resource"),
    ),
    "github": (
        (401, {"message": "Bad credentials", "status": "401"}, UNKNOWN),
        (403, {"message": "Resource not accessible"}, f"{SCOPE}Resource not accessible"),
        (404, {"message": "Not Found"}, "shop/orders does not exist there, or the token cannot"),
    ),
    "gitlab": (
        (401, {"error": "invalid_token", "error_description": "Token is expired."}, UNKNOWN),
        (
            403,
            {"error": "insufficient_scope", "error_description": "Higher privileges are needed."},
            f"{SCOPE}Higher privileges",
        ),
        (404, {"message": "404 Project Not Found"}, "shop/orders does not exist there, or the"),
    ),
}


@pytest.mark.parametrize(
    ("name", "status", "body", "words"),
    [(name, *one) for name, answers in REFUSING.items() for one in answers],
)
def test_what_a_vendor_says_of_a_token(
    world: World, name: str, status: int, body: dict[str, object], words: str
) -> None:
    check = {"web": "vercel", "api": "render", "data": "supabase"}.get(name, "branch")
    with SmallServer({}) as server:
        server.otherwise = Reply(json.dumps(body), status)
        config = world.config((world.url, server.url))
        with pytest.raises((NotPermitted, NoData), match=words) as caught:
            judged(config, check, name)
        assert len(server.requests) == 1
    assert f"[platforms.{name}]" in caught.value.remedy or words.startswith(SCOPE)
    assert SECRET not in str(caught.value) + caught.value.remedy


OLDER = [
    ("vercel", DEPLOYMENT, {"readyState": None}),
    ("vercel", "/vercel/v9/projects/prj_shop", {"id": 7}),
    ("render", SERVICE, {"suspended": None}),
    ("render", SERVICE, {"serviceDetails": None}),
    ("supabase", PROJECT, {"status": None}),
    ("supabase", f"{PROJECT}/health", [{"name": "db", "healthy": True}]),
    ("supabase", f"{PROJECT}/advisors/security", None),
    ("supabase_backups", f"{PROJECT}/database/backups", {"pitr_enabled": None}),
    ("branch", BRANCH, {"protected": None}),
    ("branch", "/github/repos/shop/orders", {"default_branch": None}),
    ("branch", RULES, [{"name": "old"}]),
    ("monitored", DRAINS, {"drains": None}),
    ("gitlab", GROUP, {"default_branch": None}),
    ("gitlab", f"{GROUP}/repository/branches/main", {"protected": None}),
    ("gitlab", f"{GROUP}/pipelines", [{"iid": 1}]),
    ("gitlab", f"{GROUP}/pipelines/47/jobs", [{"id": 1}]),
    ("gitlab", f"{GROUP}/pipelines/47/jobs", None),
]


@pytest.mark.parametrize(("check", "path", "change"), OLDER)
def test_an_older_api_is_one_error(world: World, check: str, path: str, change: object) -> None:
    world.change(path, change)
    check, name = ("branch", check) if check == "gitlab" else (check, "")
    with pytest.raises(NoData, match=r"unexpected answer of \[platforms|does not exist there"):
        judged(world.config(), check, name).conclude()


@pytest.mark.parametrize("name", ["api", "github", "gitlab"])
def test_lists_that_do_not_end_are_one_error(world: World, name: str) -> None:
    world.break_by(endless=True)
    check = "render" if name == "api" else "branch"
    with pytest.raises(NoData, match="the list does not end: page 3 is one that was read before"):
        judged(world.config(), check, name)


def test_a_wait_that_the_api_asks_for_is_waited(world: World) -> None:
    """Twice; an API that never has enough of it is an error."""
    waits = iter([429, 429])

    def reply() -> Reply:
        status = next(waits, 200)
        headers = {"Retry-After": "0"} if status != 200 else {}
        return Reply('{"status": "ACTIVE_HEALTHY"}', status, headers=headers)

    path = "/projects/abcdefghijklmnopqrst"
    with SmallServer({path: reply}) as server:
        changes = (
            (f"{world.url}/supabase/v1", server.url),
            ('services = ["auth", "db", "rest"]', "advisors = []"),
        )
        judged(world.config(*changes), "supabase")
        assert [request[1] for request in server.requests].count(path) == 3
        server.routes[path] = Reply("{}", 429, headers={"Retry-After": "0"})
        with pytest.raises(CouldNotMeasure, match="too many requests"):
            judged(world.config(*changes), "supabase")


def test_ever_new_cursors_are_an_error(world: World) -> None:
    pages: list[int] = []

    def page() -> Reply:
        pages.append(1)
        deploy = {"id": f"dep-{len(pages)}", "status": "canceled"}
        return Reply(json.dumps([{"cursor": f"c{len(pages)}", "deploy": deploy}]))

    with SmallServer({}) as server:
        server.routes["/services/srv-orders"] = Reply(json.dumps(world.served.answers[SERVICE]))
        server.otherwise = page
        config = world.config((f"{world.url}/render/v1", server.url))
        with pytest.raises(NoData, match="page 51 is one too many"):
            judged(config, "render")
    assert len(pages) == 50


def test_a_transaction_arrives_and_is_shown(world: World) -> None:
    evidence = transaction(world.config())
    assert evidence.conclude() is Outcome.PASS
    assert any(one.name.startswith("seen at http") for one in evidence.measurements)


def test_a_transaction_that_is_refused(world: World) -> None:
    config = world.config(("/shop/probe", "/shop/other"))
    assert missed(transaction(config)) == {"entered"}


def test_keys_go_in_the_header_that_was_named(world: World) -> None:
    named = f'url = "{world.url}/data/probes"'
    key = 'token = "${REFERENCE_PLATFORMS_TOKEN}"\nheader = "apikey"'
    with SmallServer({}) as server:
        rows = f'url = "{server.url}/rows"\n{key}'
        config = world.config((named, rows), ("within_s = 1", "within_s = 0.1"))
        assert missed(transaction(config)) == {"arrived"}
        assert server.requests[0][2]["apikey"] == SECRET
        assert "authorization" not in server.requests[0][2]


TELLING = {
    "refused": Reply(json.dumps({"error": {"message": f"bad token {SECRET}"}}), 403),
    "scope": Reply(json.dumps({"error": "x", "error_description": f"bad token {SECRET}"}), 403),
    "page": Reply(f"<html>bad token {SECRET}", 200, "text/html"),
    "redirect": Reply("", 302, headers={"Location": f"/login?bad token {SECRET}"}),
}


@pytest.mark.parametrize("telling", TELLING)
def test_no_output_has_the_token(
    world: World, gate: Gate, monkeypatch: pytest.MonkeyPatch, telling: str
) -> None:
    """Not even when the API repeats it in what it says."""
    monkeypatch.setenv(TOKEN, SECRET)
    with SmallServer({}) as server:
        server.otherwise = TELLING[telling]
        world.config((world.url, server.url))
        run = gate(
            "from suites.platforms.test_platforms import *\n"
            "from suites.platforms.test_same_release import *\n",
            config=world.file.read_text(),
            conftest="from readiness.fixtures.platforms import *\n",
            head="",
        )
    assert len(run.outcomes) == 10
    assert set(run.outcomes.values()) == {"error", "fail"}
    assert SECRET not in run.text
    assert {name for name, text in run.files.items() if SECRET in text} == set()
    assert "bad token [redacted]" in run.files["reports/readiness.json"]


MISTAKES = [
    (('"vercel"\n', '"vercel"\nstreams = ["logs"]\n'), "key 'streams' is not of this kind of"),
    (('provider = "vercel"', 'provider = "vercell"'), "`provider` must be vercel, render"),
    (('provider = "vercel"\n', ""), "the key 'provider' is missing"),
    (('srv-orders"\n', 'srv-orders"\nserves = "x"\n'), r"\[services.x\] does not exist"),
    (("srv-orders", "srv-1/../x"), "service"),
    (('/shop/probe"\nquery = "id={probe}"', '/shop"'), "must contain {probe}"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(world: World, change: tuple[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        world.config(change)


def test_without_a_release_there_is_nothing_to_compare(world: World) -> None:
    with pytest.raises(ConfigError, match="the commit that is released is not set"):
        world.config((f'release = "{RELEASE}"\n', ""), ("v{release}", "{release}"))
