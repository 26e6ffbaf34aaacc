"""The packages of the reference system are an extra: without them one sentence says so."""

import pytest
from click.testing import CliRunner

from readiness.cli.main import main
from readiness.model.errors import ReferenceSystemError
from readiness.reference import extra


def test_everything_it_needs_is_here() -> None:
    extra.require()


def test_what_is_missing_is_named_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(ReferenceSystemError) as told:
        extra.require()
    assert "not installed: uvicorn" in told.value.sentence
    assert "pip install 'readiness[reference]'" in str(told.value)


@pytest.mark.parametrize("command", [["run", "--reference"], ["prove"]])
def test_the_command_ends_with_that_sentence_and_no_traceback(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda _: None)
    ended = CliRunner().invoke(main, command)
    assert ended.exit_code == 2
    assert "readiness[reference]" in ended.output
