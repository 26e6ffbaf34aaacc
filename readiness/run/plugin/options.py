"""The options that the plugin adds to pytest."""

import argparse
from typing import Final

import pytest

# Not in `pytest --help`.
_INTERNAL: Final = argparse.SUPPRESS


def add_options(parser: pytest.Parser) -> None:
    """Add `--readiness` and its companions."""
    group = parser.getgroup("readiness", "production readiness gate")
    group.addoption(
        "--readiness",
        action="store_true",
        help="judge the target with the collected checks (implied by running the shipped suites)",
    )
    group.addoption("--readiness-config", metavar="FILE", help="the readiness.toml to use")
    group.addoption(
        "--readiness-reports", metavar="DIR", default="reports", help="folder for the reports"
    )
    for name, what in (
        ("suite", "judge this suite only"),
        ("select", "judge this check only: id or id[subject]"),
        ("ignore", "skip this check: id or id[subject]"),
        ("allow", "allow an effect on the target: load or disrupt"),
    ):
        group.addoption(
            f"--readiness-{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"{what} (repeatable)",
        )
    group.addoption(
        "--readiness-confirm",
        metavar="FINGERPRINT",
        help="fingerprint printed by `readiness plan`",
    )
    group.addoption("--readiness-baseline", metavar="FILE", help="record to compare with")
    group.addoption(
        "--readiness-report-only", action="store_true", help="exit 0 whatever the verdict"
    )
    group.addoption("--readiness-debug", action="store_true", help="also write pytest.html")
    group.addoption(
        "--readiness-evidence",
        choices=["full", "findings"],
        default="full",
        help="findings: leave the figures of what passed out of the page",
    )
    # Internal: between the processes of one run.
    group.addoption("--readiness-folder", help=_INTERNAL)
    group.addoption("--readiness-quiet-phase", help=_INTERNAL)
    group.addoption("--readiness-record-only", action="store_true", help=_INTERNAL)
