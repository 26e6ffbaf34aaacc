"""Reads the headers that protect users as browsers do: what is absent has their default."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.lib.http import Answer

_MAX_AGE: Final = re.compile(r'max-age\s*=\s*"?(\d{1,12})"?', re.IGNORECASE)
_META: Final = re.compile(
    rb"""<meta\s[^>]*http-equiv\s*=\s*["']?content-security-policy["']?[^>]*"""
    rb"""content\s*=\s*(?:"([^"]*)"|'([^']*)')""",
    re.IGNORECASE,
)
_POLICY: Final = "content-security-policy"
_ANYWHERE: Final = frozenset({"*", "http:", "https:", "data:", "http://*", "https://*"})
_EXACT: Final = re.compile(r"'(?:nonce-|sha(?:256|384|512)-).+'|'strict-dynamic'")
# Referrer Policy, 3: those that send the whole address to other origins.
_REFERRERS: Final = frozenset(
    {
        *("no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin"),
        *("origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url"),
    }
)
_TELLING: Final = frozenset({"unsafe-url", "no-referrer-when-downgrade"})
Policy = Mapping[str, Sequence[str]]
"""The sources of each directive of a Content-Security-Policy."""


def sent(answer: Answer, name: str) -> list[str]:
    """The values of a header, one for each line."""
    return [value.strip() for line, value in answer.lines if line == name]


def hsts_s(answer: Answer) -> int | None:
    """The max-age of the first Strict-Transport-Security, which counts; None without a valid one.

    RFC 6797, 6.1 and 8.1.
    """
    values = sent(answer, "strict-transport-security")
    if not values or "," in values[0]:  # joined by a proxy: browsers reject it
        return None
    ages = [_MAX_AGE.fullmatch(part.strip()) for part in values[0].split(";")]
    found = [int(age[1]) for age in ages if age]
    return found[0] if len(found) == 1 else None


def is_sniffed(answer: Answer) -> bool:
    """Whether a browser may take the body for another type than is declared."""
    values = sent(answer, "x-content-type-options")
    return not values or values[0].split(",")[0].strip().lower() != "nosniff"


def can_be_framed(answer: Answer) -> bool:
    """Whether any other site can show the page in a frame."""
    named = [
        policy["frame-ancestors"] for policy in _enforced(answer) if "frame-ancestors" in policy
    ]
    if named:  # X-Frame-Options is ignored then
        return all(_ANYWHERE.intersection(sources) for sources in named)
    options = {value.strip().upper() for line in sent(answer, "x-frame-options")
               for value in line.split(",")}  # fmt: skip
    # Of different values none counts.
    return options not in ({"DENY"}, {"SAMEORIGIN"})


def tells_addresses(answer: Answer) -> bool:
    """Whether links to other sites carry the whole address; without a policy they do not."""
    words = [word.strip().lower() for line in sent(answer, "referrer-policy")
             for word in line.split(",")]  # fmt: skip
    known = [word for word in words if word in _REFERRERS]
    return bool(known) and known[-1] in _TELLING


def has_policy(answer: Answer) -> bool:
    """Whether a Content-Security-Policy is enforced, by a header or in the page."""
    return bool(_policies(answer))


def script_hole(answer: Answer) -> str:
    """How an injected script would run in spite of the policies; empty if it would not.

    All policies apply: one that prevents it is enough.
    """
    holes = [_hole(policy) for policy in _policies(answer)]
    return "" if "" in holes else next(iter(holes), "")


def _hole(policy: Policy) -> str:
    name = "script-src" if "script-src" in policy else "default-src"
    sources = policy.get(name)
    if sources is None:
        return "neither script-src nor default-src"
    exact = any(_EXACT.fullmatch(source) for source in sources)
    if "'unsafe-inline'" in sources and not exact:
        return f"{name} 'unsafe-inline'"
    if "'strict-dynamic'" in sources:  # hosts are ignored then
        return ""
    anywhere = sorted(_ANYWHERE.intersection(sources))
    return f"{name} {anywhere[0]}" if anywhere else ""


def _policies(answer: Answer) -> list[Policy]:
    inside = [(a or b).decode(errors="replace") for a, b in _META.findall(answer.body)]
    return [*_enforced(answer), *map(_parsed, inside)]


def _enforced(answer: Answer) -> list[Policy]:
    values = (text for line in sent(answer, _POLICY) for text in line.split(","))
    return [_parsed(text) for text in values if text.strip()]


def _parsed(text: str) -> Policy:
    policy: dict[str, list[str]] = {}
    for directive in text.lower().split(";"):
        name, *sources = directive.split() or [""]
        if name:
            policy.setdefault(name, sources)  # of two, the first one counts
    return policy


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that is set, without its value.

    Attributes:
        name: its name.
        secure: whether it is only sent over TLS.
        http_only: whether scripts cannot read it.
        same_site: `strict`, `lax` or `none`; empty if that is left to the browser.
    """

    name: str
    secure: bool
    http_only: bool
    same_site: str


def cookies(answer: Answer) -> Iterator[Cookie]:
    """The cookies that an answer sets; those that it removes are left out."""
    for line in sent(answer, "set-cookie"):
        pair, *rest = line.split(";")
        name, _, value = pair.partition("=")
        attributes = {
            key.strip().lower(): text.strip().lower()
            for key, _, text in (part.partition("=") for part in rest)
        }
        removed = attributes.get("max-age", "1").startswith(("0", "-"))
        removed = removed or " 1970 " in attributes.get("expires", "").replace("-", " ")
        if name.strip() and not (removed or not value.strip()):
            yield Cookie(
                name.strip(),
                "secure" in attributes,
                "httponly" in attributes,
                attributes.get("samesite", ""),
            )


def which(answers: Iterable[Answer], wrong: Callable[[Answer], object]) -> list[str]:
    """The answers that are wrong, as "404 https://shop.example.com/nowhere"."""
    return [f"{answer.status} {answer.url}" for answer in answers if wrong(answer)]
