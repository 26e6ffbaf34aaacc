"""Does TimescaleDB compress and drop the chunks of a table, and how fast does it grow?"""

from collections.abc import Sequence

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.database.subjects_timescale import ExpectedHypertable
from readiness.areas.database.timescale import growth, hypertables, policies, sizes
from readiness.areas.database.timescale.hypertables import Chunk
from readiness.areas.database.timescale.policies import Policy, Scheduled
from readiness.lib.postgres import timescale
from readiness.lib.text import listed

_DAY_S = 86_400
_GB = 1e9


@check(
    "database.timescale-compression",
    title="Older chunks are compressed, all that are due, and it saves what was promised",
    why="""The disk was planned for compressed rows. A policy that was paused, removed or left
    behind by a restore compresses nothing, and the ratio of the chunks that once were compressed
    stays as good as ever: it says nothing of those that are not.""",
    fix="""See the policy, and compress by hand what is due (the message names it):
    select * from timescaledb_information.jobs where proc_name = 'policy_compression';
    select compress_chunk('CHUNK');
No policy: select add_compression_policy('TABLE', interval '7 days');
Switched off: select alter_job(JOB, scheduled => true);
It saves too little: order and segment by what queries filter by and what repeats:
    alter table TABLE set (timescaledb.compress, timescaledb.compress_segmentby = 'device',
                           timescaledb.compress_orderby = 'time');""",
    severity="major",
    effect="observe",
    each="compressed_hypertable",
)
def test_timescale_compression(
    compressed_hypertable: ExpectedHypertable, evidence: Evidence
) -> None:
    """Policy, coverage and ratio; where nothing is compressed, that is the finding."""
    expected = compressed_hypertable.expected
    with timescale.connected(compressed_hypertable.database) as (connection, found):
        table = hypertables.hypertable(connection, expected.table)
        chunks = hypertables.chunks(connection, table)
        policy = policies.scheduled(connection, table, Policy.COMPRESSION)
        saved = sizes.saved(connection, found, table)
    on = _judge_policy(evidence, policy, expected.table, "compress")
    if on:
        _judge_coverage(evidence, chunks, policy, expected.compression_min_coverage)
    anything = evidence.judge(
        "compressed-chunks",
        Measurement("compressed chunks", saved.chunks, "count", "chunk_compression_stats"),
        at_least(1),
        f"nothing of {expected.table} is compressed: {len(chunks)} chunks are not",
    )
    if anything:
        evidence.judge(
            "share-bytes-saved",
            Measurement(
                f"share of the bytes saved in {expected.table}",
                saved.ratio,
                "ratio",
                f"chunk_compression_stats: {saved.before} bytes before, {saved.after} after",
                samples=saved.known,
            ),
            at_least(expected.compression_min_ratio),
            f"of {saved.known} compressed chunks; see segmentby and orderby",
        )


def _judge_policy(evidence: Evidence, policy: Sequence[Scheduled], table: str, does: str) -> bool:
    return evidence.judge(
        "policies-switched",
        Measurement(
            f"policies switched on that {does} {table}",
            len(policy),
            "count",
            "timescaledb_information.jobs",
        ),
        at_least(1),
        "it was removed or paused",
    )


def _judge_coverage(
    evidence: Evidence, chunks: Sequence[Chunk], policy: Sequence[Scheduled], least: float
) -> None:
    due = [chunk for chunk in chunks if any(each.is_overdue(chunk) for each in policy)]
    source = "timescaledb_information.chunks"
    evidence.record(Measurement("chunks due for compression", len(due), "count", source))
    if not due:
        return
    left = [chunk for chunk in due if not chunk.compressed]
    evidence.judge(
        "share-due-chunks-compressed",
        Measurement(
            "share of the due chunks that is compressed",
            1 - len(left) / len(due),
            "ratio",
            source,
            samples=len(due),
        ),
        at_least(least),
        f"not compressed: {_worst(left)}",
    )


@check(
    "database.timescale-retention",
    title="Rows that are older than agreed are really gone",
    why="""A retention policy that does not run fills the disk, and keeps what had to be deleted by
    contract or law. The policy's own record says that it ran, not that the rows are gone.""",
    fix="""Drop what is overdue, and see why the policy did not:
    select drop_chunks('TABLE', older_than => interval '90 days');
    select * from timescaledb_information.job_stats;
No policy: select add_retention_policy('TABLE', drop_after => interval '90 days');
Switched off: select alter_job(JOB, scheduled => true);
Another time was agreed: change `keep_d`.""",
    severity="major",
    effect="observe",
    each="expiring_hypertable",
)
def test_timescale_retention(expiring_hypertable: ExpectedHypertable, evidence: Evidence) -> None:
    """The policy, and the chunks that are there in spite of it."""
    expected = expiring_hypertable.expected
    assert expected.keep_d is not None, "the subject declares how long it keeps rows"
    with timescale.connected(expiring_hypertable.database) as (connection, _):
        table = hypertables.hypertable(connection, expected.table)
        chunks = hypertables.chunks(connection, table)
        policy = policies.scheduled(connection, table, Policy.RETENTION)
    if _judge_policy(evidence, policy, expected.table, "drop rows of"):
        evidence.judge(
            "days-policy-keeps",
            Measurement(
                f"days that the policy keeps {expected.table}",
                min(each.after_s for each in policy) / _DAY_S,
                "d",
                "timescaledb_information.jobs",
            ),
            equal_to(expected.keep_d),
            "the policy and the agreement differ",
        )
    # The agreement decides what is too old, at the pace of the policy or, without one, of a day.
    every_s = max((each.every_s for each in policy), default=_DAY_S)
    agreed = Scheduled(job=0, every_s=every_s, after_s=expected.keep_d * _DAY_S)
    overdue = [chunk for chunk in chunks if agreed.is_overdue(chunk)]
    evidence.judge(
        "chunks-should-gone",
        Measurement(
            f"chunks of {expected.table} that should be gone",
            len(overdue),
            "count",
            "timescaledb_information.chunks",
            samples=max(1, len(chunks)),
        ),
        equal_to(0),
        f"still there: {_worst(overdue)}",
    )


@check(
    "database.timescale-growth",
    title="A month of rows takes no more room than was planned",
    why="""What a sensor, tenant or log line more costs is seen when the disk is full. A table's
    size hides it: compression makes it jump, retention makes it stand still. Chunks that are
    complete tell what each month of rows really takes, before anything is dropped.""",
    fix="""See which tables and chunks are large:
    select chunk_name, pg_size_pretty(total_bytes) from chunks_detailed_size('TABLE')
    order by total_bytes desc limit 10;
Compress (see database.timescale-compression), write fewer rows or columns, drop indexes that
nobody uses (an index on a chunk is often larger than the compressed rows), or keep aggregates
instead of rows. More was planned: raise `growth_max_gb`.""",
    severity="major",
    effect="observe",
    each="hypertable",
)
def test_timescale_growth(hypertable: ExpectedHypertable, evidence: Evidence) -> None:
    """By the newest month of chunks that are complete, and compressed where they are to be."""
    expected = hypertable.expected
    with timescale.connected(hypertable.database) as (connection, found):
        table = hypertables.hypertable(connection, expected.table)
        chunks = hypertables.chunks(connection, table)
        policy = policies.scheduled(connection, table, Policy.COMPRESSION)
        on_disk = sizes.on_disk(connection, found, table)
    after_s = max((each.overdue_s for each in policy), default=0.0)
    measured = growth.growth(growth.settled(chunks, after_s), on_disk, expected.table)
    evidence.judge(
        "bytes-disk-30-days",
        Measurement(
            f"bytes on disk that 30 days of {expected.table} take",
            measured.bytes_per_month / _GB,
            "GB",
            f"chunks_detailed_size, of {measured.span_s / _DAY_S:.3g} days",
            samples=measured.chunks,
        ),
        at_most(expected.growth_max_gb),
        f"by {measured.chunks} complete chunks",
    )


def _worst(chunks: Sequence[Chunk]) -> str:
    """The oldest ones, by name and age."""
    oldest = sorted(chunks, key=lambda chunk: -chunk.age_s)
    return listed(
        f"{chunk.schema}.{chunk.name} ({chunk.age_s / _DAY_S:.3g} days)" for chunk in oldest
    )
