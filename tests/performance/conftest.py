"""What the tests judge is not the noise of the machine that runs them."""

import pytest

from readiness.lib.noise import SILENCE, Watch


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "seen", lambda _: SILENCE)
