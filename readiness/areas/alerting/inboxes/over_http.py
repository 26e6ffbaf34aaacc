"""What readers have in common that ask over HTTP."""

from typing import Self

from readiness.lib.http import Session


class OverHttp:
    """Holds the session that a reader asks through, from entering it to leaving it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)
