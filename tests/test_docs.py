"""What a user copies out of README.md and the pages in docs/ works."""

import re
import shlex
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest

from readiness import __version__
from readiness.cli.main import main
from readiness.config.loading import load
from readiness.config.models import Service
from readiness.lib import bundle
from readiness.model.check import spec_of
from readiness.model.evidence import Evidence
from readiness.model.verdict import ExitCode
from tests.support.small_servers import Reply, SmallServer

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# All pages that a user reads; CHANGELOG.md is about what was.
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*map(ROOT.joinpath, ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")),
                 *sorted(DOCS.rglob("*.md")))
}  # fmt: skip
README = PAGES["README.md"]
GENERATED = {"docs/checks.md", "docs/configuration.md"}
WRITTEN = {name: text for name, text in PAGES.items() if name not in GENERATED}
# What other files of a pipeline run, too.
TEMPLATES = sorted((DOCS / "integrations").glob("*[!.md]"))
EVERYTHING = "\n".join(PAGES.values())


def examples(page: str, *languages: str) -> list[str]:
    """The code blocks in these languages; "" is a block without one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for language, text in blocks if language in languages]


def commands(page: str) -> set[str]:
    """The commands of `readiness` in blocks of a terminal and in the text."""
    # An option that begins the next line belongs to the command, too.
    blocks = "".join(examples(page, "console", "sh", "text", "")).replace("\\\n", " ")
    typed = re.findall(
        r"^ *(?:\$ )?(?:\w+=\S+ )*(?:\S*/)?(readiness [a-z-].*?)(?: +#.*)?$", blocks, re.MULTILINE
    )
    named = re.findall(r"`(readiness [a-z-][^`]*)`", page)
    ended = (re.split(r" [|&>;]+ ?| \|\| ", command)[0] for command in typed + named)
    return {" ".join(command.split()).rstrip(".…") for command in ended}


def _of_templates() -> set[str]:
    """The commands in files that pipelines run: those of their scripts, and of containers."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in TEMPLATES)
    typed = re.findall(r"^[^#\n]*\b(readiness run[^'\"\n]*)", text, re.MULTILINE)
    listed = re.findall(r"args: \[(run, [^\]]*)\]", text)
    assert typed
    assert listed
    return {*map(str.strip, typed), *(f"readiness {' '.join(one.split(', '))}" for one in listed)}


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


def _wholes_and_parts() -> tuple[dict[str, str], list[str]]:
    """The TOML of all pages: whole files, which have a target, and parts of the example."""
    found = [(name, text) for name, page in WRITTEN.items() for text in examples(page, "toml")]
    wholes = {
        f"{name}, {number}": text
        for number, (name, text) in enumerate(found)
        if text.startswith("[target]")
    }
    # The parts of the tutorial belong to a file of its own.
    parts = [
        text
        for name, text in found
        if name != "docs/tutorial.md" and not text.startswith("[target]")
    ]
    return wholes, parts


WHOLES, PARTS = _wholes_and_parts()


def _is_valid(text: str, folder: Path) -> None:
    variables = {name: f"correct-horse-{name}" for name in re.findall(r"\$\{(\w+)\}", text)}
    path = folder / "readiness.toml"
    path.write_text(text)
    assert load(path, variables, today=date(2026, 12, 1)).config.target.name


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_file_of_a_page_is_valid(name: str, tmp_path: Path) -> None:
    _is_valid(WHOLES[name], tmp_path)


def test_the_file_of_the_tutorial_is_valid_with_its_decisions(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text("\n".join(examples(PAGES["docs/tutorial.md"], "toml")))
    config = load(path, {"MLFLOW_PASSWORD": "correct-horse"}, today=date(2026, 12, 1)).config
    assert len(config.not_applicable) == len(config.observe_only) == 1


def test_the_examples_of_the_pages_are_valid_together(tmp_path: Path) -> None:
    tables: dict[str, str] = {}
    for block in PARTS:
        for table in re.split(r"^(?=\[)", block, flags=re.MULTILINE):
            # What two examples show is there once.
            header = table.partition("]")[0]
            tables.setdefault(table if header.startswith("[[") else header, table)
    text = '[target]\nname = "pages"\ndeployer = "bot"\n' + "\n".join(tables.values())
    assert len(tables) > 60
    _is_valid(text + "\n[alertmanager]\nurls = ['http://am']\n", tmp_path)


COMMANDS = set().union(*map(commands, PAGES.values())) | _of_templates()


def test_the_check_of_the_page_judges_a_service() -> None:
    page = PAGES["docs/how-to/write-a-check.md"]
    (source,) = (text for text in examples(page, "python") if "@check" in text)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - an example of ours
    with SmallServer({"/search?q=tea": Reply("[]")}) as server:
        spec = spec_of(names["test_search_answers"])
        assert spec
        evidence = Evidence(spec.judgements)
        names["test_search_answers"](Service(name="api", url=server.url), evidence)
        evidence.conclude()
    (judged,) = evidence.measurements
    assert judged.limit
    assert judged.limit.value == 300


def test_commands_are_found_in_pages_and_in_files_of_pipelines() -> None:
    assert len(COMMANDS) > 50
    assert "readiness run --config /etc/readiness/readiness.toml" in COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
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


def test_pages_name_only_checks_that_exist() -> None:
    areas = {check.partition(".")[0] for check in bundle.known_ids()}
    check = rf"`((?:{'|'.join(sorted(areas))})\.[a-z-]+)(?:\[\w+\])?`"
    named = set(re.findall(check, "\n".join(WRITTEN.values())))
    assert len(named) > 40
    assert named - bundle.known_ids() == set()


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_a_page_has_a_target(name: str) -> None:
    place = (ROOT / name).parent
    for link in re.findall(r"\]\(([^)\s]+)\)", _prose(PAGES[name])):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        path = (place / file).resolve() if file else ROOT / name
        assert path.exists(), link
        # The site has no folders, and none of the pages outside of docs/.
        assert name.startswith(("README", "CONTR", "ARCH")) or path.is_relative_to(DOCS), link
        if anchor:
            assert anchor in _anchors(path.read_text(encoding="utf-8")), link


def _prose(page: str) -> str:
    return re.sub(r"```.*?```", "", page, flags=re.DOTALL)


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_message_under_troubleshooting_is_one_of_ours() -> None:
    """… stands for what differs."""
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "readiness").rglob("*.py")
    )
    page = PAGES["docs/how-to/troubleshooting.md"]
    messages = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    assert len(messages) > 10
    pieces = [piece.strip() for message in messages for piece in message.split("…")]
    assert [piece for piece in pieces if piece not in sources] == []


def test_the_page_of_exit_codes_has_all_of_them() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", PAGES["docs/exit-codes.md"], re.MULTILINE)
    assert {(int(code), name) for code, name in rows} == {(one.value, one.name) for one in ExitCode}


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r"(\S+\.md)$", (DOCS / "site/mkdocs.yml").read_text(), re.MULTILINE)
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert set(listed) == {page for page in pages if page.count("/") < 2}
    assert len(listed) == len(set(listed))


def test_the_readme_installs_the_wheel_of_this_version() -> None:
    wheels = set(re.findall(r"readiness-[\d.]+-py3-none-any\.whl", README))
    assert wheels == {f"readiness-{__version__}-py3-none-any.whl"}


def test_nothing_installs_a_package_of_our_name_from_an_index() -> None:
    """Whoever registered it there would own what is installed."""
    rooms = ("readiness", "suites", "fixtures", "docs")
    texts = {
        path: path.read_text(encoding="utf-8")
        for room in rooms
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".md", ".toml", ".yml", ".yaml", ".html", ".json"}
    } | {ROOT / "README.md": README, ROOT / "action.yml": (ROOT / "action.yml").read_text()}
    named = re.compile(r"""pip3? install (?:--?[-\w]+ )*["']?readiness(?![-\w./])""")
    assert named.search("pip install -q 'readiness[load]'")
    assert [str(path) for path, text in texts.items() if named.search(text)] == []
