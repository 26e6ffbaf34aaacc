"""Mistakes across tables: references to missing tables, duplicates, dates."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from readiness.areas.registry import areas
from readiness.config.base.mistakes import Mistake, Path, known, twice
from readiness.config.base.signoffs import Signoff
from readiness.config.base.tables import Config, DatabaseMarker, HttpMarker
from readiness.config.values import leaves
from readiness.model.errors import did_you_mean
from readiness.model.secrets import Secret


def cross_mistakes(config: Config, today: date) -> Iterator[Mistake]:
    """Mistakes that concern several tables."""
    yield from _secrets(config)
    yield from _marker(config)
    yield from _release(config)
    waivers = ((w.check, w.subject, w.error) for w in config.waiver)
    yield from twice(("waiver",), "check", waivers)
    yield from _excused_twice(config)
    yield from twice(("observe_only",), "what", (d.what for d in config.observe_only))
    yield from _dates(config, today)
    yield from _signoffs(config)
    for area in areas():
        yield from area.mistakes(config, today)


def _excused_twice(config: Config) -> Iterator[Mistake]:
    known: set[str] = set()
    for index, excused in enumerate(config.not_applicable):
        for what in excused.each:
            if what in known:
                place = ("not_applicable", index, "what")
                yield Mistake(place, f"duplicate entry {what!r}", "keep one of them")
            known.add(what)


def _secrets(config: Config) -> Iterator[Mistake]:
    for path, value in leaves(config):
        if isinstance(value, Secret) and not value.reveal().strip():
            yield Mistake(path, "the secret is empty", "set its environment variable")


def _marker(config: Config) -> Iterator[Mistake]:
    match config.target.marker:
        case HttpMarker(service=name):
            yield from known(("target", "marker", "service"), name, "services", config.services)
        case DatabaseMarker(database=name):
            yield from known(("target", "marker", "database"), name, "databases", config.databases)


def _release(config: Config) -> Iterator[Mistake]:
    if config.target.image and config.target.release == "unknown":
        yield Mistake(
            ("target", "release"),
            "is required with `image`: what is attested or signed off needs a name",
            'name the release of this image, as release = "2.4.1"',
        )


def _dates(config: Config, today: date) -> Iterator[Mistake]:
    gate = config.gate
    for index, waiver in enumerate(config.waiver):
        place: Path = ("waiver", index, "expires")
        yield from _too_late(place, waiver.expires, today, "waiver_max_days", gate.waiver_max_days)
    for index, observed in enumerate(config.observe_only):
        place = ("observe_only", index, "until")
        yield from _too_late(place, observed.until, today, "waiver_max_days", gate.waiver_max_days)
    for index, excused in enumerate(config.not_applicable):
        place = ("not_applicable", index, "review")
        yield from _too_late(place, excused.review, today, "review_max_days", gate.review_max_days)


def _too_late(place: Path, day: date, today: date, key: str, days: int) -> Iterator[Mistake]:
    try:
        last = today + timedelta(days=days)
    except OverflowError:
        last = date.max
    if day > last:
        yield Mistake(
            place,
            f"{day} is more than {days} days ahead, the limit of [gate] {key}",
            f"use {last} or earlier, and renew it if it is still needed",
        )


def _signoffs(config: Config) -> Iterator[Mistake]:
    required = config.signoffs.required if config.signoffs else []
    yield from twice(("signoffs", "required"), "", required)
    yield from signoff_mistakes(config.signoff, required)
    if config.signoffs:
        policy = config.signoffs
        tables = {"four_eyes": policy.four_eyes, "signed": policy.signed, "guides": policy.guides}
        for key, items in tables.items():
            for index, item in enumerate(items):
                place = item if key == "guides" else index
                yield from _required(("signoffs", key, place), item, required)
    if config.signoffs and not config.target.deployer.strip():
        yield Mistake(
            ("target", "deployer"),
            "is required with sign-offs, so that the deployer cannot sign",
            "name who deploys this release",
        )


def signoff_mistakes(signed: Sequence[Signoff], required: Sequence[str]) -> Iterator[Mistake]:
    """Report sign-offs that are duplicates or not required.

    Args:
        signed: the sign-offs, in the order of the file.
        required: the items of `[signoffs] required`.
    """
    # The same person may sign again: for another image, or after the configuration changed.
    given = [(s.item, s.release, s.person, s.image, s.config_sha256) for s in signed]
    yield from twice(("signoff",), "item", given)
    for index, one in enumerate(signed):
        yield from _required(("signoff", index, "item"), one.item, required)


def _required(place: Path, item: str, required: Sequence[str]) -> Iterator[Mistake]:
    if item not in required:
        hint = did_you_mean(item, required)
        yield Mistake(
            place,
            f"no sign-off of {item!r} is required. {hint}".rstrip(". "),
            "add it to [signoffs] required",
        )
