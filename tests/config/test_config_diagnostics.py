import pytest
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from readiness.config.base.mistakes import Path
from readiness.config.diagnostics import mistakes_of
from readiness.config.interpolation import Interpolation
from readiness.config.source import Source, scan
from readiness.model.secrets import register

SOURCE = Source("f.toml", {"target": {"name": "x"}}, scan("[target]\nname = 'x'\n"))


def told(kind: str | PydanticCustomError, loc: Path, input_: object, **ctx: object) -> str:
    details = InitErrorDetails(type=kind, loc=loc, input=input_, ctx=ctx)
    error = ValidationError.from_exception_data("Config", [details])
    [problem] = SOURCE.problems(mistakes_of(error, SOURCE, Interpolation()))
    return f"{problem.where}: {problem.message}"


@pytest.mark.parametrize("path", [(), ("target",), ("target", "name")])
def test_the_sentence_of_a_validator_stands_as_it_is(path: Path) -> None:
    where = {0: "f.toml", 1: "f.toml:1 [target]", 2: "f.toml:2 [target] name"}[len(path)]
    said = PydanticCustomError("ours", "a and b exclude each other")
    assert told(said, path, {}) == f"{where}: a and b exclude each other"
    assert told("value_error", path, {}, error=ValueError("no")) == f"{where}: no"


def test_a_kind_that_nobody_translated_is_still_compared() -> None:
    assert told("time_type", ("target", "name"), 5) == (
        "f.toml:2 [target] name: expected a valid time, found 5"
    )


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    register("correct-horse-battery")
    assert "horse" not in told("int_type", ("target", "name"), "correct-horse-battery")
    said = PydanticCustomError("ours", "correct-horse-battery is wrong")
    assert "horse" not in told(said, ("target", "name"), {})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgresql://u:pw@h/d", "'postgresql://…@h/d'"),
        ("host=h password=pw", "'host=h password=…'"),
        ("x" * 100, f"'{'x' * 60}…'"),
        ("\x1b[31m", "'\\x1b[31m'"),
        (True, "true"),
    ],
)
def test_what_was_found_is_short_and_tells_no_password(value: object, shown: str) -> None:
    assert told("int_type", ("target", "name"), value).endswith(f"found {shown}")
