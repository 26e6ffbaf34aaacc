"""Keeps what was read out of reports of errors."""

import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from readiness.model.errors import CouldNotMeasure, ReadinessError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def private(read: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let no error of a function show the values that it handles.

    A report for engineers prints the arguments, and on demand the variables, of every frame of an
    error; an error of Python itself may quote a value. Errors of ours lose their frames, and others
    become one of ours that names only the place.
    """

    @wraps(read)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return read(*args, **kwargs)
        except ReadinessError as error:
            raise error.with_traceback(None) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, it may quote a value
            raise CouldNotMeasure(
                f"an unexpected {type(error).__name__} at {_place_of(error)}",
                where=read.__name__,
                remedy="please report it",
            ) from None

    return call


def _place_of(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
