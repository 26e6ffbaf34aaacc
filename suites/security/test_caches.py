"""Shared caches: what they must not keep, what they should answer, and that they forget in time."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.security.config import Site
from readiness.areas.security.probes import cache_away, caches
from readiness.areas.security.probes.caches import Stored
from readiness.lib.findings import none_of
from readiness.lib.guardian import Undo
from readiness.lib.retry import judge_time


@check(
    "security.private-answers",
    title="What one user sees is not kept by caches for others",
    failure_title="A cache may show one user's page to others",
    why="""A cache in front of the service does not know who asks. What it keeps of one user it
    shows to the next one: names, orders, tokens. One rule too many in the CDN is enough.""",
    fix="""Let the service say so: Cache-Control: no-store
and let caches respect it:
    nginx: proxy_no_cache $http_authorization $cookie_session;
           proxy_cache_bypass $http_authorization $cookie_session;
    no proxy_ignore_headers Cache-Control; in a CDN no "cache everything"
Remove what is kept already (nginx: the folder of proxy_cache_path; CDN: purge).""",
    severity="blocker",
    effect="observe",
    each="site",
    needs=("pages", "opened"),
    judgements=("policy", "served"),
)
def test_private_answers(site: Site, evidence: Evidence) -> None:
    """The page is opened with its credentials, and then requested without."""
    found: list[Stored] = []
    for page in site.opened:
        with evidence.attempt():
            found.append(caches.stored(site, page))
    if not found:
        return
    source = f"GET {site.url}: cache-control"
    shareable = [
        f"{one.path} ({one.policy or 'no Cache-Control'})" for one in found if one.shareable
    ]
    none_of(
        evidence, "policy", "protected pages may be kept by shared caches", shareable, len(found),
        source,
    )  # fmt: skip
    served = [f"{one.path} opens without credentials after it" for one in found if one.served]
    none_of(evidence, "served", "protected pages came from a cache", served, len(found), source)


@check(
    "security.cache-hits",
    title="Pages that a shared cache should answer are answered by it",
    failure_title="A page that should come from the cache does not",
    why="""Without its cache the service gets every request itself, ten times as many as it was
    sized for. It happens unseen: one cookie, one `Vary` or one `no-store` is enough.""",
    fix="""Request it twice, and see what the cache says, and what forbids it:
    curl -so /dev/null URL/PATH; curl -siI URL/PATH | grep -iE 'cache|age|vary|set-cookie'
Remove Set-Cookie and `Vary: Cookie` from pages that are the same for everybody, and let the service
say how long they may be kept: Cache-Control: public, max-age=60
Another cache, another header: set `header` in [security.sites.NAME.cached.NAME].""",
    severity="major",
    effect="observe",
    each="site",
    needs="cached",
    judgements=("hit",),
)
def test_cache_hits(site: Site, evidence: Evidence) -> None:
    """The first request may fill the cache; the second one must come from it."""
    for cached in site.cached.values():
        with evidence.attempt():
            said = caches.second(site, cached)
            evidence.judge(
                "hit",
                said,
                equal_to(caches.HIT, cached.deciding("path")),
                says=f"The second request of {cached.path} is not answered by the cache:"
                f" {said.value}",
            )


@check(
    "security.cache-invalidation",
    title="A change is shown by every replica in the agreed time",
    failure_title="A replica still shows what was changed",
    why="""Every replica keeps its own copy in memory, besides the one that all share. A change
    that reaches only one of them leaves the old price on the pages of all others.""",
    fix="""Let a change remove the page from all layers: the shared one first, then every replica's
(a message that all receive: Redis PUBLISH, PostgreSQL NOTIFY), and end copies in memory soon:
    redis-cli publish invalidate KEY
Look at one replica after another, past the load balancer:
    for r in REPLICA...; do curl -s $r/PATH | md5sum; done""",
    severity="major",
    effect="write",
    each="site",
    needs=("cached", "changing"),
    judgements=("fresh",),
)
def test_cache_invalidation(site: Site, evidence: Evidence, guardian: Undo) -> None:
    """The page past all caches must show the change, and must not change by itself."""
    for cached in site.changing:
        change = cached.change
        assert change, "`changing` finds those that have it"
        with evidence.attempt():
            seen = caches.spread(site, cached, change, guardian)
            none_of(
                evidence,
                "fresh",
                f"replicas still show the old {cached.path} after {change.within_s:g} s",
                seen.stale,
                seen.replicas,
                f"GET {cached.path} after {' '.join(change.command)}",
                setting=change.deciding("within_s"),
            )


@check(
    "security.cache-outage",
    title="Pages are answered in the agreed time while the shared cache is away",
    failure_title="Without the shared cache, pages fail or take too long",
    why="""A cache that the service cannot do without is one more database, without replicas and
    backups. A service that waits for it in each request is down as long as the cache is.""",
    fix="""Let a failed look-up be a miss, and give connections and answers of the cache a limit far
below that of the page:
    redis-py: Redis(socket_connect_timeout=0.1, socket_timeout=0.1), except RedisError: compute it
    ioredis: {connectTimeout: 100, commandTimeout: 100, maxRetriesPerRequest: 1}
    Lettuce: commandTimeout 100 ms, DisconnectedBehavior.REJECT_COMMANDS
After several failures, do not ask for some seconds (a circuit breaker). Then run `away`, look, and
run `back`:
    curl -so /dev/null -w '%{http_code} %{time_total}\\n' ORIGIN/PATH""",
    severity="major",
    effect="disrupt",
    each="site",
    needs="cache_drill",
    judgements=("answers", "time"),
)
def test_cache_outage(site: Site, evidence: Evidence, guardian: Undo) -> None:
    """The cache is restored in `finally`, and by the guardian if this run is killed."""
    drill = site.cache_drill
    assert drill, "`needs` of the check"
    seen = cache_away.run(site, drill, guardian)
    source = f"GET {drill.origin}{drill.path}"
    without = f"without {drill.cache}"
    none_of(
        evidence, "answers", f"requests {without} failed", seen.failed, cache_away.REQUESTS, source
    )
    if seen.took_ms:
        slowest = Measurement(
            f"slowest answer {without}", max(seen.took_ms), "ms", source, samples=len(seen.took_ms)
        )
        limit = at_most(drill.max_ms, drill.deciding("max_ms"))
        with evidence.attempt():
            judge_time(evidence, "time", slowest, limit, min(seen.took_ms), seen.noise)
