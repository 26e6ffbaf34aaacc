"""The reference system: a small but real deployment, the default target."""

from importlib.metadata import version
from importlib.util import find_spec
from typing import Final

from readiness.model.errors import ReferenceSystemError

_MODULES: Final = ("aiosmtpd", "prometheus_client", "starlette", "testcontainers", "uvicorn")


def require() -> None:
    """Report missing packages in one sentence instead of an ImportError.

    Raises:
        ReferenceSystemError: a package of the extra is not installed.
    """
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise ReferenceSystemError(
            f"the reference system needs Python packages that are not installed:"
            f" {', '.join(missing)}",
            remedy=f"pip install 'readiness-{version('readiness')}-py3-none-any.whl[reference]'",
        )
