"""signoff.manual-items on configurations."""

from datetime import UTC, datetime, timedelta

import pytest

from readiness.config.base.signoffs import Signoff, SignoffPolicy
from readiness.config.base.tables import Target
from readiness.config.models import Config
from readiness.config.subjects import subjects
from readiness.model.evidence import Evidence
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

TODAY = datetime.now(UTC).date()


def judged(**changes: object) -> Evidence:
    signed = {
        "item": "runbook",
        "person": "Ada",
        "evidence": "DOC-7",
        "release": "1.2",
        "expires": TODAY + timedelta(days=3),
    }
    config = Config(
        target=Target(name="shop", release="1.2", deployer="Bob"),
        signoffs=SignoffPolicy(required=["runbook"]),
        signoff=[Signoff.model_validate(signed | changes)],
    )
    evidence = Evidence()
    (item,) = subjects(config, "signoff_item")
    suite("signoff.test_signoff").test_manual_items(item, config, "", evidence)
    return evidence


def test_a_valid_signoff_passes_and_names_its_place() -> None:
    evidence = judged()

    assert misses(evidence) == ""
    assert evidence.measurements[0].source == '[[signoff]] item = "runbook"'


@pytest.mark.parametrize(
    "changes",
    [
        {"item": "rollback"},
        {"person": "Bob"},
        {"release": "1.1"},
        {"expires": TODAY - timedelta(days=2)},
    ],
)
def test_one_that_attests_nothing_about_this_release_is_a_miss(changes: dict[str, object]) -> None:
    found = misses(judged(**changes))

    assert found.startswith("runbook is not signed for 1.2 (`signoffs.required`): ")
