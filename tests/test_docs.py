"""What a user copies out of README.md, docs/guide.md and docs/tutorial.md works."""

import re
import shlex
from datetime import date
from pathlib import Path

import click
import pytest

from readiness import __version__
from readiness.cli.main import main
from readiness.config.loading import load
from readiness.lib import bundle

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs/guide.md").read_text(encoding="utf-8")


def examples(page: str, *languages: str) -> list[str]:
    """The code blocks in these languages; "" is a block without one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for language, text in blocks if language in languages]


def commands(page: str) -> set[str]:
    """The commands of `readiness` in blocks of a terminal and in the text."""
    blocks = "".join(examples(page, "console", "")).replace("\\\n", " ")
    typed = re.findall(
        r"^(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?(readiness .*?)(?: {2,}#.*)?$", blocks, re.MULTILINE
    )
    named = re.findall(r"`(readiness [a-z][^`]*)`", page)
    return {" ".join(command.split()) for command in typed + named}


@pytest.mark.parametrize("name", ["linters", "cases"])
def test_checks_named_beside_those_of_others_exist(name: str) -> None:
    page = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    checks = (ROOT / "docs/checks.md").read_text(encoding="utf-8")
    areas = "alerting|backup|database|deployment|manifests|monitoring|scaling|schema|security"
    named = set(re.findall(rf"`((?:{areas})\.[a-z-]+)`", page))
    assert named
    assert named <= set(re.findall(r"^### `(.+)`$", checks, re.MULTILINE))


def test_the_first_readiness_toml_is_valid(tmp_path: Path) -> None:
    example = examples(README, "toml")[0]
    path = tmp_path / "readiness.toml"
    path.write_text(example)
    variables = {name: name.lower() for name in re.findall(r"\$\{(\w+)\}", example)}
    config = load(path, variables).config
    assert config.deployment
    assert config.deployment.release == config.target.release == "git_sha"


def test_the_file_of_the_tutorial_is_valid_with_its_decisions(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text("\n".join(examples(TUTORIAL, "toml")))
    config = load(path, {"KINTO_PASSWORD": "correct-horse"}, today=date(2026, 12, 1)).config
    assert len(config.not_applicable) == len(config.observe_only) == 1


def test_the_examples_of_the_guide_are_valid_together(tmp_path: Path) -> None:
    """All but the first, which is a whole file of its own."""
    first, *others = examples(GUIDE, "toml")
    tables: dict[str, str] = {}
    for block in others:
        for table in re.split(r"^(?=\[)", block, flags=re.MULTILINE):
            # What two examples show is there once.
            header = table.partition("]")[0]
            tables.setdefault(table if header.startswith("[[") else header, table)
    text = '[target]\nname = "guide"\ndeployer = "bot"\n' + "\n".join(tables.values())
    text += "\n[alertmanager]\nurls = ['http://am']\n"
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "correct-horse-battery")
    for example in (first, text):
        path = tmp_path / "readiness.toml"
        path.write_text(example)
        assert load(path, variables, today=date(2026, 12, 1)).config.target.name


@pytest.mark.parametrize("command", sorted(commands(README) | commands(GUIDE) | commands(TUTORIAL)))
def test_every_command_exists_with_its_options(command: str) -> None:
    _, *words = shlex.split(command, comments=True)
    context = click.Context(main)
    found: click.Command = main
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(context, words[0])
        assert inner, f"no command {words[0]!r}"
        found, words = inner, words[1:]
    options = {option for parameter in found.params for option in parameter.opts}
    options |= {"--help", "-h"}
    assert [word for word in words if word.startswith("-") and word not in options] == []


def test_the_guide_names_only_checks_that_exist() -> None:
    areas = {check.partition(".")[0] for check in bundle.known_ids()}
    named = set(re.findall(rf"`((?:{'|'.join(sorted(areas))})\.[a-z-]+)(?:\[\w+\])?`", GUIDE))
    assert len(named) > 40
    assert named - bundle.known_ids() == set()


def test_every_link_of_the_guide_has_a_target() -> None:
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", GUIDE)
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors
        elif not link.startswith("https://"):
            assert (ROOT / "docs" / link).is_file(), link


def test_the_readme_installs_the_wheel_of_this_version() -> None:
    wheels = set(re.findall(r"readiness-[\d.]+-py3-none-any\.whl", README))
    assert wheels == {f"readiness-{__version__}-py3-none-any.whl"}
    assert "pip install readiness" not in README
