"""What proves the checks of sequences, of damage, and of collations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_KEY: Final = "select setval(pg_get_serial_sequence('shop.products', 'product_id'), {})"
# An index in an order of its own, which then changes: what a new system does to texts.
_UNSOUND: Final = """
create schema readiness_unsound;
create function readiness_unsound.compare(integer, integer) returns integer immutable
  language sql as 'select case when $1 < $2 then -1 when $1 > $2 then 1 else 0 end';
create operator class readiness_unsound.numbers for type integer using btree as
  operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
  function 1 readiness_unsound.compare(integer, integer);
create table readiness_unsound.parts (number integer);
insert into readiness_unsound.parts select generate_series(1, 2000);
create index parts_by_number on readiness_unsound.parts (number readiness_unsound.numbers);
create or replace function readiness_unsound.compare(integer, integer) returns integer immutable
  language sql as 'select case when $1 < $2 then 1 when $1 > $2 then -1 else 0 end'"""


@fault(
    turns_red={"database.sequence-exhaustion[shop]"},
    story="The numbers of a table with an integer key are nearly used up.",
)
@contextmanager
def sequence_runs_out(system: ReferenceSystem) -> Iterator[None]:
    """A few hundred more, and no product can be added."""
    with system.levers.sql(_KEY.format(2_147_483_000), _KEY.format(500)):
        yield


@fault(
    turns_red={"database.corruption-sample[shop]"},
    story="An index is in an order that is no longer the one of its type.",
)
@contextmanager
def index_is_in_wrong_order(system: ReferenceSystem) -> Iterator[None]:
    """Every page of it has a good checksum."""
    with system.levers.sql(_UNSOUND, "drop schema readiness_unsound cascade"):
        yield


@fault(
    turns_red={"database.collation-version[shop]"},
    story="The system was upgraded, and sorts texts in another way than the index.",
)
@contextmanager
def collation_has_changed(system: ReferenceSystem) -> Iterator[None]:
    """The version that was written down is not the one of the library."""
    with system.levers.collation_changed():
        yield
