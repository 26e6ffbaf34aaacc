"""Do the standbys follow, and does nothing fill the disk on their behalf?"""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import replication
from readiness.lib.text import listed


@check(
    "database.standby-connected",
    title="Every standby receives what the primary writes",
    each="replicated_database",
    severity="blocker",
    why="""A standby that lost its primary still answers, with older and older data. The day it
    is needed, all that was written since is gone. Its own figures do not show it: without a
    receiver, received and replayed are equal, and most exporters call that a lag of zero.""",
    fix="""Look at both ends:
      primary:  select application_name, state, sync_state from pg_stat_replication;
      standby:  select status, latest_end_time from pg_stat_wal_receiver;
    The standby's log says why: a changed password, a name in `primary_conninfo` that is not the
    one of its table here, WAL that is gone (requested WAL segment has already been removed: build
    it anew with pg_basebackup, and give it a slot).""",
)
def test_standby_connected(replicated_database: Database, evidence: Evidence) -> None:
    """Seen from both ends, under the name by which the primary knows it."""
    links, known = replication.links(replicated_database)
    for link in links:
        evidence.judge(
            "primary",
            Measurement(
                f"{link.standby}, as the primary has it",
                link.on_primary,
                "text",
                "pg_stat_replication",
            ),
            equal_to("streaming"),
            f"the primary knows {listed(known) or 'no standby'}",
        )
        receiver = link.on_standby if link.follows else "no standby: it takes writes of its own"
        evidence.judge(
            "says-itself",
            Measurement(
                f"{link.standby}, as it says itself", receiver, "text", "pg_stat_wal_receiver"
            ),
            equal_to("streaming"),
            "it receives nothing",
        )


@check(
    "database.replication-lag",
    title="What is committed on the primary is soon seen on every standby",
    each="replicated_database",
    severity="major",
    effect="write",
    why="""What a standby has not replayed is lost at a failover, and users who read from it see
    the past. Only something written just now, and looked for, measures it: all figures of a
    server that stands still look perfect.""",
    fix="""See where it stands still, on the primary:
      select application_name, state, write_lag, flush_lag, replay_lag from pg_stat_replication;
    and on the standby whether replay is paused, or waits for a query:
      select pg_is_wal_replay_paused();   select pg_wal_replay_resume();
      select pid, now() - xact_start, left(query, 80) from pg_stat_activity order by xact_start;
    The limit is `replication_lag_max_s` in [databases.NAME.limits].""",
)
def test_replication_lag(replicated_database: Database, evidence: Evidence) -> None:
    """A message in the WAL, committed: nothing else is written."""
    longest_s = replicated_database.limits.replication_lag_max_s
    for standby in replicated_database.standbys.values():
        arrival = replication.lag(replicated_database, standby, longest_s)
        name = f"seconds until {standby.name} had replayed a commit"
        source = "pg_logical_emit_message, pg_last_wal_replay_lsn"
        if arrival.arrived:
            measured = Measurement(name, arrival.seconds, "s", source)
            evidence.judge("measured", measured, at_most(longest_s), "a failover loses as much")
        else:
            measured = Measurement(f"commits that {standby.name} replayed", 0, "count", source)
            evidence.judge(
                "measured", measured, equal_to(1), f"waited for it for {arrival.seconds:.0f} s"
            )


@check(
    "database.replication-slots",
    title="No replication slot fills the disk with WAL, and none has lost its own",
    each="database",
    severity="major",
    why="""A slot keeps WAL until its consumer has read it. If the consumer was taken away and the
    slot was not, it keeps all of it: the disk fills up, and the primary stops.""",
    fix="""See what each holds back, and drop those that nobody reads:
      select slot_name, active, wal_status,
             pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))
      from pg_replication_slots;
      select pg_drop_replication_slot('NAME');
    Set a bound, so that a slot is lost rather than the server:
      alter system set max_slot_wal_keep_size = '50GB'; select pg_reload_conf();
    The limits are `slot_warn_bytes`, `slot_max_bytes` and `slot_idle_max_s` in
    [databases.NAME.limits].""",
)
def test_replication_slots(database: Database, evidence: Evidence) -> None:
    """A server without slots has none that could do so."""
    slots, bounded = replication.slots(database)
    limits = database.limits
    lost = [str(slot) for slot in slots if slot.lost]
    evidence.judge(
        "slots-lost-wal",
        Measurement(
            "slots that lost their WAL", len(lost), "count", "wal_status", samples=len(slots)
        ),
        equal_to(0),
        f"their consumers cannot go on: {listed(lost, between='; ')}",
    )
    no_more_than(
        evidence,
        "wal-slot-holds-back",
        Measurement(
            "WAL that a slot holds back",
            max((slot.held for slot in slots), default=0),
            "bytes",
            "restart_lsn",
            samples=len(slots),
        ),
        warn=limits.slot_warn_bytes,
        fail=limits.slot_max_bytes,
        because=listed(map(str, slots), between="; "),
    )
    idle = [str(slot) for slot in slots if (slot.idle_s or 0) > limits.slot_idle_max_s]
    evidence.judge(
        "slots-without-consumer",
        Measurement("slots without a consumer", len(idle), "count", "inactive_since"),
        equal_to(0),
        listed(idle, between="; "),
        warn_only=True,
    )
    if slots:
        evidence.judge(
            "slots-bound",
            Measurement("slots have a bound", bounded, "truth", "max_slot_wal_keep_size"),
            equal_to(True),
            "max_slot_wal_keep_size is -1: a forgotten slot stops the server",
            warn_only=True,
        )
