"""readiness.toml is found, read, loaded into a validated configuration, and shown."""

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model

from readiness.config.base import Model
from readiness.config.base.tables import DatabaseMarker, HttpMarker
from readiness.config.finding import find, read
from readiness.config.loading import load
from readiness.config.template import template
from readiness.config.values import settings as settings_of
from readiness.config.values import show
from readiness.model.check import Effect
from readiness.model.errors import ConfigError
from readiness.model.secrets import redact
from tests.config.test_config_template import EVERYTHING

OURS = '[tool.readiness.target]\nname = "x"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repo" / "a" / "b").mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    return tmp_path / "repo"


def test_the_option_overrides_the_environment_and_that_the_folders(
    repository: Path,
) -> None:
    (repository / "readiness.toml").touch()
    environ = {"READINESS_CONFIG": "other.toml"}
    assert find(repository, Path("named.toml"), environ) == Path("named.toml")
    assert find(repository, None, environ) == repository / "other.toml"
    assert find(repository, None, {"READINESS_CONFIG": ""}) == repository / "readiness.toml"


def test_the_nearest_folder_upwards_is_used(repository: Path) -> None:
    (repository / "readiness.toml").touch()
    assert find(repository / "a" / "b", None, {}) == repository / "readiness.toml"
    (repository / "a" / "pyproject.toml").write_text(OURS)
    assert find(repository / "a" / "b", None, {}) == repository / "a" / "pyproject.toml"
    (repository / "a" / "readiness.toml").touch()
    assert find(repository / "a" / "b", None, {}) == repository / "a" / "readiness.toml"


def test_the_search_ends_at_the_root_of_the_repository(repository: Path) -> None:
    (repository.parent / "readiness.toml").touch()
    assert find(repository / "a", None, {}) is None


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        (OURS, True),
        ("[tool]\nreadiness = {}\n", True),
        ("broken\n[tool.readiness]\n", True),
        ("broken\n[[ tool . readiness.waiver ]]\n", True),
        ("[tool.ruff]\n", False),
        ("[tool.readiness-not]\n", False),
        ("broken\n", False),
        ("tool = 1\n", False),
    ],
)
def test_a_pyproject_counts_only_with_our_table(repository: Path, text: str, ours: bool) -> None:
    (repository / "pyproject.toml").write_text(text)
    assert find(repository, None, {}) == (repository / "pyproject.toml" if ours else None)


def test_a_dangling_link_is_found_and_refused(repository: Path) -> None:
    (repository / "readiness.toml").touch()
    (repository / "a" / "readiness.toml").symlink_to("gone.toml")
    found = find(repository / "a", None, {})
    assert found == repository / "a" / "readiness.toml"
    with pytest.raises(ConfigError, match="does not exist"):
        read(found)


def test_what_is_not_a_readable_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        read(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(Path("nul\0"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a regular file"):
        read(tmp_path / "pipe")
    (tmp_path / "large.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read(tmp_path / "large.toml")


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "readiness.toml"
    path.touch()

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The permission bits would not stop the administrator, as whom tests may run.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="permission denied"):
        read(path)


TODAY = date(2026, 11, 1)
CANARY = "correct-horse-battery"
ENVIRONMENT = dict.fromkeys(re.findall(r"\$\{(\w+)\}", template()), CANARY)
MINIMAL = '[target]\nname = "shop"\n'


def written(folder: Path, text: str, name: str = "readiness.toml") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def message(path: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, today=TODAY)
    return str(caught.value)


def test_values_names_hash_and_origins(tmp_path: Path) -> None:
    path = written(tmp_path, EVERYTHING)
    loaded = load(path, ENVIRONMENT, today=TODAY)
    config = loaded.config
    assert config.services["api"].name == "api"
    assert config.backup["orders"].name == "orders"
    assert config.target.allow == [Effect.OBSERVE, Effect.WRITE]
    assert isinstance(config.target.marker, HttpMarker)
    token = config.services["api"].bearer
    assert token is not None
    assert token.reveal() == CANARY
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = 'url = "https://api.staging.example.com"'
    line = 1 + next(n for n, text in enumerate(EVERYTHING.splitlines()) if text.startswith(wanted))
    assert loaded.origins["services.api.url"] == f"{path}:{line}"
    assert loaded.origins["services.api.bearer"] == "env API_TOKEN"
    assert loaded.origins["target.release"] == "env RELEASE"
    assert loaded.origins["performance.queries[0].name"].startswith(f"{path}:")


def test_a_missing_key_has_its_default(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, MINIMAL), {})
    assert loaded.origins["gate.check_timeout_s"] == "default"
    assert loaded.config.gate.check_timeout_s == 1200


def test_the_keys_of_a_marker_decide_its_kind(tmp_path: Path) -> None:
    text = f'{MINIMAL}marker.database = "d"\n[databases.d]\ndsn = "postgresql://m@h/d"\n'
    loaded = load(written(tmp_path, text), {})
    assert isinstance(loaded.config.target.marker, DatabaseMarker)


def test_variables_are_converted_to_the_type_of_the_key(tmp_path: Path) -> None:
    text = (
        f'{MINIMAL}release = "${{NUMBER}}"\n[gate]\nwaiver_max_days = "${{NUMBER}}"\n'
        '[services.api]\nurl = "http://${HOST:-localhost}:${PORT}"\n'
        'timeout_s = "${SECONDS:-2.5}"\nverify_tls = "${TLS}"\n'
        '[[waiver]]\ncheck = "a.b"\nowner = "A"\napprover = "B"\nreason = "$${C}"\n'
        'expires = "${DAY}"\n'
    )
    environ = {"NUMBER": "30", "PORT": "80", "TLS": "false", "DAY": "2026-11-02"}
    config = load(written(tmp_path, text), environ, today=TODAY).config
    assert config.target.release == "30"
    assert config.gate.waiver_max_days == 30
    assert config.services["api"].url == "http://localhost:80"
    assert config.services["api"].timeout_s == 2.5
    assert config.services["api"].verify_tls is False
    assert config.waiver[0].expires == date(2026, 11, 2)
    assert config.waiver[0].reason == "${C}"


@pytest.mark.parametrize(
    "value", ["5\nname = 1", '"5"', "[5]", "1_", "", "nan", "inf", "True", "0x", "[" * 5000]
)
def test_a_variable_that_is_not_a_number_is_refused(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, f'{MINIMAL}[gate]\ncheck_timeout_s = "${{N}}"\n')
    assert ":4 [gate] check_timeout_s" in message(path, {"N": value})


def test_a_dsn_accepts_a_password_only_from_the_environment(tmp_path: Path) -> None:
    text = '[databases.d]\ndsn = "postgresql://m:${PW}@${HOST:-localhost}/d"\n'
    config = load(written(tmp_path, MINIMAL + text), {"PW": CANARY}).config
    assert config.databases["d"].dsn.reveal() == f"postgresql://m:{CANARY}@localhost/d"


def test_a_dsn_variable_overrides_its_default(tmp_path: Path) -> None:
    text = '[databases.d]\ndsn = "${DSN:-postgresql://m@localhost/d}"\n'
    path = written(tmp_path, MINIMAL + text)
    assert load(path, {}).config.databases["d"].dsn.reveal() == "postgresql://m@localhost/d"
    mine = f"postgresql://m:{CANARY}@h/d"
    assert load(path, {"DSN": mine}).config.databases["d"].dsn.reveal() == mine


def test_credentials_in_an_address_come_from_the_environment_and_are_hidden(tmp_path: Path) -> None:
    text = '[prometheus]\nurl = "http://reader:${PROM_PW}@prometheus:9090/"\n'
    config = load(written(tmp_path, MINIMAL + text), {"PROM_PW": "staple-battery"}).config
    assert config.prometheus is not None
    assert redact(config.prometheus.url) == "http://reader:[redacted]@prometheus:9090"


def test_pyproject(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\n[tool.readiness.target]\nname = "shop"\nnme = 1\n'
    path = written(tmp_path, text, "pyproject.toml")
    assert message(path) == (
        f"{path}:5 [tool.readiness.target] nme: unknown key 'nme'. Did you mean 'name'?"
    )
    path.write_text(text.replace("nme = 1\n", ""))
    loaded = load(path, {})
    assert loaded.config.target.name == "shop"
    assert loaded.origins["target.name"] == f"{path}:4"


@pytest.mark.parametrize("text", ["", "tool = 1\n", "[tool]\nreadiness = 1\n"])
def test_pyproject_without_our_table(tmp_path: Path, text: str) -> None:
    assert "has no table [tool.readiness]" in message(written(tmp_path, text, "pyproject.toml"))


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + MINIMAL.replace("\n", "\r\n") + "nme = 1\r\n")
    assert f"{path}:3 [target] nme" in message(path)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{a = " * 100_000,
        "[" + "a." * 3000 + "a]\n",
        MINIMAL + "a." * 3000 + "a = 1\n",
        "a = " + "1" * 5000,
        "\0",
        "\ud7ff",
    ],
    ids=["lists", "inline tables", "header", "dotted key", "digits", "nul", "odd letter"],
)
def test_hostile_text_is_one_clear_error(tmp_path: Path, text: str) -> None:
    assert "readiness.toml" in message(written(tmp_path, text))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "readiness.toml"


def only_config_errors(scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)
    try:
        told = str(load(scratch, ENVIRONMENT, today=TODAY).origins)
    except ConfigError as error:
        told = str(error)
    assert CANARY not in told


@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes(scratch: Path, data: bytes) -> None:
    only_config_errors(scratch, data)


@given(text=st.text(alphabet="abt.=[]{}\",'\n #0123${}:-\\", max_size=80))
def test_any_text_that_looks_like_toml(scratch: Path, text: str) -> None:
    only_config_errors(scratch, text.encode())


PIECES = st.sampled_from(
    ["[", "]", "=", '"', "'", "{", "}", ".", ",", "\n", "${", "$${", "${X}", "${API_TOKEN}", "1",
     "true", "inf", '"x"', "[]", "{}", "[[waiver]]", "name = 1\n", '"""', "#", "\\", "2026-01-01"]
)  # fmt: skip


@given(data=st.data())
def test_mutations_of_a_valid_file(scratch: Path, data: st.DataObject) -> None:
    text = EVERYTHING
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.sampled_from([0, 0, 1, 5, 40, 400]))
        text = text[:start] + data.draw(PIECES) + text[end:]
    only_config_errors(scratch, text.encode())


VALUES = st.recursive(
    st.sampled_from(
        ["1", "-1", "1.5", "nan", "true", '""', '"x"', '"${API_TOKEN}"', '"${X}"', "2026-01-01",
         "2026-01-01T00:00:00", "10:00:00"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]"),
        inner.map(lambda v: f"{{ a = {v}, url = {v} }}"),
    ),
    max_leaves=5,
)  # fmt: skip
ASSIGNMENTS = [
    i for i, line in enumerate(EVERYTHING.splitlines()) if line[:1] not in {"#", "[", ""}
]


@given(number=st.sampled_from(ASSIGNMENTS), value=VALUES)
def test_any_value_for_any_key(scratch: Path, number: int, value: str) -> None:
    lines = EVERYTHING.splitlines()
    lines[number] = f"{lines[number].partition(' = ')[0]} = {value}"
    only_config_errors(scratch, "\n".join(lines).encode())


SHOWN = """[target]
name = "shop"
release = "${RELEASE}"

[services.api]
url = "https://reader:${TOKEN}@api.example.com"
bearer = "${TOKEN}"

[databases.orders]
dsn = "postgresql://monitor:${TOKEN}@db:5432/orders"
"""


def test_values_with_their_origins_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(SHOWN)
    shown = show(load(path, {"RELEASE": "1.2", "TOKEN": CANARY}))
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert f'target.name = "shop" # {path}:2' in lines
    assert 'target.release = "1.2" # env RELEASE' in lines
    assert 'target.allow = ["observe"] # default' in lines
    assert "target.marker = ‹not set› # default" in lines
    assert "services.api.bearer = ‹set› # env TOKEN" in lines
    assert "databases.orders.dsn = ‹set› (db:5432/orders) # env TOKEN" in lines
    assert CANARY not in shown


def test_the_record_gets_what_is_set_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "readiness.toml"
    file.write_text(
        '[target]\nname = "shop"\n[links]\nrunbook = "https://wiki/x"\n'
        '[databases.shop]\ndsn = "postgresql://m:${PW}@db/shop"\n'
        '[services.api]\nurl = "http://api"\nbearer = "${TOKEN}"\n'
        f'[gate]\nsuites = ["{"a" * 300}"]\n'
    )
    loaded = load(file, {"PW": "correct-horse", "TOKEN": "battery-staple"})
    found = {setting.key: (setting.value, setting.origin) for setting in settings_of(loaded)}
    assert found["links.runbook"] == ('"https://wiki/x"', "readiness.toml:4")
    assert found["services.api.bearer"][0] == "‹set›"
    assert "correct-horse" not in str(found)
    assert len(found["gate.suites"][0]) == 80
    assert "services.api.health" not in found  # has its default


@pytest.mark.filterwarnings("ignore:Field name .schema. in .Alone.")
def test_every_default_is_validated_as_what_a_file_says() -> None:
    """The default 15 of a float is 15.0: `15 .is_integer()` is an error in Python 3.11."""
    count = 0
    for model in {m for m in _models(Model) if m.__module__.startswith("readiness.")}:
        for name, field in model.model_fields.items():
            if not field.is_required():
                made: Any = create_model
                alone = made("Alone", __base__=Model, **{name: (field.annotation, field)})
                value = getattr(alone(), name)
                count += isinstance(value, float)
                assert field.annotation is not float or type(value) is float, (model, name)
    assert count > 1


def _models(base: type[Model]) -> Iterator[type[Model]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_paths_are_relative_to_the_file(
    elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deploy"
    folder.mkdir()
    (folder / "readiness.toml").write_text("""
[target]
name = "shop"
[services.api]
url = "http://127.0.0.1:1"
[databases.shop]
dsn = "postgresql://monitor@127.0.0.1/shop"
[backup.cloud]
database = "shop"
path = "s3://backups/shop"
[backup.near]
database = "shop"
path = "/var/backups"
[backup.shop]
database = "shop"
path = "dumps"
[scaling.shop]
workload = "deployment/shop"
manifests = ["k8s/*.yaml"]
""")
    monkeypatch.chdir(tmp_path if elsewhere else folder)
    path = Path("deploy/readiness.toml" if elsewhere else "readiness.toml")
    config = load(path, {}, today=TODAY).config
    before = "deploy/" if elsewhere else ""
    assert config.backup["shop"].path == f"{before}dumps"
    assert config.backup["cloud"].path == "s3://backups/shop"
    assert config.backup["near"].path == "/var/backups"
    assert config.scaling["shop"].manifests == [f"{before}k8s/*.yaml"]
