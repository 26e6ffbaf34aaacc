"""The course of a drill that lost requests, for tests of the report."""

from readiness.model.course import Band, Course, Series, Track

SLOTS = 40


def lost_requests() -> Course:
    """Ten seconds: 1.4.0 goes at 4 s, 1.5.0 comes at 5 s, and nobody is there between."""
    old = tuple(10.0 if slot < 16 else 0.0 for slot in range(SLOTS))
    new = tuple(10.0 if slot >= 20 else 0.0 for slot in range(SLOTS))
    failed = tuple(10.0 if 16 <= slot < 20 else 0.0 for slot in range(SLOTS))
    served = tuple(2.0 if 14 <= slot < 24 else 3.0 for slot in range(SLOTS))
    return Course(
        0.25,
        (Band(0, 3, "steady"), Band(3, 10, "deploy 1.5.0")),
        (
            Track("answers by release", "parts", (Series("1.4.0", old), Series("1.5.0", new))),
            Track("failed requests", "misses", (Series("failed requests", failed),)),
            Track("replicas that serve", "level", (Series("replicas", served),), 3, "3 needed"),
        ),
        ("deploy 1.5.0 (40 failed): start the new release before the old one is stopped",),
    )
