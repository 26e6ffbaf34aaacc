"""Is data that is moved to new tables complete, in step, and can the move be rolled back?"""

from collections.abc import Collection, Iterator

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.schema.config import TablePair, TransferOf
from readiness.areas.schema.probes.transfers import (
    Comparison,
    canary_arrives,
    compare_all,
    compare_recent,
    out_of_order,
    sides,
    states,
)
from readiness.lib.text import listed
from readiness.model.errors import NoData
from readiness.model.evidence import NotApplicable
from readiness.model.figures import counted

_MOVED = ("copied", "verified", "switched")
_WRITTEN_TWICE = ("copied", "verified")


@check(
    "schema.transfer-complete",
    title="Every row of the old tables is in the new tables, with the same values",
    failure_title="Rows are missing or differ in the new tables",
    each="transfer",
    severity="blocker",
    judgements=("order", "missing", "differing", "recent-missing", "recent-differing"),
    why="""A copy that was interrupted, a value that was cut off or a code path that writes only
    the old table leave gaps that row counts may hide. Once the application reads the new table,
    users miss that data, and once the old table is dropped it is lost.""",
    fix="""The message names keys. Compare one of them:
      select * from OLD where KEY = ...;   select * from NEW where KEY = ...;
    Values that differ on purpose: remove the column from `columns`; rows not moved: `where`
    missing, differing: copy again what differs, and read the log of the copy job:
      insert into NEW select ... from OLD where KEY in (...) on conflict (KEY) do update ...
    recent-missing, recent-differing: let the code path that wrote them write both tables; a trigger
    that is off:
      alter table OLD enable trigger NAME;
    order: verify the previous table before the next one is copied""",
)
def test_transfer_complete(transfer: TransferOf, evidence: Evidence) -> None:
    """Sums over parts of the keys; where sums differ, row by row, and again after `settle_s`."""
    settings = transfer.transfer
    for pair, state in _pairs(transfer, _MOVED, evidence, judge_order=True):
        old, new = sides(transfer.database.dsn, settings, pair)
        with evidence.attempt():
            found = compare_all(old, new, settings)
            source = f"md5 of the rows of {pair.name} and {pair.to}"
            _judge(found, ("missing", "differing"), ("Rows", pair.name, pair.to), source, evidence)
        if transfer.is_live and (not state or state in _WRITTEN_TWICE):
            with evidence.attempt():
                _judge_recent(
                    compare_recent(old, new, settings),
                    ("recent-missing", "recent-differing"),
                    (pair.name, pair.to),
                    evidence,
                )


@check(
    "schema.transfer-reversible",
    title="Rows written to the new tables reach the old tables",
    failure_title="Rolling back would lose rows written to the new tables",
    each="live_transfer",
    judgements=("canary", "missing", "differing"),
    why="""To roll back, the application reads the old tables again. If rows written since the
    switch are only in the new tables, rolling back loses customers' data, and the incident
    goes on.""",
    fix="""Let the new side write the old table too, by a trigger on the new table or in the
    application, until rolling back is no longer planned. A trigger that is off:
      alter table NEW enable trigger NAME;
    Copy back what is missing:
      insert into OLD select ... from NEW ... on conflict (KEY) do update ...
    To test it without traffic: `canary` in [databases.NAME.transfers.NAME.tables."OLD"]""",
    effect="write",
)
def test_transfer_reversible(live_transfer: TransferOf, evidence: Evidence) -> None:
    """By a row that is written and rolled back, and by recent writes."""
    transfer = live_transfer.transfer
    for pair, _ in _pairs(live_transfer, _MOVED, evidence):
        with evidence.attempt():
            if not (pair.canary or pair.new_changed):
                raise NoData(
                    f"cannot measure whether new rows of {pair.to} reach {pair.name}",
                    where=f"[{pair.place}]",
                    remedy="set `canary`, or set `new_changed` to the column with the time of the"
                    " write",
                )
            old, new = sides(live_transfer.database.dsn, transfer, pair)
            if pair.canary:
                arrived = canary_arrives(old, pair.canary, transfer.write_dsn or new.dsn, transfer)
                evidence.judge(
                    "canary",
                    Measurement(
                        f"row written to {pair.to} in {pair.name}", arrived, "", pair.canary
                    ),
                    equal_to(True),
                    says=f"A row written to {pair.to} did not reach {pair.name}",
                )
            if pair.new_changed:
                _judge_recent(
                    compare_recent(new, old, transfer),
                    ("missing", "differing"),
                    (pair.to, pair.name),
                    evidence,
                )


def _pairs(
    subject: TransferOf, wanted: Collection[str], evidence: Evidence, *, judge_order: bool = False
) -> Iterator[tuple[TablePair, str]]:
    """The tables that were moved so far, with their state; table by table has states."""
    transfer = subject.transfer
    if not transfer.states:
        yield from ((pair, "") for pair in transfer.tables.values())
        return
    all_states = states(subject.database.dsn, transfer)
    found = [(table, state) for table, state in all_states if state in wanted]
    if not found:
        waiting = listed(table for table, _ in all_states)
        raise NotApplicable(f"no table is {' or '.join(wanted)} yet: {waiting}")
    if judge_order:
        wrong = out_of_order(all_states)
        evidence.judge(
            "order",
            Measurement("tables moved out of order", len(wrong), "count", transfer.states),
            equal_to(0),
            listed(wrong, between="; "),
            says=f"{counted(len(wrong), 'table is', 'tables are')} moved out of order",
        )
    evidence.record(
        Measurement("tables compared", len(found), "count", transfer.states, len(all_states))
    )
    yield from ((transfer.tables[table], state) for table, state in found)


def _judge_recent(
    found: Comparison, keys: tuple[str, str], tables: tuple[str, str], evidence: Evidence
) -> None:
    source = f"recent rows of {tables[0]}, looked up in {tables[1]}"
    _judge(found, keys, ("Recent rows", *tables), source, evidence)


def _judge(
    found: Comparison,
    keys: tuple[str, str],
    what: tuple[str, str, str],
    source: str,
    evidence: Evidence,
) -> None:
    rows, table, other = what
    some = "at least " if found.partial else ""
    for key, wrong, verb in (
        (keys[0], found.missing, "are missing"),
        (keys[1], found.differing, "differ"),
    ):
        evidence.judge(
            key,
            Measurement(
                f"{rows.lower()} of {table} that {verb} in {other}",
                len(wrong),
                "count",
                source,
                samples=max(found.rows, 1),
            ),
            equal_to(0),
            f"{some}the keys {listed(wrong)}",
            says=f"{rows} of {table} {verb} in {other} ({some}{len(wrong):,})",
        )
