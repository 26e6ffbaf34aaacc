"""Is the data that moves to new tables all there, in step, and able to go back?"""

from collections.abc import Collection, Iterator

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.schema.config_transfers import TablePair
from readiness.areas.schema.probes.transfer_moves import out_of_order, states
from readiness.areas.schema.probes.transfer_tables import sides
from readiness.areas.schema.probes.transfers_lately import Recent, canary_arrives, lately
from readiness.areas.schema.probes.transfers_whole import compared
from readiness.areas.schema.subjects import TransferOf
from readiness.lib.text import listed
from readiness.model.errors import NoData
from readiness.model.evidence import NotApplicable

_MOVED = ("copied", "verified", "switched")


@check(
    "schema.transfer-complete",
    title="Each row of the old tables is in the new ones, and the same",
    each="transfer",
    severity="blocker",
    why="""A copy that was interrupted, a batch that was skipped, a value that was cut off: the
    counts may even agree. Once the application reads the new table, what is missing there is
    lost for users, and once the old one is dropped, for all.""",
    fix="""The message names keys. See one of them on both sides:
      select * from OLD where KEY = ...;   select * from NEW where KEY = ...;
    Copy again what differs (`insert ... on conflict (KEY) do update`), and find out why: the
    job's log of that time. A value that is meant to be another one: leave its column out of
    `columns`; rows that are not moved: `where`.""",
)
def test_transfer_complete(transfer: TransferOf, evidence: Evidence) -> None:
    """Every row by a sum over parts of the keys; where the sums differ, row by row."""
    for pair in _pairs(transfer, _MOVED, evidence):
        old, new = sides(transfer.database.dsn, transfer.transfer, pair)
        found = compared(old, new, transfer.transfer)
        source = f"md5 of the rows of {pair.name} and {pair.to}"
        some = "at least " if found.partial else ""
        evidence.record(Measurement(f"rows of {pair.name}", found.rows, "count", source))
        for name, keys in (
            (f"rows missing in {pair.to}", found.missing),
            (f"rows of {pair.to} with other values", found.differing),
        ):
            evidence.judge(
                "name",
                Measurement(name, len(keys), "count", source, samples=max(found.rows, 1)),
                equal_to(0),
                f"{some}the keys {listed(keys)}",
            )


@check(
    "schema.transfer-in-step",
    title="What was written of late to the old tables is in the new ones",
    each="live_transfer",
    severity="blocker",
    why="""Writing twice goes wrong in one of a hundred ways: one path of the application was
    forgotten, a trigger is off, the second write fails and nobody looks. The tables then drift
    apart from that day on, and the first copy cannot help.""",
    fix="""The message names keys that were written of late. Find the path that wrote them, and
    let it write both; then copy again what is missing since.
    A trigger:  alter table OLD enable trigger NAME;
    A job:      its log, its lag; `settle_s` in [databases.NAME.transfers.NAME] is what it may
                take.""",
)
def test_transfer_in_step(live_transfer: TransferOf, evidence: Evidence) -> None:
    """A second look after `settle_s`: what was on its way is no finding."""
    for pair in _pairs(live_transfer, ("copied", "verified"), evidence):
        old, new = sides(live_transfer.database.dsn, live_transfer.transfer, pair)
        _judge(lately(old, new, live_transfer.transfer), pair.name, pair.to, evidence)


@check(
    "schema.transfer-reversible",
    title="What is written to the new tables reaches the old ones, so that one can go back",
    each="live_transfer",
    why="""The way back is to read the old tables again. If what was written since the switch is
    only in the new ones, going back loses it; so nobody dares to, and the incident goes on.""",
    fix="""Let the new side write the old one too, until the way back is given up: a trigger on the
    new table, or the application. Copy back what is missing:
      insert into OLD select ... from NEW ... on conflict (KEY) do update ...
    A statement that shows it without waiting for traffic: `canary` in
    [databases.NAME.transfers.NAME.tables."OLD"].""",
    effect="write",
)
def test_transfer_reversible(live_transfer: TransferOf, evidence: Evidence) -> None:
    """By a row that is written and taken back, and by what was really written of late."""
    transfer = live_transfer.transfer
    for pair in _pairs(live_transfer, ("copied", "verified", "switched"), evidence):
        if not (pair.canary or pair.new_changed):
            raise NoData(
                f"nothing shows whether new rows of {pair.to} reach {pair.name}",
                where=f'[databases.NAME.transfers.NAME.tables."{pair.name}"]',
                remedy="give a `canary`, or the column that tells when a row was written, in"
                " `new_changed`",
            )
        old, new = sides(live_transfer.database.dsn, transfer, pair)
        if pair.canary:
            arrived = canary_arrives(old, pair.canary, transfer.write_dsn or new.dsn, transfer)
            evidence.judge(
                "row-written",
                Measurement(f"row written to {pair.to}", _where(arrived), "text", pair.canary),
                equal_to(_where(True)),
                f"a way back to {pair.name} would lose what was written since",
            )
        if pair.new_changed:
            _judge(lately(new, old, transfer), pair.to, pair.name, evidence)


def _pairs(subject: TransferOf, wanted: Collection[str], evidence: Evidence) -> Iterator[TablePair]:
    """The tables that have come so far; the order in which they are moved is judged here, too."""
    transfer = subject.transfer
    if not transfer.states:
        yield from transfer.tables.values()
        return
    told = states(subject.database.dsn, transfer)
    wrong = out_of_order(told)
    found = [table for table, state in told if state in wanted]
    if not found:
        raise NotApplicable(f"no table is {' or '.join(wanted)} yet: {dict(told)}")
    if wanted == _MOVED:
        evidence.judge(
            "tables-out-order",
            Measurement("tables out of order", len(wrong), "count", transfer.states),
            equal_to(0),
            listed(wrong, between="; "),
        )
    evidence.record(
        Measurement("tables looked at", len(found), "count", transfer.states, samples=len(told))
    )
    yield from (transfer.tables[table] for table in found)


def _judge(found: Recent, written: str, other: str, evidence: Evidence) -> None:
    source = f"the rows written of late to {written}, looked up in {other}"
    for name, keys in (
        (f"new rows of {written} missing in {other}", found.missing),
        (f"new rows of {written} that are others in {other}", found.differing),
    ):
        evidence.judge(
            "name",
            Measurement(name, len(keys), "count", source, samples=found.rows),
            equal_to(0),
            f"the keys {listed(keys)}",
        )


def _where(arrived: bool) -> str:
    return "in both tables" if arrived else "in the new table alone"
