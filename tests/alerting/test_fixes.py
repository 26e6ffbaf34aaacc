"""Rules that fix texts show: whoever adds one has a rule that the other checks accept.

Stands alone, as it starts nothing.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from readiness.areas.alerting.promql import parse
from tests.support.advice import checks, fix

_RULE: Final = re.compile(r"^( *)- alert: .*\n(?:\1  .*\n?)*", re.MULTILINE)


def _rules() -> Iterator[tuple[str, dict[str, Any]]]:
    for check in checks("alerting"):
        for found in _RULE.finditer(f"{fix(check)}\n"):
            for rule in yaml.safe_load(found[0]):
                yield check, rule


_FOUND: Final = list(_rules())


@pytest.mark.parametrize(("check", "rule"), _FOUND, ids=[f"{c}-{r['alert']}" for c, r in _FOUND])
def test_a_rule_of_a_fix_has_what_rules_must_have(check: str, rule: dict[str, Any]) -> None:
    """As `alerting.rule-metadata` judges; a dead man's alert notifies no person."""
    parse(rule["expr"])
    # absent() of a job that only a text names is true for ever.
    assert set(re.findall(r'job="([^"]*)"', rule["expr"])) <= {"JOB"}
    severity = rule["labels"]["severity"]
    if check != "alerting.dead-man":
        assert severity == "critical"
        assert {"summary", "runbook_url"} <= rule["annotations"].keys()
    assert {rule["alert"] for _, rule in _FOUND} >= {"TargetDown", "JobGone", "Watchdog"}
