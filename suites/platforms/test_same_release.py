"""All platforms together: the same release everywhere, and a transaction through them."""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.platforms.config import Arrival, Config, Everywhere, Render, Supabase, Vercel
from readiness.areas.platforms.probes.live import Live
from readiness.areas.platforms.probes.released import (
    Served,
    agrees,
    served_by,
    unknown,
    version_of,
)
from readiness.areas.platforms.probes.supabase import Project
from readiness.areas.platforms.probes.transactions import place_of, travel
from readiness.fixtures.platforms import RenderOf, SentOf, VercelOf
from readiness.lib.text import listed, worst
from readiness.model.errors import CouldNotMeasure


@check(
    "platforms.release",
    title="Every platform serves this release",
    failure_title="The platforms do not all serve this release",
    each="released",
    severity="blocker",
    judgements=("same", "expected", "version"),
    why="""A deployment that failed on one platform leaves the others on the new release: pages call
    an interface that is not there yet. Each platform on its own is green.""",
    fix="""Deploy the release where it is missing, or roll the others back:
      vercel promote DEPLOYMENT_URL
      curl -X POST https://api.render.com/v1/services/SERVICE/deploys \\
        -H "Authorization: Bearer $KEY" -d '{"commitId": "COMMIT"}'
    The version differs from the platform: the domain of [services.NAME] leads elsewhere, a cache
    answers, or the version is not set by the build.""",
)
def test_release(
    released: Everywhere,
    vercel_of: VercelOf,
    render_of: RenderOf,
    sent_of: SentOf,
    evidence: Evidence,
) -> None:
    """What disagrees is said first, with what each platform serves and since when."""

    def live_of(host: Vercel | Render) -> Live:
        return vercel_of(host) if isinstance(host, Vercel) else render_of(host).live

    seen: list[Served] = []
    for host in released.config.hosts:
        with evidence.attempt():
            seen.append(served_by(host, live_of(host), released.config))
    if seen:
        with evidence.attempt():
            _judge_same(seen, evidence)
            _judge_expected(seen, evidence)
    for one in seen:
        evidence.record(_shown(one, sent_of))
        if one.host.serves is not None:
            with evidence.attempt():
                _judge_version(one, released.config, evidence)
    for project in released.config.projects:
        evidence.record(_state(project))


def _judge_same(seen: list[Served], evidence: Evidence) -> None:
    strangers = [one for one in seen if not one.is_known]
    if 0 < len(strangers) < len(seen):
        # A hash and the tag of an image have nothing to be compared by.
        raise unknown(strangers[0])
    releases = {one.identity for one in seen}
    evidence.judge(
        "same",
        Measurement(
            "releases that are served", len(releases), "count", _sources(seen), samples=len(seen)
        ),
        equal_to(1),
        worst(map(str, sorted(seen, key=lambda one: one.is_expected))),
        says=f"{len(releases)} releases are served",
    )


def _judge_expected(seen: list[Served], evidence: Evidence) -> None:
    """Not judged where they differ: which of them is wrong has been said."""
    if len({one.identity for one in seen}) > 1:
        return
    for one in seen:
        if not one.is_known:
            raise unknown(one)
    wrong = [one for one in seen if not one.is_expected]
    evidence.judge(
        "expected",
        Measurement(
            "platforms that serve another release",
            len(wrong),
            "count",
            _sources(seen),
            samples=len(seen),
        ),
        equal_to(0, seen[0].host.deciding("commit")),
        worst(map(str, wrong)),
        says=f"{len(wrong)} platforms do not serve {seen[0].host.commit}",
    )


def _judge_version(one: Served, target: Config, evidence: Evidence) -> None:
    service = target.services[one.host.serves or ""]
    version = version_of(one.host, service)
    release = target.target.release
    right = agrees(version, one, release)
    evidence.judge(
        "version",
        Measurement(
            f"version of {service.name}",
            release if right else version,
            "text",
            f"GET {service.url}{one.host.version_path}",
        ),
        equal_to(release, "`target.release`"),
        says=f"{service.name} behind {one.host.name} reports {version}",
    )


def _shown(one: Served, sent_of: SentOf) -> Measurement:
    name = f"{one.host.name} ({type(one.host).__name__})"
    watched = _watched(one.host, sent_of)
    return Measurement(name, f"{one.shown}; monitoring: {watched}", "text", one.live.source)


def _watched(host: Vercel | Render, sent_of: SentOf) -> str:
    if not host.monitored:
        return "not declared"
    try:
        return listed(sent_of(host).lacking(host.monitored)) or f"{listed(host.monitored)} sent"
    except CouldNotMeasure:
        return "not known"


def _state(project: Supabase) -> Measurement:
    """The state alone: what it runs is its database, which has no release."""
    name = f"{project.name} (Supabase)"
    with Project(project) as found:
        try:
            return Measurement(name, f"no release, {found.status()}", "text", found.source)
        except CouldNotMeasure as error:
            # Its own check says why.
            return Measurement(name, f"not known: {error.message}", "text", found.source)


def _sources(seen: list[Served]) -> str:
    return "; ".join(one.live.source for one in seen)


@check(
    "platforms.transaction",
    title="A synthetic transaction passes through all platforms",
    failure_title="A synthetic transaction does not arrive at the last platform",
    each="arrival",
    severity="blocker",
    effect="write",
    judgements=("entered", "arrived"),
    why="""Each platform can be healthy while what connects them is not: a wrong address, key or
    network rule of one environment. Users see it first.""",
    fix="""Follow the probe by hand, place by place, to the first place that does not show it:
      curl -si 'ENTER_ADDRESS'
      curl -si 'SEEN_ADDRESS'
    Usually a variable of the new deployment has the address or key of another environment:
      vercel env ls production""",
)
def test_transaction(arrival: Arrival, evidence: Evidence) -> None:
    """The probe has an id that no earlier one had; the places must not show it by themselves."""
    transaction = arrival.transaction
    trip = travel(transaction)
    enter = place_of(transaction.enter)
    evidence.judge(
        "entered",
        Measurement("probes that were accepted", int(trip.accepted), "count", f"GET {enter}"),
        equal_to(1),
        trip.entered,
    )
    if not trip.accepted:
        return
    missing = [
        place_of(step)
        for step, after in zip(transaction.seen, trip.seen_after_s, strict=True)
        if after is None
    ]
    for step, after in zip(transaction.seen, trip.seen_after_s, strict=True):
        if after is not None:
            evidence.record(Measurement(f"seen at {place_of(step)}", after, "s", "the probe"))
    evidence.judge(
        "arrived",
        Measurement("places that the probe did not reach", len(missing), "count", f"GET {enter}"),
        equal_to(0, transaction.deciding("within_s")),
        trip.last,
        says=f"{', '.join(missing)} did not show the probe within {transaction.within_s:g} s",
    )
