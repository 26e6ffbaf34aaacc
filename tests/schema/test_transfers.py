"""The order in which tables are moved."""

import pytest
from pydantic import ValidationError

from readiness.areas.schema.config_transfers import Transfer
from readiness.areas.schema.probes.transfer_moves import out_of_order

_TABLES = {"s.a": {"to": "s.b", "key": {"i": "i"}, "columns": {"v": "v"}}}


@pytest.mark.parametrize(
    ("states", "wrong"),
    [
        ("waiting waiting", 0),
        ("copied waiting", 0),
        ("verified copied waiting", 0),
        ("switched verified switched", 0),
        ("copied copied", 1),
        ("waiting copied", 1),
        ("copied switched verified", 2),
    ],
)
def test_each_table_is_verified_before_the_next(states: str, wrong: int) -> None:
    told = [(f"s.t{number}", state) for number, state in enumerate(states.split())]
    assert len(out_of_order(told)) == wrong


def test_table_by_table_tells_how_far_it_has_come() -> None:
    with pytest.raises(ValidationError, match="needs `states`"):
        Transfer.model_validate({"strategy": "table-by-table", "tables": _TABLES})
    Transfer.model_validate({"strategy": "full-copy", "tables": _TABLES})
