"""Nobody else drills: the lock in the target's database holds for other machines, too."""

from pathlib import Path

import pytest

from readiness.areas.database.config import Database
from readiness.lib.drill.safety import Place, locked, locked_in
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn

pytestmark = pytest.mark.contract


def place(folder: Path, fingerprint: str = "0123456789ab") -> Place:
    return Place(folder / ".readiness", "shop", "staging", fingerprint)


def test_the_lock_in_the_database(dsn: Dsn, tmp_path: Path) -> None:
    database = Database.model_validate({"dsn": dsn})
    mine = place(tmp_path / "a")
    with locked_in(database, mine):
        with (
            pytest.raises(CouldNotMeasure, match="another drill"),
            locked_in(database, place(tmp_path / "b")),
        ):
            pass
        with locked_in(database, place(tmp_path, "ffffffffffff")):
            pass  # another target
    # It is free again at once: a server sees only later that a session is gone.
    for _ in range(50):
        with locked_in(database, mine):
            pass


def test_an_unreachable_database_is_no_lock(tmp_path: Path) -> None:
    away = Database.model_validate({"dsn": "postgresql://nobody@127.0.0.1:9/none"})
    with pytest.raises(CouldNotMeasure), locked_in(away, place(tmp_path)):
        pass


def test_the_lock_on_this_machine(tmp_path: Path) -> None:
    with locked(place(tmp_path)):
        with pytest.raises(CouldNotMeasure, match="another drill"), locked(place(tmp_path)):
            pass
        with locked(place(tmp_path, "ffffffffffff")):
            pass
    with locked(place(tmp_path)):
        pass


def test_where_nothing_can_be_written_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / ".readiness").write_text("a file")
    with pytest.raises(CouldNotMeasure, match="cannot be written"), locked(place(tmp_path)):
        pass
