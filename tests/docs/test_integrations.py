"""The files for pipelines: by their schemas, by our own checks, and as bash runs their lines."""

import base64
import email
import email.policy
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from readiness import __version__
from readiness.areas.manifests.config import Manifests
from readiness.areas.scaling.probes import sides
from readiness.config.loading import load
from readiness.lib.kubernetes.kubectl import DECLARED_KINDS
from readiness.model.verdict import ExitCode
from readiness.report import files, html
from readiness.servers import programs
from readiness.servers.processes import free_port
from readiness.servers.programs import AbsentError
from tests.support.manifest_checks import HAS_PARSER, Judged
from tests.support.monitored_service import GATED, MonitoredService
from tests.support.processes import needed, skip
from tests.support.records import small_record
from tests.support.small_servers import Reply, SmallServer

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ROOT / "docs/integrations"
# As `pip` and `venv` would have done it, without the network.
PYTHON: Final = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in "-m venv "*) mkdir -p "$3/bin"; ln -s "$SHIMS"/* "$3/bin/" ;; esac
"""


def parsed(name: str) -> list[Any]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


ACTION: Final = parsed("action.yml")[0]
GITLAB: Final = parsed("docs/integrations/readiness.gitlab-ci.yml")[0]
AZURE: Final = parsed("docs/integrations/azure-pipelines.yml")[0]
ARGO: Final = parsed("docs/integrations/argo-rollouts.yaml")[0]
KUBERNETES: Final = parsed("docs/integrations/kubernetes.yaml")
JENKINS: Final = (HERE / "Jenkinsfile").read_text(encoding="utf-8")
ARGO_JOB: Final = ARGO["spec"]["metrics"][0]["provider"]["job"]["spec"]


def fenced(page: str, language: str) -> list[str]:
    text = (HERE / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


(MATRIX,) = fenced("../how-to/scale-out.md", "yaml")


def step(name: str) -> dict[str, Any]:
    """A step of the action."""
    (found,) = (one for one in ACTION["runs"]["steps"] if one["name"] == name)
    return dict(found)


class Runner:
    """A folder with a target, and what a machine of a CI system has; `run` is one of its steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        shims = folder / "shims"
        shims.mkdir()
        readiness = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m readiness "$@"\n'
        self.shims = {"readiness": readiness, "python3": PYTHON, "python": PYTHON, "pip": PYTHON}
        for name, text in self.shims.items():
            self.add(name, text)
        deploy = folder / "deploy.sh"
        deploy.write_text("#!/bin/sh\ntouch deployed\n")
        deploy.chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "READINESS_"))}
        self.environ = kept | {
            "PATH": f"{shims}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CALLS": str(self.calls),
            "SHIMS": str(shims),
        }

    def add(self, name: str, text: str) -> None:
        path = self.folder / "shims" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder, env=self.environ | more, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    @property
    def deployed(self) -> bool:
        return (self.folder / "deployed").exists()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with MonitoredService() as service:
        (tmp_path / "readiness.toml").write_text(GATED.format(url=service.url))
        yield Runner(tmp_path)


def down(runner: Runner) -> None:
    """Nothing listens where the file says: INCOMPLETE, which must not go on either."""
    (runner.folder / "readiness.toml").write_text(GATED.format(url="http://127.0.0.1:9"))


def scripts() -> Mapping[str, str]:
    """The lines of each system, in the order in which it runs them until one fails."""
    azure = [one for stage in AZURE["stages"] for job in stage["jobs"] for one in job["steps"]]
    gate = GITLAB[".readiness"]["before_script"] + GITLAB["readiness"]["script"]
    (snippet,) = fenced("gitlab.md", "yaml")
    deploy = yaml.safe_load(snippet)["deploy"]
    assert deploy["needs"] == ["readiness"]
    return {
        "GitLab": "\n".join(gate + deploy["script"]),
        "Jenkins": "\n".join(re.findall(r"^ *sh '([^']*)'", JENKINS, re.MULTILINE)),
        "Azure": "\n".join(one["script"] for one in azure if "script" in one),
    }


@pytest.mark.parametrize("code", [ExitCode.READY, ExitCode.INCOMPLETE])
@pytest.mark.parametrize("system", ["GitLab", "Jenkins", "Azure"])
def test_only_a_ready_target_is_deployed(system: str, code: ExitCode, runner: Runner) -> None:
    """With the exit codes of the gate, whose options `test_docs.py` knows; the action runs it."""
    runner.add("readiness", f'#!/bin/sh\necho "readiness $*" >> "$CALLS"\nexit {code.value}\n')
    wheel = f"readiness-{__version__}-py3-none-any.whl"
    done = runner.run(scripts()[system], READINESS_WHEEL=wheel)
    assert done.returncode == code, done.stderr
    assert runner.deployed == (code is ExitCode.READY)
    *installed, judged = runner.calls.read_text().splitlines()
    assert wheel in installed[-1]
    assert judged == "readiness run"


@pytest.mark.parametrize("healthy", [True, False])
def test_the_action_judges_and_ends_with_the_verdict(healthy: bool, runner: Runner) -> None:
    if not healthy:
        down(runner)
    output, summary = runner.folder / "output", runner.folder / "summary"
    # Inputs are text of others: none of it may be run.
    reports = "all reports; touch deployed"
    done = runner.run(
        step("Judge")["run"], CONFIG="readiness.toml", REPORTS=reports, ALLOW="", CONFIRM="",
        REPORT_ONLY="false", GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_ACTIONS="true",
    )  # fmt: skip
    code = ExitCode.READY if healthy else ExitCode.INCOMPLETE
    assert done.returncode == code, done.stderr
    assert output.read_text() == f"exit-code={code.value}\n"
    assert ("READY" if healthy else "INCOMPLETE") in summary.read_text()
    assert ("::error" in done.stdout) != healthy
    assert (runner.folder / reports / "readiness.pr.md").exists()
    assert not runner.deployed


def test_the_action_hands_on_effects_and_fingerprint(runner: Runner) -> None:
    runner.add("readiness", '#!/bin/sh\necho "$*"\n')
    done = runner.run(
        step("Judge")["run"], CONFIG="a.toml", REPORTS="r", ALLOW="load disrupt",
        CONFIRM="0123456789ab", REPORT_ONLY="true", GITHUB_OUTPUT="/dev/null",
    )  # fmt: skip
    expected = "run --config a.toml --reports r --allow load --allow disrupt --confirm 0123456789ab"
    assert done.stdout == f"{expected} --report-only\n"


def test_the_action_installs_itself_by_the_hashes_of_its_lock_file(runner: Runner) -> None:
    path = runner.folder / "path"
    done = runner.run(
        step("Install readiness")["run"], RUNNER_TEMP=str(runner.folder / "temp dir"),
        GITHUB_ACTION_PATH="/action path", GITHUB_PATH=str(path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, first, second = runner.calls.read_text().splitlines()
    assert first.endswith("install --require-hashes -r /action path/requirements.lock")
    assert second.endswith("install --no-deps --no-build-isolation /action path")
    assert path.read_text() == f"{runner.folder}/temp dir/bin\n".replace("dir/", "dir/readiness/")


@pytest.mark.parametrize("code", [0, 1])
def test_a_comment_that_cannot_be_written_changes_no_verdict(code: int, runner: Runner) -> None:
    (runner.folder / "reports").mkdir()
    (runner.folder / "reports/readiness.pr.md").write_text("READY")
    runner.add("gh", f'#!/bin/sh\necho "$*" >> "$CALLS"\nexit {code}\n')
    done = runner.run(
        step("Comment on the pull request")["run"], PR="https://github.com/acme/shop/pull/7",
        REPORTS="reports", GH_TOKEN="t",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pr comment https://github.com/acme/shop/pull/7" in runner.calls.read_text()
    assert ("::warning" in done.stdout) == (code == 1)


def test_no_input_is_written_into_a_script() -> None:
    scripts = [one["run"] for one in ACTION["runs"]["steps"] if "run" in one]
    assert scripts
    assert not any("${{" in script for script in scripts)
    for name in ("Keep the reports", "Comment on the pull request"):
        assert step(name)["if"].startswith("always()")


def test_many_targets_are_one_page_and_the_worst_stops_the_deployment(runner: Runner) -> None:
    jobs = yaml.safe_load(MATRIX)["jobs"]
    # GitHub starts a job if all that it needs succeeded; `if: always()` would be another rule.
    assert jobs["deploy"]["needs"] == ["judge", "summary"]
    assert "if" not in jobs["deploy"]
    (report,) = (
        one["run"]
        for one in jobs["summary"]["steps"]
        if one.get("run", "").startswith("readiness report")
    )
    targets = jobs["judge"]["strategy"]["matrix"]["target"]
    missing = runner.run(report)
    assert missing.returncode == ExitCode.NOTHING_JUDGED, missing.stdout
    for name in targets:
        judged = runner.run(f"readiness run --reports all/{name}")
        assert judged.returncode == ExitCode.READY, judged.stderr
    assert runner.run(report).returncode == ExitCode.READY
    down(runner)
    runner.run(f"readiness run --reports all/{targets[-1]}")
    assert runner.run(report).returncode == ExitCode.INCOMPLETE
    assert (runner.folder / "all/summary.html").exists()


def test_no_gate_lets_incomplete_pass() -> None:
    assert GITLAB["readiness"]["allow_failure"] is False
    weak = {name for name, job in GITLAB.items() if "exit_codes" in str(job)}
    assert weak == {"readiness:preview"}
    assert "deploy" not in str(GITLAB["readiness:preview"])
    assert ARGO_JOB["backoffLimit"] == ARGO["spec"]["metrics"][0]["failureLimit"] == 0
    assert ARGO_JOB["template"]["spec"]["restartPolicy"] == "Never"
    steps = AZURE["stages"][0]["jobs"][0]["steps"]
    assert not any("continueOnError" in one for one in steps)
    (shown,) = (one for one in steps if one.get("task") == "PublishTestResults@2")
    assert shown["inputs"]["failTaskOnFailedTests"] is True
    assert "|| true" not in JENKINS + str(GITLAB) + str(AZURE)


def _files(tmp_path: Path) -> Mapping[str, Path]:
    workflow, matrix = tmp_path / "release.yml", tmp_path / "matrix.yml"
    (text,) = fenced("github.md", "yaml")
    workflow.write_text(text)
    matrix.write_text(MATRIX)
    return {
        "action": ROOT / "action.yml",
        "workflow": workflow,
        "workflow of many targets": matrix,
        "gitlab-ci": HERE / "readiness.gitlab-ci.yml",
        "azure-pipelines": HERE / "azure-pipelines.yml",
    }


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("action", "github-actions"),
        ("workflow", "github-workflows"),
        ("workflow of many targets", "github-workflows"),
        ("gitlab-ci", "gitlab-ci"),
        ("azure-pipelines", "azure-pipelines"),
    ],
)
def test_a_file_is_valid_by_the_schema_of_its_system(
    name: str, schema: str, tmp_path: Path
) -> None:
    if find_spec("check_jsonschema") is None:
        skip(AbsentError("check-jsonschema is not installed", remedy="make docs-site"))
    checker = [sys.executable, "-m", "check_jsonschema", "--regex-variant", "nonunicode"]
    done = subprocess.run(
        [*checker, "--builtin-schema", f"vendor.{schema}", _files(tmp_path)[name]],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _objects(folder: Path, old: str = "", new: str = "") -> Manifests:
    """Those of kubernetes.yaml, and the Job that Argo Rollouts makes."""
    metadata = {"name": "readiness-of-a-rollout", "namespace": "shop"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": ARGO_JOB}
    text = yaml.safe_dump_all([*KUBERNETES, job])
    assert old in text
    (folder / "all.yaml").write_text(text.replace(old, new))
    return Manifests(kubernetes=[str(folder / "all.yaml")])


def test_our_own_checks_find_nothing_in_the_objects(tmp_path: Path) -> None:
    assert Judged(_objects(tmp_path)).misses == {}


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("allowPrivilegeEscalation: false", "privileged: true", "manifests.privileges"),
        ("- Ingress", "- Egress", "manifests.network"),
        ("activeDeadlineSeconds", "activeDeadlineSecond", "manifests.valid"),
    ],
)
def test_our_own_checks_would_find_it(old: str, new: str, check: str, tmp_path: Path) -> None:
    assert check in Judged(_objects(tmp_path, old, new)).misses


@pytest.mark.skipif(not HAS_PARSER, reason="the parser of Dockerfiles has no wheel here")
def test_our_own_checks_find_nothing_in_the_dockerfile() -> None:
    # A job ends: it has no health to ask for.
    found = Judged(Manifests(dockerfiles=[str(HERE / "Dockerfile")]))
    assert found.misses == {"manifests.dockerfile": {"health-check"}}


def test_the_role_may_read_what_is_read_and_no_more() -> None:
    (role,) = (one for one in KUBERNETES if one["kind"] == "Role")
    allowed = {
        f"{name}.{group}".rstrip(".")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }
    # `deployments.v1.apps` without its version; pods are read by the checks of configuration.
    asked = {re.sub(r"\.v\d+\b", "", kind) for kind in (*DECLARED_KINDS, *sides._NEEDED)}
    assert allowed == asked | {"pods"}
    assert all(rule["verbs"] == ["get", "list"] for rule in role["rules"])


def test_the_configuration_in_the_cluster_is_valid(tmp_path: Path) -> None:
    (found,) = (one for one in KUBERNETES if one["kind"] == "ConfigMap")
    path = tmp_path / "readiness.toml"
    path.write_text(found["data"]["readiness.toml"])
    config = load(path, {}).config
    assert config.manifests
    assert config.manifests.cluster
    contexts = yaml.safe_load(found["data"]["kubeconfig"])["contexts"]
    assert [one["name"] for one in contexts] == [config.manifests.cluster.context]


RULES_TEST: Final = """
rule_files: [readiness.rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: 'readiness_verdict{target="red", environment="e", verdict="READY"}', values: '0x60'}
  - {series: 'readiness_verdict{target="green", environment="e", verdict="READY"}', values: '1x60'}
  - {series: 'readiness_run_timestamp_seconds{target="red"}', values: '0x1600'}
  alert_rule_test:
  - eval_time: 10m
    alertname: NotReady
    exp_alerts:
    - exp_labels: {severity: warning, target: red, environment: e, verdict: READY}
      exp_annotations:
        summary: red (e) is not READY
        description: The newest run ended NOT READY or INCOMPLETE; see its report.
  - {eval_time: 25h, alertname: ReadinessRunIsOld, exp_alerts: []}
  - eval_time: 26h6m
    alertname: ReadinessRunIsOld
    exp_alerts:
    - exp_labels: {severity: warning, target: red}
      exp_annotations: {summary: red was last judged 1d 2h 6m 0s ago}
  - {eval_time: 3h, alertname: ReadinessNeverRan, exp_alerts: []}
- interval: 1m
  alert_rule_test:
  - eval_time: 3h
    alertname: ReadinessNeverRan
    exp_alerts:
    - exp_labels: {severity: warning}
      exp_annotations: {summary: No run of readiness has been reported}
"""


@pytest.mark.contract
def test_the_alerts_about_the_gate_fire(tmp_path: Path) -> None:
    promtool = needed(programs.PROMTOOL)
    (tmp_path / "readiness.rules.yml").write_text((HERE / "readiness.rules.yml").read_text())
    (tmp_path / "test.yml").write_text(RULES_TEST)
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


RECORD: Final = {
    "verdict": "NOT READY",
    "reasons": [f"check {n} failed: <none> & more." for n in range(7)],
    "target": {"name": "shop", "release": "2.4.1", "environment": "staging"},
}


def notified(runner: Runner, kind: str, **more: str) -> subprocess.CompletedProcess[str]:
    (runner.folder / "reports").mkdir()
    (runner.folder / "reports/readiness.json").write_text(json.dumps(RECORD))
    (runner.folder / "reports/readiness.html").write_text("<p>the page</p>")
    return runner.run(f"{shlex.quote(sys.executable)} {HERE / 'notify.py'} {kind}", **more)


def test_slack_and_teams_get_the_verdict_and_its_reasons(runner: Runner) -> None:
    with SmallServer({"/slack": Reply(b"ok"), "/teams": Reply(b"1")}) as server:
        for kind in ("slack", "teams"):
            done = notified(runner, kind, WEBHOOK_URL=f"{server.url}/{kind}")
            assert done.returncode == 0, done.stderr
            for file in (runner.folder / "reports").iterdir():
                file.unlink()
            (runner.folder / "reports").rmdir()
        slack, teams = map(json.loads, server.bodies)
    title = "NOT READY: shop 2.4.1 (staging)"
    assert slack["text"].startswith(f"*{title}*\n• check 0 failed: &lt;none&gt; &amp; more.")
    assert slack["text"].endswith("and 2 more reasons")
    body = teams["attachments"][0]["content"]["body"]
    assert [one["text"] for one in body][:2] == [title, "• check 0 failed: <none> & more."]


def test_a_mail_has_the_page_attached(runner: Runner) -> None:
    class Kept(Message):
        def handle_message(self, message: Any) -> None:
            received.append(message)

    received: list[Any] = []
    port = free_port()
    controller = Controller(Kept(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        done = notified(
            runner, "mail", MAIL_FROM="gate@example.com", MAIL_TO="team@example.com",
            SMTP_HOST="127.0.0.1", SMTP_PORT=str(port),
        )  # fmt: skip
    finally:
        controller.stop()
    assert done.returncode == 0, done.stderr
    (message,) = received
    assert message["Subject"] == "readiness: NOT READY: shop 2.4.1 (staging)"
    _, page = message.get_payload()
    assert page.get_filename() == "readiness.html"
    assert b"the page" in page.get_payload(decode=True)


def test_a_webhook_that_fails_does_not_show_its_address(runner: Runner) -> None:
    done = notified(runner, "slack", WEBHOOK_URL="http://127.0.0.1:9/secret-of-the-webhook")
    assert done.returncode == 1
    assert "notify: " in done.stderr
    assert "secret-of-the-webhook" not in done.stderr + done.stdout


def _section(name: str) -> str:
    """The lines under a heading of the page."""
    text = (HERE / "messages.md").read_text(encoding="utf-8")
    (script,) = re.findall(rf"^## {name}\n.*?^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(script)


class Tickets(SmallServer):
    """Answers as the published interfaces of both vendors say; `kept` has what was attached.

    Jira: POST /rest/api/3/issue/KEY/attachments, parts named `file`, the header against forgery.
    ServiceNow: POST /api/now/attachment/file, three parameters, the type of the file; 201.
    """

    USER, TOKEN = "bot@example.com", "token-of-the-bot"

    def __init__(self) -> None:
        super().__init__({})
        self.otherwise = self._answer
        self.kept: dict[str, tuple[str, bytes]] = {}

    def _answer(self) -> Reply:
        method, path, headers = self.requests[-1]
        parts = urlsplit(path)
        named = base64.b64encode(f"{self.USER}:{self.TOKEN}".encode()).decode()
        if headers.get("authorization") != f"Basic {named}":
            return Reply('{"errorMessages": ["not signed in"]}', 401)
        if (method, parts.path) == ("POST", "/rest/api/3/issue/OPS-7/attachments"):
            return self._jira(headers)
        if (method, parts.path) == ("POST", "/api/now/attachment/file"):
            return self._service_now(headers, dict(parse_qsl(parts.query)))
        return Reply("{}", 404)

    def _jira(self, headers: Mapping[str, str]) -> Reply:
        if headers.get("x-atlassian-token") != "no-check":
            return Reply("XSRF check failed", 403, "text/plain")
        head = f"Content-Type: {headers['content-type']}\n\n".encode()
        message = email.message_from_bytes(head + self.bodies[-1], policy=email.policy.HTTP)
        files = list(message.iter_parts())
        if {one.get_param("name", header="content-disposition") for one in files} != {"file"}:
            return Reply('{"errorMessages": ["no part named file"]}', 400)
        for one in files:
            self._keep(one.get_filename(), one.get_content_type(), one.get_payload(decode=True))
        return Reply(json.dumps([{"filename": name} for name in self.kept]))

    def _service_now(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Reply:
        if "content-type" not in headers or not query.keys() >= {"table_name", "file_name"}:
            return Reply('{"error": {"message": "a parameter is missing"}}', 400)
        if (query["table_name"], query.get("table_sys_id")) != ("change_request", "4f0a"):
            return Reply('{"error": {"message": "no such record"}}', 404)
        self._keep(query["file_name"], headers["content-type"], self.bodies[-1])
        return Reply(json.dumps({"result": {"file_name": query["file_name"]}}), 201)

    def _keep(self, name: str | None, kind: str, content: Any) -> None:
        assert name
        self.kept[name] = (kind, bytes(content))


@pytest.fixture
def page(runner: Runner) -> Runner:
    """A page, and the same as PDF, by the line of the documentation."""
    files.write(runner.folder / "reports/readiness.html", html.render(small_record()))
    chromium = shlex.quote(needed(programs.CHROMIUM))
    runner.add("chromium", f'#!/bin/sh\nexec {chromium} --user-data-dir="$PWD/profile" "$@"\n')
    done = runner.run(_section("The page as PDF"))
    assert done.returncode == 0, done.stderr
    return runner


def test_page_and_pdf_are_attached_to_tickets_of_both_vendors(page: Runner) -> None:
    contents = {
        name: (kind, (page.folder / "reports" / name).read_bytes())
        for name, kind in (("readiness.html", "text/html"), ("readiness.pdf", "application/pdf"))
    }
    assert contents["readiness.pdf"][1].startswith(b"%PDF-")
    for vendor, prefix, secret, place in (
        ("Jira", "JIRA", "TOKEN", {"ISSUE": "OPS-7"}),
        ("ServiceNow", "SNOW", "PASSWORD", {"CHANGE": "4f0a"}),
    ):
        with Tickets() as tickets:
            named = {f"{prefix}_USER": tickets.USER, f"{prefix}_URL": tickets.url}
            right = {**named, **place, f"{prefix}_{secret}": tickets.TOKEN}
            wrong = {**named, **place, f"{prefix}_{secret}": "another"}
            refused = page.run(_section(vendor), **wrong)
            assert (refused.returncode, tickets.kept) == (22 if vendor == "Jira" else 1, {})
            elsewhere = page.run(_section(vendor), **right | dict.fromkeys(place, "none"))
            assert elsewhere.returncode != 0
            assert "404" in elsewhere.stderr
            done = page.run(_section(vendor), **right)
            assert done.returncode == 0, done.stderr
            assert tickets.kept == contents
