"""What a new user copies out of the README works."""

import re
from pathlib import Path

from readiness.config.loading import load

README = Path(__file__).parents[1] / "README.md"


def test_the_first_readiness_toml_is_valid(tmp_path: Path) -> None:
    (example, *_) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    path = tmp_path / "readiness.toml"
    path.write_text(example)
    variables = {name: name.lower() for name in re.findall(r"\$\{(\w+)\}", example)}
    config = load(path, variables).config
    assert config.deployment
    assert config.deployment.release == config.target.release == "git_sha"
