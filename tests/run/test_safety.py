from collections.abc import Collection

import pytest

from readiness.config.models import Config
from readiness.model.check import Effect
from readiness.model.errors import SafetyRefusal
from readiness.model.secrets import Interpolated
from readiness.run.safety import fingerprint, is_production, permissions

OBSERVE, WRITE, LOAD, DISRUPT = Effect


def config(
    *,
    environment: str = "staging",
    allow: Collection[str] = ("observe", "write", "load", "disrupt"),
    in_production: Collection[str] = ("observe",),
    url: str = "http://localhost:8000",
    pw: str = "correct-horse",
    host: str = "db",
    name: str = "shop",
    history: str | None = None,
) -> Config:
    dsn = Interpolated(f"postgresql://m:{pw}@{host}/orders")
    return Config.model_validate(
        {
            "target": {
                "name": name,
                "environment": environment,
                "allow": list(allow),
                "allow_in_production": list(in_production),
            },
            "services": {"b": {"url": url}, "a": {"url": "http://localhost:1"}},
            "databases": {"orders": {"dsn": dsn}},
            "gate": {"history": history} if history else {},
        }
    ).named()


def allowed(
    config: Config,
    environment: str = "staging",
    asked: Collection[Effect] = (),
    confirm: str | None = None,
) -> set[Effect]:
    found = permissions(config, environment, asked=asked, confirm=confirm)
    assert list(found) == list(Effect)
    assert all(permission.reason for permission in found.values())
    return {effect for effect, permission in found.items() if permission.allowed}


def test_the_fingerprint_knows_what_changes_the_release() -> None:
    """A stale file must not lead to another cluster."""

    def of(**changes: str) -> str:
        place = {"context": "staging", "namespace": "shop", "workload": "deployment/shop",
                 "container": "shop", "image": "shop:{release}"}  # fmt: skip
        url = changes.pop("url", "https://shop.example.com")
        limits = {"rate_per_s": float(changes.pop("rate", "50"))}
        deployment = {"url": url, "previous": "1", "adapter": "kubectl",
                      "kubectl": place | changes, **limits}  # fmt: skip
        return fingerprint(
            Config.model_validate(
                {"target": {"name": "shop", "release": "2"}, "deployment": deployment}
            ).named(),
            "staging",
        )

    assert of() == of(rate="20"), "limits are not part of it"
    others = {of(context="other"), of(namespace="other"), of(url="https://other.example.com")}
    assert len(others | {of()}) == 4


def test_the_fingerprint_is_that_of_the_target() -> None:
    mine = fingerprint(config(), "staging")
    assert len(mine) == 12
    assert int(mine, 16) >= 0
    others = {
        fingerprint(config(), "production"),
        fingerprint(config(name="other"), "staging"),
        fingerprint(config(url="http://localhost:8001"), "staging"),
        fingerprint(config(host="other"), "staging"),
    }
    assert len(others | {mine}) == 5


def test_the_fingerprint_is_the_same_whatever_the_secrets_and_limits() -> None:
    mine = fingerprint(config(), "staging")
    assert fingerprint(config(pw="staple-battery"), "staging") == mine
    assert fingerprint(config(allow=["observe"]), "staging") == mine
    assert fingerprint(config(history="postgresql://gate@db/h"), "staging") == mine
    url = Interpolated("http://reader:staple@localhost:8000")
    assert fingerprint(config(url=url), "staging") == mine


def test_reading_is_always_allowed_and_nothing_else_unless_the_file_says_so() -> None:
    assert allowed(config(allow=[])) == {OBSERVE}
    assert allowed(config(allow=["write"])) == {OBSERVE, WRITE}


def test_load_and_disruption_need_the_file_the_question_and_the_fingerprint() -> None:
    mine = fingerprint(config(), "staging")
    assert allowed(config()) == {OBSERVE, WRITE}
    assert allowed(config(), confirm=mine) == {OBSERVE, WRITE}
    assert allowed(config(), asked=[LOAD], confirm=mine) == {OBSERVE, WRITE, LOAD}
    assert allowed(config(), asked=[LOAD, DISRUPT], confirm=mine) == set(Effect)


def test_no_environment_variable_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READINESS_ALLOW", "READINESS_CONFIRM", "READINESS_ENVIRONMENT"):
        monkeypatch.setenv(name, fingerprint(config(), "staging"))
    assert allowed(config()) == {OBSERVE, WRITE}


@pytest.mark.parametrize("environment", ["production", "Production", "prod-eu", "live", "PRD"])
def test_production_has_a_list_of_its_own(environment: str) -> None:
    assert is_production(environment)
    ours = config(environment=environment)
    assert allowed(ours, environment) == {OBSERVE}
    assert allowed(config(environment=environment, in_production=["write"]), environment) == {
        OBSERVE,
        WRITE,
    }
    with pytest.raises(SafetyRefusal, match="allow_in_production: 'load' is not allowed"):
        allowed(ours, environment, asked=[LOAD], confirm=fingerprint(ours, environment))


@pytest.mark.parametrize("environment", ["staging", "test", "preprod", "reference"])
def test_what_is_not_production(environment: str) -> None:
    assert not is_production(environment)


@pytest.mark.parametrize("effect", [WRITE, LOAD, DISRUPT])
def test_what_the_file_does_not_allow_is_refused_when_asked_for(effect: Effect) -> None:
    ours = config(allow=["observe"])
    with pytest.raises(SafetyRefusal, match=f"'{effect}' is not allowed"):
        allowed(ours, asked=[effect], confirm=fingerprint(ours, "staging"))


@pytest.mark.parametrize("confirm", [None, "", "0" * 12, "correct"])
def test_without_the_right_fingerprint_nothing_runs_and_it_is_not_told(confirm: str | None) -> None:
    mine = fingerprint(config(), "staging")
    with pytest.raises(SafetyRefusal, match="readiness plan") as caught:
        allowed(config(), asked=[DISRUPT], confirm=confirm)
    assert mine not in str(caught.value)


def test_the_fingerprint_of_another_environment_does_not_confirm() -> None:
    other = fingerprint(config(), "test")
    with pytest.raises(SafetyRefusal, match="does not match this target"):
        allowed(config(), asked=[LOAD], confirm=other)


def test_a_target_that_is_not_what_the_file_declares_is_refused() -> None:
    with pytest.raises(
        SafetyRefusal, match=r"declares 'staging', but the target reports 'production'"
    ):
        allowed(config(), "production")


def test_a_target_that_did_not_answer_is_handled_as_production() -> None:
    found = permissions(config(), "production", asked=[], confirm=None, said=False)
    assert [effect for effect, p in found.items() if p.allowed] == [OBSERVE]


@pytest.mark.parametrize("in_production", [["observe"], ["observe", "write", "load"]])
def test_a_marker_that_does_not_answer_stops_drills_and_not_the_report(
    in_production: list[str],
) -> None:
    found = permissions(
        config(in_production=in_production), "production", asked=[LOAD, DISRUPT],
        confirm="of staging", said=False, silent="connection refused",
    )  # fmt: skip
    may_write = {WRITE} & {Effect(word) for word in in_production}
    assert {effect for effect, p in found.items() if p.allowed} == {OBSERVE} | may_write
    assert found[LOAD].reason == "the target did not report its environment: connection refused"
    assert found[LOAD].remedy
