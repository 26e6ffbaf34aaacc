import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.config.models import Config
from readiness.config.places import places
from readiness.config.template import reference, template, write_template
from readiness.lib import bundle
from readiness.model.errors import UsageError

TODAY = date(2026, 11, 1)
EXAMPLE = re.compile(r"^#(?=[^ :\n])", re.MULTILINE)
EVERYTHING = EXAMPLE.sub("", template())
ENVIRONMENT = dict.fromkeys(re.findall(r"\$\{(\w+)\}", template()), "correct-horse-battery")


def test_the_template_loads_as_it_is(tmp_path: Path) -> None:
    write_template(tmp_path / "readiness.toml")
    config = load(tmp_path / "readiness.toml", {}).config
    assert config.target.name == "my-system"
    assert template().startswith("#:schema ")


def test_all_examples_load_together(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(EVERYTHING)
    config = load(path, ENVIRONMENT, today=TODAY).config
    assert config.waiver
    assert config.signoff


@pytest.mark.parametrize("top", sorted(Config.model_fields))
def test_the_examples_of_a_table_load_with_those_that_it_names(top: str, tmp_path: Path) -> None:
    blocks = template().split("\n\n")
    needed = {"target", "services", "databases", "alerting", "prometheus", "signoffs", top}
    chosen = [
        b for b in blocks if (h := re.search(r"^#?\[+(\w+)", b, re.MULTILINE)) and h[1] in needed
    ]
    path = tmp_path / "readiness.toml"
    path.write_text(EXAMPLE.sub("", "\n\n".join(chosen)))
    assert load(path, ENVIRONMENT, today=TODAY).config.target.name == "my-system"


def test_every_table_and_key_is_explained() -> None:
    for text in (template(), reference()):
        for place in places():
            for key in place.keys:
                assert re.search(rf"\b{key}\b", text), key
    assert tomllib.loads(EVERYTHING)


def test_the_reference_page_is_up_to_date() -> None:
    page = bundle.root() / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == reference()


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_template(path)
    assert path.read_text() == "mine"


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_template(tmp_path / "gone" / "readiness.toml")
