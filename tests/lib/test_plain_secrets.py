"""Names of secrets: one rule for variables of every origin, and for lines of settings."""

import pytest

from readiness.lib.plain_secrets import in_text, in_variables, is_secret_name


@pytest.mark.parametrize(
    "name",
    ["dbPassword", "apiToken", "privateKey", "client-secret", "spring.datasource.password",
     "APIKEY", "DB_PASS", "MYSQL_PWD", "ENCRYPTION_KEY_V2", "S3SecretKey"],
)  # fmt: skip
def test_names_are_read_in_every_spelling(name: str) -> None:
    assert is_secret_name(name)
    assert in_variables({name: "x7Hd2kq"}) == [name]
    assert in_variables({name: "${ELSEWHERE}"}) == []


@pytest.mark.parametrize(
    "name",
    ["NEXT_PUBLIC_API_KEY", "publicKey", "PWD", "maxToken", "USE_TOKEN", "keyboard",
     "PASSWORD_FILE", "tokenUrl"],
)  # fmt: skip
def test_what_is_shown_to_all_or_a_switch_is_none(name: str) -> None:
    assert not is_secret_name(name)


def test_settings_name_objects_by_secret_and_token() -> None:
    text = "tlsSecret: orders-tls\ntoken: csrf\nclient_secret: x7Hd2kq\nauthToken: x7Hd2kq\n"
    assert list(in_text("app", text)) == ["app: client_secret", "app: authToken"]
