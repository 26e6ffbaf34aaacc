"""The catalogue: ids never change, every check is proven, every text is there."""

import re
import runpy
from importlib import import_module
from pathlib import Path

from _pytest.fixtures import FixtureFunctionDefinition

from readiness import fixtures
from readiness.cli.explain import markdown
from readiness.lib import bundle
from readiness.report.richtext import rich
from readiness.run import catalogue, catalogue_file


def test_the_catalogue_file_says_what_the_suites_say() -> None:
    path = bundle.suites() / catalogue_file.NAME
    told = catalogue_file.render(catalogue.modules(), catalogue.fault_notes())
    assert path.read_text(encoding="utf-8") == told, "run `make docs`"
    files = [*catalogue_file.check_files(), *catalogue_file.fault_files()]
    assert catalogue_file.edited(files) == []


def test_the_fixtures_are_listed_where_they_are() -> None:
    listed = runpy.run_path(str(bundle.root() / "conftest.py"))["FIXTURES"]
    found = {}
    for path in Path(fixtures.__file__).parent.glob("*.py"):
        module = vars(import_module(f"readiness.fixtures.{path.stem}"))
        names = {name for name, v in module.items() if isinstance(v, FixtureFunctionDefinition)}
        if names:
            found[path.stem] = names
    assert {module: set(names) for module, names in listed.items()} == found


def test_the_ids_are_those_that_were_published() -> None:
    assert {entry.spec.id for entry in catalogue.entries()} == bundle.known_ids()


def test_every_judgement_is_proven_by_a_fault_and_no_fault_names_another() -> None:
    proven: dict[str, set[str]] = {}
    for fault in catalogue.faults():
        for check, keys in fault.judgements.items():
            proven.setdefault(check, set()).update(keys)
    declared = {entry.spec.id: set(entry.spec.judgements) for entry in catalogue.entries()}
    assert all(declared.values()), [check for check, keys in declared.items() if not keys]
    assert proven == declared


def test_every_check_says_what_is_true_when_it_fails() -> None:
    silent = [e.spec.id for e in catalogue.entries() if not e.spec.failure_title]
    assert silent == []


def test_the_names_of_faults_are_their_own() -> None:
    names = [fault.name for fault in catalogue.faults()]
    assert len(names) == len(set(names))


def test_every_check_lies_in_the_folder_of_its_suite() -> None:
    for entry in catalogue.entries():
        assert (bundle.suites() / entry.spec.suite).is_dir()


def test_every_fix_says_what_to_do_with_a_command_or_a_key() -> None:
    for entry in catalogue.entries():
        assert re.search(r"`|\n {2,}|readiness |=", entry.spec.fix), entry.spec.id


def test_no_part_of_a_fix_is_shown_as_a_command() -> None:
    with_parts = [entry.spec for entry in catalogue.entries() if len(entry.spec.fix_parts()) > 1]
    assert len(with_parts) > 60
    for spec in with_parts:
        shown = [block for block in rich(spec.fix) if block.kind == "paragraph"]
        begins = {"".join(span.text for span in block.spans).partition(":")[0] for block in shown}
        labels = {", ".join(sorted(keys)) for keys, _ in spec.fix_parts() if keys}
        assert labels <= {", ".join(sorted(begin.split(", "))) for begin in begins}, spec.id


def test_the_documentation_is_what_the_tool_would_write() -> None:
    page = bundle.root() / "docs" / "checks.md"
    assert page.read_text(encoding="utf-8") == markdown(catalogue.entries())
