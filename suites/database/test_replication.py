"""Standbys that follow, and replication slots that fill the disk."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import replication
from readiness.lib.findings import none_of
from readiness.lib.text import listed

_STREAMING = "streaming"


@check(
    "database.standby-connected",
    title="Every standby receives what the primary writes",
    failure_title="A standby does not receive what the primary writes",
    each="database",
    needs="standbys",
    severity="blocker",
    explains=("database.replication-lag", "database.replication-slots"),
    why="""A standby that lost its primary still answers, with older and older data; after a
    failover everything written since is gone. Its own figures do not show it: without a receiver,
    received and replayed are equal, which most exporters call a lag of zero.""",
    fix="""Look at both ends:
    primary:  select application_name, state, sync_state from pg_stat_replication;
    standby:  select status, latest_end_time from pg_stat_wal_receiver;
The standby's log says why: a changed password; an application_name in `primary_conninfo` that is
not the name declared here; WAL that was removed: rebuild it with pg_basebackup, and a slot.""",
    judgements=("on-primary", "on-standby"),
)
def test_standby_connected(database: Database, evidence: Evidence) -> None:
    """Seen from both ends, under the name by which the primary knows it."""
    links, known = replication.links(database)
    for link in links:
        state = link.on_primary
        evidence.judge(
            "on-primary",
            Measurement(f"{link.standby} on the primary", state, "text", "pg_stat_replication"),
            equal_to(_STREAMING),
            f"the primary knows {listed(known) or 'no standby'}",
            says=f"The primary shows the standby {link.standby} as {state}",
        )
        receiver = link.on_standby if link.follows else "not in recovery: it accepts writes"
        measured = Measurement(f"{link.standby} itself", receiver, "text", "pg_stat_wal_receiver")
        says = f"The standby {link.standby} reports: {receiver}"
        evidence.judge("on-standby", measured, equal_to(_STREAMING), says=says)


@check(
    "database.replication-lag",
    title="A commit on the primary is soon visible on every standby",
    failure_title="Commits on the primary are not visible on a standby in time",
    each="database",
    needs="standbys",
    severity="major",
    effect="write",
    why="""What a standby has not replayed is lost at a failover, and users who read from it see
    old data. The figures of a stalled server look perfect; only a commit that is waited for shows
    the lag.""",
    fix="""See where it stalls, on the primary:
    select application_name, state, write_lag, flush_lag, replay_lag from pg_stat_replication;
and on the standby, whether replay is paused or waits for a query:
    select pg_is_wal_replay_paused();   select pg_wal_replay_resume();
    select pid, now() - xact_start, left(query, 80) from pg_stat_activity order by xact_start;""",
    judgements=("lag",),
)
def test_replication_lag(database: Database, evidence: Evidence) -> None:
    """By a message in the WAL that is committed on the primary; nothing else is written."""
    limits = database.limits
    limit = at_most(limits.replication_lag_max_s, limits.deciding("replication_lag_max_s"))
    for standby in database.standbys.values():
        arrival = replication.lag(database, standby, limits.replication_lag_max_s)
        had = "had" if arrival.arrived else "had not"
        measured = Measurement(
            f"Time until {standby.name} had replayed a commit",
            arrival.seconds if arrival.arrived else float("inf"),
            "s",
            "pg_logical_emit_message, pg_last_wal_replay_lsn",
        )
        says = f"{standby.name} {had} replayed a commit after {arrival.seconds:.3g} s"
        evidence.judge("lag", measured, limit, "a failover would lose as much", says=says)


@check(
    "database.replication-slots",
    title="Slots are read and retain little WAL, and subscriptions apply changes",
    failure_title="A replication slot retains WAL for nobody, or a subscription is not applied",
    each="database",
    severity="major",
    why="""A slot keeps WAL until its consumer has read it. If the consumer is gone and the slot is
    not, the disk fills up, and the primary stops. A subscription that was disabled serves older and
    older data, and its slot fills the disk of the other server.""",
    fix="""See what each slot retains:
    select slot_name, active, wal_status,
           pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))
    from pg_replication_slots;
lost, retained: drop one without a consumer; of one that lost its WAL, rebuild the consumer:
    select pg_drop_replication_slot('NAME');
bounded: set a bound, so that a slot is lost and not the server:
    alter system set max_slot_wal_keep_size = '50GB'; select pg_reload_conf();
subscriptions: one is off, or fails (the log has the error):  alter subscription NAME enable;""",
    judgements=("lost", "retained", "bounded", "subscriptions"),
)
def test_replication_slots(database: Database, evidence: Evidence) -> None:
    """By the WAL that a slot retains, and by its time without a consumer.

    Before PostgreSQL 17 that time is not known, and a slot without a consumer is a warning.
    """
    slots, bounded = replication.slots(database)
    limits, described = database.limits, listed(map(str, slots), between="; ")
    lost = [str(slot) for slot in slots if slot.lost]
    name = "replication slots lost their WAL, and their consumers cannot continue"
    none_of(evidence, "lost", name, lost, len(slots), "wal_status of pg_replication_slots")
    measured = Measurement(
        "WAL retained by one slot",
        max((slot.held for slot in slots), default=0),
        "bytes",
        "restart_lsn of pg_replication_slots",
        samples=len(slots),
    )
    keys = ("slot_warn_bytes", "slot_max_bytes")
    no_more_than(evidence, "retained", measured, limits, keys, described)
    idle = [slot.idle_s for slot in slots if slot.idle_s is not None]
    if idle:
        name = "Longest time of a slot without a consumer"
        evidence.judge(
            "retained",
            Measurement(name, max(idle), "s", "inactive_since"),
            at_most(limits.slot_idle_max_s, limits.deciding("slot_idle_max_s")),
            described,
            warn_only=True,
        )
    left = [str(slot) for slot in replication.unread(database)] if slots else []
    name = "replication slots have no consumer"
    none_of(evidence, "retained", name, left, len(slots), "pg_replication_slots", warn_only=True)
    if slots:
        measured = Measurement(
            "WAL of slots is bounded", bounded, "truth", "max_slot_wal_keep_size"
        )
        says = "max_slot_wal_keep_size is -1, so a forgotten slot stops the server"
        evidence.judge("bounded", measured, equal_to(value=True), says=says, warn_only=True)
    subscriptions = replication.subscriptions(database)
    off = [str(one) for one in subscriptions if not one.works]
    name, source = "subscriptions apply no changes", "pg_stat_subscription"
    none_of(evidence, "subscriptions", name, off, len(subscriptions), source)
