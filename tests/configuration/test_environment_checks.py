"""The checks of environments on files and commands, healthy and not, without any value shown."""

import json
import os
import shlex
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.configuration.config import App
from readiness.areas.configuration.environment import Place, private
from readiness.areas.configuration.probes.declared import of_declared
from readiness.areas.configuration.probes.running import of_running
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.evidence import CheckFailed, Evidence
from tests.support.monitored_service import misses, suite

PLANTED = "planted-" + "k7Qz9wXb2LmN4vRt"
WEAK = "hunter2"


def application(**tables: Any) -> App:
    described = {"needs": ["APP_ENV"], "production": True, "environment": "production", **tables}
    found = Config.model_validate(
        {"target": {"name": "t"}, "configuration": {"applications": {"shop": described}}}
    ).named()
    assert found.configuration
    return found.configuration.applications["shop"]


def declared_of(one: App) -> Place | None:
    return of_declared(one)


def run(check: str, one: App) -> Evidence:
    """What a check finds; nothing that it says has the planted secret."""
    evidence = Evidence()
    module = "test_secrets" if "secret" in check else "test_environment"
    arguments: dict[str, Any] = {"declared_of": of_declared, "running_of": of_running}
    if check == "secret_files":
        del arguments["running_of"]
    try:
        getattr(suite(f"configuration.{module}"), f"test_{check}")(
            application=one, evidence=evidence, **arguments
        )
    finally:
        assert PLANTED not in repr(evidence)
        assert WEAK not in repr(evidence)
    return evidence


def keys(evidence: Evidence) -> set[str]:
    return {one.key for one in evidence.measurements if one.is_missed}


def compose(folder: Path, service: str, **files: str) -> dict[str, Any]:
    """The tables of a compose file with one service, and files beside it."""
    (folder / "compose.yaml").write_text(service)
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)
    return {"declared": {"compose": str(folder / "compose.yaml"), "service": "shop"}}


def test_compose_gives_a_service_its_environment(tmp_path: Path) -> None:
    tables = compose(
        tmp_path,
        """
services:
  shop:
    image: acme/shop:${TAG}
    env_file: [first.env, { path: second.env }, { path: none.env, required: false }]
    environment: [ "B=over", "C=${FROM_DOT_ENV}", "FROM_DOT_ENV", "NOT_SET", "D=" ]
""",
        **{
            "_dot_env": "FROM_DOT_ENV=dot\nTAG=1.5\n",
            "first.env": "A=1\nB=2\n",
            "second.env": "A=3\nE='${FROM_DOT_ENV}'\nF=${FROM_DOT_ENV}\n",
        },
    )
    place = of_declared(application(**tables))
    assert place
    assert {name: value.reveal() for name, value in place.values.items()} == {
        "A": "3", "B": "over", "C": "dot", "D": "", "E": "${FROM_DOT_ENV}", "F": "dot",
        "FROM_DOT_ENV": "dot",
    }  # fmt: skip
    assert place.image == "acme/shop:1.5"
    assert (place.blank, place.mistakes, place.is_container) == ((), (), True)


SERVICE = "services:\n  shop:\n    image: x\n    "
# The files, and what docker compose 2.40.3 makes of them.
PROJECTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a list over a mapping": (
        {
            "a.yaml": SERVICE + "environment: {A: '1', B: '2'}",
            "b.yaml": SERVICE + "environment: ['A=3', 'C=4']",
        },
        {"A": "3", "B": "2", "C": "4"},
    ),
    "a mapping over a list, and nothing over a value": (
        {
            "a.yaml": SERVICE + "environment: ['A=1', 'B=2']",
            "b.yaml": SERVICE + "environment: {A: 3, B: }",
        },
        {"A": "3"},
    ),
    "env files of both": (
        {
            "a.yaml": SERVICE + "env_file: one.env",
            "b.yaml": SERVICE + "env_file: [two.env]",
            "one.env": "A=1\nB=1\n",
            "two.env": "A=2\n",
        },
        {"A": "2", "B": "1"},
    ),
    "!reset": (
        {
            "a.yaml": SERVICE + "environment: {A: '1'}",
            "b.yaml": SERVICE + "environment: !reset {}",
        },
        {},
    ),
    "!override": (
        {
            "a.yaml": SERVICE + "environment: {A: '1'}",
            "b.yaml": SERVICE + "environment: !override {B: '2'}",
        },
        {"B": "2"},
    ),
    "anchors": (
        {"a.yaml": "x-e: &e {A: '1', B: '2'}\n" + SERVICE + "environment: {<<: *e, B: '3'}"},
        {"A": "1", "B": "3"},
    ),
    "kinds of scalar": (
        {
            "a.yaml": SERVICE
            + "environment: {A: true, B: 1, C: 1.5, D: 0x10, E: 1e3, F: 010, G: yes, H: 1_000}"
        },
        {"A": "true", "B": "1", "C": "1.5", "D": "16", "E": "1000", "F": "8", "G": "yes"}
        | {"H": "1000"},
    ),
    "extends, with an env file in another folder": (
        {
            "a.yaml": "services: {shop: {extends: {file: sub/base.yaml, service: base},"
            " environment: {A: '2'}}}",
            "sub/base.yaml": "services: {base: {env_file: base.env, environment: {A: 1, B: 1}}}",
            "sub/base.env": "C=3\n",
        },
        {"A": "2", "B": "1", "C": "3"},
    ),
    "include, with its own .env": (
        {
            "a.yaml": "include: [sub/inc.yaml]\nservices: {other: {image: y}}",
            "sub/inc.yaml": SERVICE + "env_file: inc.env\n    environment: {A: '${Q_OF_SUB}'}",
            "sub/.env": "Q_OF_SUB=sub\n",
            "sub/inc.env": "C=1\n",
        },
        {"A": "sub", "C": "1"},
    ),
    "the environment of compose before the file's own variables": (
        {
            "a.yaml": SERVICE + "env_file: one.env",
            ".env": "P_OF_DOT=dot\n",
            "one.env": "P_OF_DOT=own\nA=${P_OF_DOT}\n",
        },
        {"A": "dot", "P_OF_DOT": "own"},
    ),
    "a raw env file": (
        {
            "a.yaml": SERVICE + "env_file: [{path: one.env, format: raw}]",
            "one.env": "A='x'\nB=$P\n",
        },
        {"A": "'x'", "B": "$P"},
    ),
    "an env file whose name is a variable": (
        {
            "a.yaml": SERVICE + "env_file: '${STAGE_OF_DOT}.env'",
            ".env": "STAGE_OF_DOT=prod\n",
            "prod.env": "A=1\n",
        },
        {"A": "1"},
    ),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_read_as_compose_reads_it(tmp_path: Path, name: str) -> None:
    files, expected = PROJECTS[name]
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    paths = [str(tmp_path / file) for file in ("a.yaml", "b.yaml") if file in files]
    place = of_declared(application(declared={"compose": paths, "service": "shop"}))
    assert place
    assert {key: value.reveal() for key, value in place.values.items()} == expected
    assert place.mistakes == ()


def test_blank_variables_of_the_service_alone_are_told(tmp_path: Path) -> None:
    tables = compose(
        tmp_path,
        """
services:
  shop: { image: "shop:${TAG}", environment: { A: "${B:-x}", C: "${D:+y}", E: "$F" } }
  debug: { image: "x", ports: ["${DEBUG_PORT}:80"] }
""",
    )
    found = misses(run("environment", application(**tables, needs=["A"])))
    assert "Not set, and so left blank, in service shop" in found
    assert "TAG, F" in found


def test_variables_that_the_deployment_gives_are_not_blank(tmp_path: Path) -> None:
    tables = compose(
        tmp_path,
        'services: { shop: { image: "shop:${TAG:?}", environment: { APP_ENV: "$STAGE" } } }',
    )
    with pytest.raises(NoData, match="the variable TAG is required, and not set"):
        of_declared(application(**tables))
    tables["declared"]["given"] = ["TAG", "STAGE"]
    place = of_declared(application(**tables))
    assert place
    assert (place.blank, place.image, set(place.unread)) == ((), "", {"APP_ENV"})
    assert keys(run("environment", application(**tables))) == set()


def test_an_env_file_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    tables = compose(tmp_path, "services: { shop: { env_file: gone.env } }")
    evidence = run("environment", application(**tables))
    assert keys(evidence) == {"syntax", "set"}
    assert "env_file gone.env does not exist" in misses(evidence)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: { shopp: {} }", "there is no service 'shop'. Did you mean 'shopp'?"),
        ("services: {shop: {environment: 7}}", "not a valid compose file: environment"),
        ("services: [a]", "not a valid compose file"),
        ("a: [b", "line"),
        ("services: {shop: {extends: {service: none}}}", "extends none, which does not exist"),
        ("", "not a compose file"),
    ],
)
def test_a_compose_file_that_is_not_valid_is_one_error(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(NoData) as caught:
        of_declared(application(**compose(tmp_path, text)))
    assert words in str(caught.value)


def test_missing_and_empty_are_two_things(tmp_path: Path) -> None:
    path = tmp_path / "shop.env"
    path.write_text("A=\nB='  '\nC=1\nD_FILE=/run/secrets/d\n")
    one = application(
        needs=["A", "B", "C", "D", "E"], declared={"env_file": str(path)}, production=False
    )
    evidence = run("environment", one)
    assert keys(evidence) == {"set", "not-empty"}
    assert "Not set in" in misses(evidence)
    assert misses(evidence).count("A, B") == 1


def test_the_example_names_what_is_needed_and_says_what_is_optional(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("A=changeme\nB=\n#C=\n")
    (tmp_path / "shop.env").write_text("A=1\n")
    tables = {
        "needs": [],
        "example": str(tmp_path / ".env.example"),
        "declared": {"env_file": str(tmp_path / "shop.env")},
    }
    assert keys(run("environment", application(**tables))) == {"set"}
    assert keys(run("environment", application(**tables, optional=["B"]))) == set()
    (tmp_path / ".env.example").write_text("# nothing\n")
    with pytest.raises(NoData, match="the file names no variable"):
        run("environment", application(**tables))


MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: shop, namespace: prod }}
spec:
  template:
    spec:
      containers:
        - name: shop
          image: acme/shop:1.5
          envFrom:
            - {{ configMapRef: {{ name: shop }} }}
            - {{ prefix: S_, secretRef: {{ name: s }} }}
          env:
            - {{ name: APP_ENV, value: production }}
            - {{ name: TOKEN, valueFrom: {{ secretKeyRef: {{ name: s, key: token }} }} }}
            - {{ name: URL, value: "https://a:$(TOKEN)@b $$(X) $(NOT)" }}
            - {{ name: IP, valueFrom: {{ fieldRef: {{ fieldPath: status.podIP }} }} }}
            {more}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: shop, namespace: prod }}
data: {{ APP_ENV: x, A: "1" }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: s, namespace: prod }}
data: {{ token: azdRejl3WGIyTG1ONHZSdA== }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: s, namespace: staging }}
stringData: {{ token: other }}
"""


def manifests(folder: Path, more: str = "", *others: str, **tables: Any) -> App:
    (folder / "all.yaml").write_text("\n---\n".join([MANIFESTS.format(more=more), *others]))
    declared = {"manifests": [str(folder / "*.yaml")], "workload": "deployment/shop"}
    return application(declared=declared, **tables)


def test_kubernetes_gives_a_container_its_environment(tmp_path: Path) -> None:
    place = of_declared(manifests(tmp_path))
    assert place
    assert {name: value.reveal() for name, value in place.values.items()} == {
        "APP_ENV": "production", "A": "1", "S_token": "k7Qz9wXb2LmN4vRt",
        "TOKEN": "k7Qz9wXb2LmN4vRt", "URL": "https://a:k7Qz9wXb2LmN4vRt@b $(X) $(NOT)",
    }  # fmt: skip
    assert place.unread == {"IP"}
    assert (place.unresolved, place.unknown) == ((), ())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("- { name: X, valueFrom: { secretKeyRef: { name: s, key: z } } }", "s has no key z (X)"),
        ("- { name: X, valueFrom: { configMapKeyRef: { name: shop, key: B } } }", "no key B (X)"),
    ],
)
def test_a_key_that_does_not_exist_does_not_resolve(tmp_path: Path, more: str, words: str) -> None:
    evidence = run("secrets", manifests(tmp_path, more))
    assert keys(evidence) == {"resolves"}
    assert words in misses(evidence)


def test_an_empty_key_does_not_resolve_and_is_empty(tmp_path: Path) -> None:
    more = "- { name: X, valueFrom: { secretKeyRef: { name: e, key: k } } }"
    empty = "{kind: Secret, apiVersion: v1, metadata: {name: e}, stringData: {k: ''}}"
    one = manifests(tmp_path, more, empty, needs=["X"])
    assert keys(run("secrets", one)) == {"resolves"}
    assert keys(run("environment", one)) == {"not-empty"}


def test_what_is_not_in_the_files_is_an_error_unless_something_provides_it(tmp_path: Path) -> None:
    more = "- { name: X, valueFrom: { secretKeyRef: { name: vault, key: k } } }"
    evidence = run("secrets", manifests(tmp_path, more, needs=["X"]))
    with pytest.raises(NoData, match="1 references cannot be followed from here: Secret vault"):
        evidence.conclude()
    provided = {"provided": ["vault"]}
    one = manifests(tmp_path, more, needs=["X"], secrets=provided)
    run("secrets", one).conclude()
    assert keys(run("environment", one)) == set()


OPERATORS = """
{kind: SealedSecret, metadata: {name: m}, spec: {encryptedData: {k: AgB}}}
{kind: ExternalSecret, metadata: {name: m}, spec: {dataFrom: [{extract: {key: x}}]}}
{kind: ExternalSecret, spec: {target: {name: m}, data: [{secretKey: k}]}}
{kind: SecretProviderClass, spec: {secretObjects: [{secretName: m, data: [{key: k}]}]}}
{kind: OnePasswordItem, metadata: {name: m}, spec: {itemPath: x}}
{kind: VaultStaticSecret, metadata: {name: x}, spec: {destination: {name: m}}}
"""


@pytest.mark.parametrize("other", OPERATORS.strip().splitlines())
def test_operators_make_secrets(tmp_path: Path, other: str) -> None:
    more = "- { name: X, valueFrom: { secretKeyRef: { name: m, key: k } } }"
    one = manifests(tmp_path, more, other, needs=["X"])
    assert misses(run("secrets", one)) == ""
    run("secrets", one).conclude()
    assert keys(run("environment", one)) == set()


def test_optional_references_may_be_missing(tmp_path: Path) -> None:
    more = "- { name: X, valueFrom: { secretKeyRef: { name: z, key: k, optional: true } } }"
    run("secrets", manifests(tmp_path, more)).conclude()
    assert keys(run("environment", manifests(tmp_path, more, needs=["X"]))) == {"set"}


def test_an_unreadable_neighbor_does_not_blind(tmp_path: Path) -> None:
    (tmp_path / "chart.yaml").write_text("a: {{ .Values.x }}\nb: [")
    (tmp_path / "kustomization.yaml").write_text("kind: Kustomization\nresources: [a]\n")
    (tmp_path / "broken.yaml").write_text("kind: ConfigMap\nmetadata: {name: z}\ndata: [1]\n")
    assert misses(run("environment", manifests(tmp_path))) == ""


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"workload": "deployment/shopp"}, "there is deployment/shop, not deployment/shopp"),
        ({"workload": "cronjob/shop"}, "there is no cronjob, not cronjob/shop"),
        ({"container": "web"}, "shop has no container 'web', only shop"),
        ({"manifests": ["/no/such/*.yaml"]}, "the pattern matches no file"),
    ],
)
def test_a_workload_that_is_not_there_is_one_error(
    tmp_path: Path, tables: Mapping[str, Any], words: str
) -> None:
    one = manifests(tmp_path)
    assert one.declared
    with pytest.raises(NoData) as caught:
        of_declared(one.model_copy(update={"declared": one.declared.model_copy(update=tables)}))
    assert words in str(caught.value)


def test_keys_that_are_not_known_leave_the_place_open(tmp_path: Path) -> None:
    place = of_declared(manifests(tmp_path))
    assert place
    assert place.whole
    made = "{kind: ExternalSecret, metadata: {name: s, namespace: prod}, spec: {data: []}}"
    place = of_declared(manifests(tmp_path, "", made))
    assert place
    assert not place.whole


def test_the_job_of_a_cronjob_is_found(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "kind: CronJob\nmetadata: {name: report}\nspec: {jobTemplate: {spec: {template: {spec:"
        " {containers: [{name: c, env: [{name: APP_ENV, value: production}]}]}}}}}\n"
    )
    declared = {"manifests": [str(tmp_path / "job.yaml")], "workload": "cronjob/report"}
    assert misses(run("environment", application(declared=declared))) == ""


def inspected(folder: Path, *env: str, **changes: Any) -> dict[str, Any]:
    found = {
        "Id": "4711", "Name": "/shop-1", "State": {"Running": True, "Status": "running"},
        "HostConfig": {"NetworkMode": "bridge"}, "Config": {"Env": env, "Image": "acme/shop:1.5"},
    } | changes  # fmt: skip
    (folder / "inspect.json").write_text(json.dumps([found]))
    return {"running": {"inspect": ["cat", str(folder / "inspect.json")]}}


def test_where_it_runs_counts_and_not_what_is_declared(tmp_path: Path) -> None:
    tables = compose(tmp_path, "services: { shop: { environment: { APP_ENV: production } } }")
    one = application(**tables, **inspected(tmp_path, "A=1"))
    assert keys(run("environment", one)) == {"set"}
    assert keys(run("drift", one)) == {"variables"}
    one = application(**tables, **inspected(tmp_path, "APP_ENV=production", "PATH=/bin"))
    for check in ("environment", "drift"):
        run(check, one).conclude()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["false"], "the command to inspect the container ended with 1"),
        (["no-such-program"], "cannot be started"),
        (["echo", "[]"], "it printed no container"),
        (["echo", PLANTED], "its output is not that of `docker inspect`"),
        (["sh", "-c", f"echo {PLANTED}; exit 3"], "ended with 3$"),
        (["sh", "-c", "echo []; echo No such object >&2; exit 1"], "ended with 1: No such object"),
        (["echo", f'[{{"Id": "1", "Config": {{"Env": ["{PLANTED}"]}}}}]'], "not KEY=value each"),
        (["echo", '[{"Id": "1", "Config": {}}]'], "the environment is empty"),
    ],
)
def test_a_container_that_cannot_be_seen_is_one_error(command: list[str], words: str) -> None:
    with pytest.raises(CouldNotMeasure) as caught:
        of_running(application(running={"inspect": command}))
    assert PLANTED not in caught.value.message
    assert words.removesuffix("$") in caught.value.message


def test_a_container_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    stopped = {"State": {"Running": False, "Status": "exited"}}
    one = application(**inspected(tmp_path, "APP_ENV=x", **stopped))
    with pytest.raises(NoData, match="the container shop-1 does not run: exited"):
        of_running(one)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process with an environment of its own."""
    environ = {"APP_ENV": "production", "API_TOKEN": PLANTED, "TEXT": "two\nlines=1"}
    waits = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", waits],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert started.stdout
        started.stdout.readline()
        yield started
        started.kill()


def test_the_environment_of_a_real_process(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "shop.env"
    file.write_text(f"APP_ENV=production\nAPI_TOKEN={PLANTED}\n")
    tables = {"declared": {"env_file": str(file)}, "running": {"pid": ["echo", str(process.pid)]}}
    one = application(**tables)
    (place,) = of_running(one)
    assert place.values["TEXT"].reveal() == "two\nlines=1"
    for check in ("environment", "values", "secrets", "drift"):
        run(check, one).conclude()
    file.write_text(f"APP_ENV=production\nAPI_TOKEN={PLANTED}x\nNEW=1\n")
    found = misses(run("drift", one))
    assert "API_TOKEN has another value, NEW is missing" in found
    run("drift", application(**tables, ignore_drift=["NEW", "API_TOKEN"])).conclude()


@pytest.mark.parametrize(
    ("printed", "error", "words"),
    [
        ("0", NoData, "no process ids"),
        ("", NoData, "it printed nothing: no process runs"),
        ("shop", NoData, "no process ids"),
        ("4194305", Unreachable, "the process does not exist"),
    ],
)
def test_no_process_is_one_error(printed: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        of_running(application(running={"pid": ["echo", printed]}))


def test_a_process_of_another_account_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(NotPermitted, match="may not be read") as caught:
        of_running(application(running={"pid": ["echo", "1"]}))
    assert "sudo cat /proc/1/environ" in caught.value.remedy


def test_a_program_that_wrote_over_its_environment_is_an_error() -> None:
    for printed in ("gunicorn: master [shop]", "A=1\\0garbage\\0", "=x\\0A=1"):
        with pytest.raises(NoData, match="may have written over it"):
            of_running(application(running={"environ": ["printf", printed]}))


def test_env_prints_values_of_several_lines() -> None:
    printed = ["printf", "APP_ENV=production\\nKEY=one\\ntwo\\nB=2\\n"]
    (place,) = of_running(application(running={"environ": printed}))
    assert place.values["KEY"].reveal() == "one\ntwo"


def test_images_are_compared_by_their_whole_names(tmp_path: Path) -> None:
    tables = compose(
        tmp_path, "services: { shop: { image: postgres, environment: { APP_ENV: x } } }"
    )

    def drift(image: str) -> set[str]:
        changes = {"Config": {"Env": ["APP_ENV=x"], "Image": image}}
        return keys(run("drift", application(**tables, **inspected(tmp_path, **changes))))

    assert drift("docker.io/library/postgres:latest") == set()
    assert drift("postgres:17") == {"image"}


SECRET = "9f2d1c70d1f4f2f7b1a3c5d7e9f1a3b5"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (f"API_TOKEN={SECRET}\n", set()),
        (f"API_TOKEN={WEAK}\n", {"strong"}),
        ("API_TOKEN=changeme\n", set()),  # a placeholder, which another check judges
        (f"DATABASE_URL=postgresql://shop:{WEAK}@db/shop\n", {"strong"}),
        (f"DATABASE_URL=postgresql://shop:{SECRET}@db/shop\n", set()),
        ("DB_PASSWORD=shop-Kd8w2\n", {"strong"}),
        ("DB_PASSWORD=Kd8w2-Zq7vPx\n", set()),
        ("API_TOKEN=Kd8w2-Zq7vPx\n", {"strong"}),
        (f"API_TOKEN={SECRET}\nALLOW_EMPTY_PASSWORD=yes\n", {"closed"}),
    ],
)
def test_secrets_are_judged_by_what_they_are(
    tmp_path: Path, lines: str, expected: set[str]
) -> None:
    (tmp_path / "e").write_text(lines)
    one = application(declared={"env_file": str(tmp_path / "e")})
    assert keys(run("secrets", one)) == expected


def test_an_application_without_a_secret_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("APP_ENV=production\n")
    with pytest.raises(NoData, match="no secret was found, so that none was judged"):
        run("secrets", application(declared={"env_file": str(tmp_path / "e")}))


def test_public_and_further_secrets_are_named(tmp_path: Path) -> None:
    (tmp_path / "e").write_text(f"SITE_TOKEN={WEAK}\nPIN={WEAK}\n")
    tables = {"declared": {"env_file": str(tmp_path / "e")}}
    secrets = {"public": ["SITE_TOKEN"], "names": ["PIN"]}
    evidence = run("secrets", application(**tables, secrets=secrets))
    assert "PIN: a word that is tried first" in misses(evidence)
    assert "SITE_TOKEN" not in misses(evidence)


def test_a_secret_of_another_environment_is_found(tmp_path: Path) -> None:
    (tmp_path / "e").write_text(f"API_TOKEN={PLANTED}\nVENDOR_TOKEN={SECRET}\n")
    (tmp_path / "staging").write_text(f"OLD_TOKEN='{PLANTED}'\nVENDOR_TOKEN={SECRET}\n")
    tables = {"declared": {"env_file": str(tmp_path / "e")}}
    secrets = {"others": [str(tmp_path / "staging")], "shared": ["VENDOR_TOKEN"]}
    evidence = run("secrets", application(**tables, secrets=secrets))
    assert keys(evidence) == {"own"}
    assert "API_TOKEN (also in" in misses(evidence)
    (tmp_path / "staging").write_text("A=1\n")
    with pytest.raises(NoData, match="no secret to compare with"):
        run("secrets", application(**tables, secrets=secrets)).conclude()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["true"], "the backend gives an empty value for API_TOKEN"),
        (["echo"], "the backend gives an empty value for API_TOKEN"),
        (["sh", "-c", "echo permission denied >&2; exit 2"], "ended with 2: permission denied"),
        (["sh", "-c", f"echo {PLANTED}; exit 2"], "the command to read the secret API_TOKEN ended"),
        (["no-such-vault"], "cannot be started"),
    ],
)
def test_c9_a_backend_that_gives_nothing_is_an_error(
    tmp_path: Path, command: list[str], words: str
) -> None:
    (tmp_path / "e").write_text(f"B_TOKEN={SECRET}\n")
    tables = {"declared": {"env_file": str(tmp_path / "e")}}
    one = application(**tables, secrets={"backend": {"API_TOKEN": command}})
    with pytest.raises(CouldNotMeasure) as caught:
        run("secrets", one).conclude()
    assert words in caught.value.message
    assert PLANTED not in caught.value.message


def test_a_secret_of_the_backend_is_judged(tmp_path: Path) -> None:
    (tmp_path / "e").write_text(f"B_TOKEN={SECRET}\n")
    tables = {"declared": {"env_file": str(tmp_path / "e")}}
    one = application(**tables, secrets={"backend": {"CRON_SECRET": ["echo", WEAK]}})
    evidence = run("secrets", one)
    assert "CRON_SECRET (from its backend): a word that is tried first" in misses(evidence)


COMPOSE_SECRETS = """
services:
  shop:
    environment: {{ APP_ENV: x, DB_PASSWORD_FILE: /run/secrets/{mounted} }}
    secrets: [db, {{ source: key, target: tls }}]
secrets: {{ db: {{ file: db.txt }}, key: {{ environment: TLS_KEY }}, ext: {{ external: true }} }}
"""


@pytest.mark.parametrize(
    ("mounted", "files", "words"),
    [
        ("db", {"db.txt": SECRET, "_dot_env": f"TLS_KEY={SECRET}"}, ""),
        ("db", {"db.txt": "", "_dot_env": f"TLS_KEY={SECRET}"}, "the file db.txt is empty"),
        ("db", {"_dot_env": f"TLS_KEY={SECRET}"}, "secret db: the file db.txt does not exist"),
        ("db", {"db.txt": SECRET}, "secret key: the variable TLS_KEY is not set"),
        ("db", {"db.txt": SECRET, "_dot_env": "TLS_KEY="}, "the variable TLS_KEY is empty"),
        ("other", {"db.txt": SECRET, "_dot_env": f"TLS_KEY={SECRET}"}, "DB_PASSWORD_FILE names"),
        ("tls", {"db.txt": SECRET, "_dot_env": f"TLS_KEY={SECRET}"}, ""),
    ],
)
def test_secrets_of_compose_resolve(
    tmp_path: Path, mounted: str, files: dict[str, str], words: str
) -> None:
    one = application(**compose(tmp_path, COMPOSE_SECRETS.format(mounted=mounted), **files))
    evidence = run("secrets", one)
    assert keys(evidence) == ({"resolves"} if words else set())
    assert words in misses(evidence)


def test_a_secret_that_is_not_defined_and_an_external_one(tmp_path: Path) -> None:
    text = "services: { shop: { secrets: [a, b] } }\nsecrets: { b: { external: true } }\n"
    tables = compose(tmp_path, text)
    evidence = run("secrets", application(**tables))
    assert "secret a is not defined in the file" in misses(evidence)
    assert "secret b is external" in str(evidence.lost[0])


@pytest.fixture
def kept_in(tmp_path: Path) -> Callable[..., App]:
    """An application with an env file, in a folder that every account may enter."""
    folder = tmp_path / "app"
    folder.mkdir()
    path = folder / ".env"

    def made(text: str = f"API_TOKEN={SECRET}\n", mode: int = 0o600) -> App:
        path.write_text(text)
        path.chmod(mode)
        return application(declared={"env_file": str(path)})

    return made


@pytest.fixture
def reachable(tmp_path: Path) -> Iterator[None]:
    """Let every account pass to the folder of the test."""
    closed = [
        (folder, stat.S_IMODE(folder.stat().st_mode))
        for folder in (tmp_path, *tmp_path.parents)
        if not folder.stat().st_mode & stat.S_IXOTH
    ]
    for folder, mode in closed:
        folder.chmod(mode | stat.S_IXOTH)
    yield
    for folder, mode in closed:
        folder.chmod(mode)


@pytest.mark.usefixtures("reachable")
def test_a_file_that_everybody_may_read_is_found(
    kept_in: Callable[..., App],
) -> None:
    assert keys(run("secret_files", kept_in())) == set()
    assert keys(run("secret_files", kept_in(mode=0o640))) == set()
    assert keys(run("secret_files", kept_in(mode=0o644))) == {"private"}
    # Nothing in it is a secret.
    for text in ("APP_ENV=x\n", "API_TOKEN=ENC[AES256_GCM,data:x]\n", "API_TOKEN=op://a/b\n"):
        assert keys(run("secret_files", kept_in(text, 0o644))) == set()


def test_a_folder_that_others_may_not_enter_protects_its_files(
    kept_in: Callable[..., App], tmp_path: Path
) -> None:
    one = kept_in(mode=0o644)
    (tmp_path / "app").chmod(0o700)
    assert keys(run("secret_files", one)) == set()


def git(folder: Path, *words: str) -> None:
    options = ["-c", "user.name=A", "-c", "user.email=a@b", "-C", str(folder)]
    subprocess.run(["git", *options, *words], check=True, capture_output=True, timeout=30)


def test_a_file_in_git_is_found_and_one_that_was_in_git(
    kept_in: Callable[..., App], tmp_path: Path
) -> None:
    one = kept_in()
    git(tmp_path, "init", "--quiet")
    assert keys(run("secret_files", one)) == set()
    git(tmp_path, "add", "app/.env")
    assert "is tracked by git" in misses(run("secret_files", one))
    git(tmp_path, "commit", "--quiet", "-m", "x")
    git(tmp_path, "rm", "--quiet", "--cached", "app/.env")
    git(tmp_path, "commit", "--quiet", "-m", "y")
    found = misses(run("secret_files", one))
    assert "is in the history of git, commit" in found


def test_a_repository_that_git_refuses_is_an_error(
    kept_in: Callable[..., App], tmp_path: Path
) -> None:
    one = kept_in()
    (tmp_path / ".git").mkdir()
    with pytest.raises(CouldNotMeasure, match="git ls-files ended with 128"):
        run("secret_files", one).conclude()


def test_values_are_judged_unless_they_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "e").write_text(
        "APP_ENV=development\nMAIL=smtp.example.com\nPUBLIC_URL=http://localhost\n"
    )
    tables = {"declared": {"env_file": str(tmp_path / "e")}}
    found = run("values", application(**tables))
    assert keys(found) == {"placeholder", "debug", "local-address"}
    assert "MAIL (an address that is reserved for examples)" in misses(found)
    accepted = ["APP_ENV", "MAIL", "PUBLIC_URL"]
    run("values", application(**tables, accepted=accepted)).conclude()


def test_what_a_check_raises_names_no_value(tmp_path: Path) -> None:
    (tmp_path / "e").write_text(f"API_TOKEN={WEAK}\nAPP_ENV={PLANTED}\n")
    one = application(declared={"env_file": str(tmp_path / "e")}, needs=["X"])
    for check in ("environment", "secrets"):
        with pytest.raises(CheckFailed) as caught:
            run(check, one).conclude()
        assert WEAK not in str(caught.value)
        assert PLANTED not in str(caught.value)
    assert PLANTED not in repr(of_declared(one))


def test_no_frame_of_an_error_holds_what_was_read() -> None:
    with pytest.raises(NoData) as caught:
        of_running(application(running={"inspect": ["echo", PLANTED]}))
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = "".join(told.format())
    # The configuration and this test name the command; nothing names what it printed.
    assert "_of_containers" not in shown


def test_an_unexpected_error_tells_its_place_and_no_value() -> None:
    @private
    def read(text: str) -> int:
        return int(text)

    with pytest.raises(CouldNotMeasure) as caught:
        read(PLANTED)
    assert PLANTED not in str(caught.value)
    assert "an unexpected ValueError at test_environment_checks.py:" in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_the_environment_of_the_gate_is_that_of_compose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SHOP_STAGE", "production")
    tables = compose(tmp_path, 'services: { shop: { environment: { APP_ENV: "${SHOP_STAGE}" } } }')
    assert misses(run("environment", application(**tables))) == ""


def test_commands_are_shown_as_they_are_run() -> None:
    command = ["sh", "-c", "exit 4"]
    with pytest.raises(CouldNotMeasure) as caught:
        of_running(application(running={"environ": command}))
    assert shlex.join(command) in caught.value.remedy
