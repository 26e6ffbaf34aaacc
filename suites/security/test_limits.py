"""Limits as they are enforced: requests of one client, and the size of a body."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.security.config import BodyLimit, Site
from readiness.areas.security.probes import limits
from readiness.areas.security.probes.limits import Uploaded

_TOO_MANY = 429


@check(
    "security.rate-limit",
    title="The agreed limit of requests is enforced, with the status 429",
    failure_title="The limit of requests is not enforced as agreed",
    why="""What is declared is rarely what is enforced: the ingress of nginx allows five times the
    number, on each replica, and answers 503; a limit that believes X-Forwarded-For stops nobody who
    sends one. Passwords are then guessed at full speed.""",
    fix="""Count it:
    for i in $(seq 150); do curl -so /dev/null -w '%{http_code}\\n' LIMITED_URL; done | uniq -c
nginx: limit_req_zone $binary_remote_addr zone=clients:10m rate=100r/m;
       limit_req zone=clients burst=20 nodelay;  limit_req_status 429;
Ingress: nginx.ingress.kubernetes.io/limit-rpm, limit-burst-multiplier: "1", and by replica
Behind a proxy: trust X-Forwarded-For of that proxy alone (set_real_ip_from). If this machine is
such a proxy: `claims = false` in [security.sites.NAME.rate_limit].""",
    severity="major",
    effect="load",
    each="site",
    needs="rate_limit",
    judgements=("enforced", "status"),
)
def test_rate_limit(site: Site, evidence: Evidence) -> None:
    """One request after the other; the first refusal is the last request."""
    agreed = site.rate_limit
    assert agreed, "`needs` of the check"
    found = limits.burst(site, agreed)
    source = f"GET {site.url}{agreed.path}"
    claims = ", each with another X-Forwarded-For" if agreed.claims else ""
    evidence.judge(
        "enforced",
        Measurement("requests answered before a refusal", found.accepted, "count", source),
        at_most(agreed.requests + agreed.burst, agreed.deciding("requests")),
        says=f"{found.accepted} requests were answered in {found.took_s:.1f} s{claims}",
    )
    if found.refusal is not None:
        evidence.judge(
            "status",
            Measurement("status of the refusal", found.refusal, "status", source),
            equal_to(_TOO_MANY),
            says=f"Too many requests are refused with {found.refusal}: clients, and our own alerts,"
            " take that for an outage",
        )


@check(
    "security.body-limit",
    title="Bodies up to the agreed size are taken, and larger ones are refused",
    failure_title="The limit of a body is not enforced as agreed",
    why="""A few uploads without a limit fill the memory or the disk of every instance. A limit that
    only looks at Content-Length does not see a body that is sent in chunks.""",
    fix="""nginx: client_max_body_size 10m;
Ingress: nginx.ingress.kubernetes.io/proxy-body-size: 10m
The service too, while it reads, and not only from Content-Length.
    head -c 10485761 /dev/zero | curl -si -X POST --data-binary @- UPLOAD_URL | head -1
    head -c 10485761 /dev/zero | curl -si -X POST -T - UPLOAD_URL | head -1     (in chunks)""",
    severity="major",
    effect="write",
    each="site",
    needs="body_limit",
    judgements=("taken", "refused", "chunked"),
)
def test_body_limit(site: Site, evidence: Evidence) -> None:
    """What is announced is not sent; what is sent are blanks, which no application stores."""
    agreed = site.body_limit
    assert agreed, "`needs` of the check"
    most, setting = agreed.max_bytes, agreed.deciding("max_bytes")
    with evidence.attempt():
        taken = limits.announce(site, agreed, most)
        evidence.judge(
            "taken",
            _measured(taken, most),
            equal_to(value=False, setting=setting),
            says=f"{agreed.path} {taken.words} to a body of {most:,} bytes, which is allowed",
        )
    with evidence.attempt():
        _judge_refused("refused", _announced_or_sent(site, agreed), agreed, evidence)
    with evidence.attempt():
        chunked = limits.upload(site, agreed, most + 1, chunked=True)
        _judge_refused("chunked", chunked, agreed, evidence)


def _announced_or_sent(site: Site, agreed: BodyLimit) -> Uploaded:
    """A large body is not sent where its announcement is refused."""
    announced = limits.announce(site, agreed, agreed.max_bytes + 1)
    if announced.refused:
        return announced
    return limits.upload(site, agreed, agreed.max_bytes + 1, chunked=False)


def _judge_refused(key: str, sent: Uploaded, agreed: BodyLimit, evidence: Evidence) -> None:
    how = "in chunks" if key == "chunked" else "with Content-Length"
    evidence.judge(
        key,
        _measured(sent, agreed.max_bytes + 1, how),
        equal_to(value=True, setting=agreed.deciding("max_bytes")),
        says=f"{agreed.path} {sent.words} to a body of {agreed.max_bytes + 1:,} bytes {how}",
    )


def _measured(sent: Uploaded, size: int, how: str = "announced") -> Measurement:
    name = f"a body of {size:,} bytes, {how}, is refused"
    return Measurement(name, sent.refused, "truth", f"request of {sent.url}")
