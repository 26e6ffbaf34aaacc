import os
from pathlib import Path

import pytest

from readiness.config.loading import find, read
from readiness.model.errors import ConfigError

OURS = '[tool.readiness.target]\nname = "x"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repo" / "a" / "b").mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    return tmp_path / "repo"


def test_the_command_line_goes_before_the_environment_and_that_before_the_folders(
    repository: Path,
) -> None:
    (repository / "readiness.toml").touch()
    environ = {"READINESS_CONFIG": "other.toml"}
    assert find(repository, Path("named.toml"), environ) == Path("named.toml")
    assert find(repository, None, environ) == repository / "other.toml"
    assert find(repository, None, {"READINESS_CONFIG": ""}) == repository / "readiness.toml"


def test_the_nearest_folder_upwards(repository: Path) -> None:
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


def test_a_link_that_leads_nowhere_is_found_and_then_refused(repository: Path) -> None:
    (repository / "readiness.toml").touch()
    (repository / "a" / "readiness.toml").symlink_to("gone.toml")
    found = find(repository / "a", None, {})
    assert found == repository / "a" / "readiness.toml"
    with pytest.raises(ConfigError, match="does not exist"):
        read(found)


def test_what_is_no_readable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "readiness.toml"
    path.touch()

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The permission bits would not stop the administrator, as whom tests may run.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="permission denied"):
        read(path)
