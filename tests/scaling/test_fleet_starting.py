"""Where there is no HAProxy, there is no fleet."""

from pathlib import Path

import pytest

from readiness.lib.guardian import Guardian
from readiness.servers import programs
from readiness.servers.fleet import starting
from readiness.servers.programs import AbsentError, Program


def test_without_haproxy_there_is_a_reason_and_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(program: Program) -> str:
        raise AbsentError("haproxy is not installed", remedy=program.remedy)

    monkeypatch.setattr(programs, "get", absent)
    with Guardian() as guardian:
        why = starting.start_fleet("", "1.5.0", tmp_path / "fleet", guardian)
    assert why == "haproxy is not installed. apt-get install haproxy"
    assert not list(tmp_path.iterdir())
