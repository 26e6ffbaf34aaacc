import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.config.places import places
from readiness.config.template import TEMPLATE, write_template
from readiness.model.errors import UsageError

TODAY = date(2026, 11, 1)
EXAMPLE = re.compile(r"^#(?=[^ :\n])", re.MULTILINE)
ENVIRONMENT = dict.fromkeys(re.findall(r"\$\{(\w+)\}", TEMPLATE), "correct-horse-battery")


def test_the_template_loads_as_it_is(tmp_path: Path) -> None:
    write_template(tmp_path / "readiness.toml")
    config = load(tmp_path / "readiness.toml", {}).config
    assert config.target.name == "my-system"
    assert TEMPLATE.startswith("#:schema ")


def test_all_examples_load_together(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(EXAMPLE.sub("", TEMPLATE))
    config = load(path, ENVIRONMENT, today=TODAY).config
    assert config.waiver
    assert config.signoff


def test_the_examples_load_one_block_after_the_other(tmp_path: Path) -> None:
    """Each block loads with those of the tables it names: services and databases."""
    blocks = TEMPLATE.split("\n\n")
    base = [
        b
        for b in blocks
        if re.search(r"^#?\[(target|services\.api|databases|alerting\.channels)", b, re.MULTILINE)
    ]
    examples = [b for b in blocks if EXAMPLE.search(b)]
    assert len(examples) > 12
    path = tmp_path / "readiness.toml"
    for block in examples:
        needed = [b for b in blocks if b in base or b == block or _needs(block, b)]
        path.write_text(EXAMPLE.sub("", "\n\n".join(needed)))
        assert load(path, ENVIRONMENT, today=TODAY).config.target.name == "my-system"


def _needs(block: str, other: str) -> bool:
    """A part of an array entry needs the entry, a sign-off what requires it."""
    pairs = {"ingest.write_path": "[[performance.ingest]]", "[[signoff]]": "[signoffs]",
             "[prometheus.": "[prometheus]", "[alerting.engine.": "[alerting.engine]",
             "[backup.orders.": "[backup.orders]", "not_applicable": "[gate]",
             "[deployment.": "[deployment]", "[scaling.api.": "[scaling.api]"}  # fmt: skip
    return any(part in block and header in other for part, header in pairs.items())


def test_every_table_and_key_is_explained() -> None:
    raw = tomllib.loads(EXAMPLE.sub("", TEMPLATE))
    for place in places():
        assert not place.label or place.path[0] in raw, place.label
        for key in place.keys:
            assert re.search(rf"^(# ?)?\[*(.*\.)?{key}\b", TEMPLATE, re.MULTILINE), key


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_template(path)
    assert path.read_text() == "mine"


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_template(tmp_path / "gone" / "readiness.toml")
