"""What values of variables mean: real ones, healthy and not."""

import secrets
import string
import uuid

import pytest

from readiness.areas.configuration import words
from readiness.areas.configuration.environment import password_in


@pytest.mark.parametrize(
    "name",
    [
        "JWT_SECRET", "CRON_SECRET", "SECRET_KEY", "SECRET_KEY_BASE", "DJANGO_SECRET_KEY",
        "POSTGRES_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "DB_PASSWD", "REDIS_PASSWORD",
        "API_KEY", "STRIPE_API_KEY", "APIKEY", "GITHUB_TOKEN", "SLACK_BOT_TOKEN",
        "AWS_SECRET_ACCESS_KEY", "NEXTAUTH_SECRET", "APP_KEY", "RAILS_MASTER_KEY",
        "ENCRYPTION_KEY_BASE64", "SIGNING_KEY_V2", "private_key", "spring.datasource.password",
        "TLS_KEY_PASSPHRASE", "DB_PASS", "REDIS_AUTH", "VAULT_ENC_KEY",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert words.is_secret(name, "k7Qz9wXb2")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIA4711"),
        ("GPG_KEY", "E3FF2839C048B25C084DEBE9B26995E310250568"),  # of the image python
        ("PWD", "/app"),
        ("OLDPWD", "/"),
        ("PASSWORD_MIN_LENGTH", "12"),
        ("TOKEN_TTL", "3600"),
        ("TOKEN_URL", "https://login.acme.io/token"),
        ("JWT_PUBLIC_KEY", "MIIB"),
        ("NEXT_PUBLIC_MAPBOX_TOKEN", "pk.4711"),
        ("STRIPE_PUBLISHABLE_KEY", "pk_live_1"),
        ("REQUIRE_PASSWORD", "1"),
        ("SHOW_PASSWORD", "true"),
        ("CSRF_TOKEN", "true"),
        ("CACHE_KEY", "shop"),
        ("SORT_KEY", "name"),
        ("DB_PASSWORD", ""),
        ("KEYBOARD", "qwerty"),
    ],
)
def test_names_of_no_secrets(name: str, text: str) -> None:
    assert not words.is_secret(name, text)


@pytest.mark.parametrize(
    "text",
    [
        "ENC[AES256_GCM,data:p8w=,iv:x,tag:y,type:str]",
        "encrypted:BFyl0c4v1",
        "op://vault/item/field",
        "vault:secret/data/shop#password",
        "arn:aws:secretsmanager:eu-central-1:1:secret:shop",
        "projects/7/secrets/shop/versions/latest",
        "@Microsoft.KeyVault(SecretUri=https://acme.vault.azure.net/secrets/x)",
        "/run/secrets/db_password",
    ],
)
def test_references_to_a_secret_are_none(text: str) -> None:
    assert words.is_elsewhere(text)


@pytest.mark.parametrize(
    "text",
    [
        "changeme", "ChangeMe!", "change-me", "change_this_in_production", "CHANGE-ME-PLEASE",
        "changeit_before_release", "TODO", "todo: ask ops", "TBD", "FIXME", "xxx", "XXXXXXXX",
        "<your-key>", "<password>", "your-secret-key", "your_api_key_here", "my-secret-key",
        "replace-me", "replace_with_real_value", "insert your key", "please-change-me",
        "{{ db_password }}", "${DB_PASSWORD}", "$(DB_PASSWORD)", "__PASSWORD__", "%PASSWORD%",
        "[YOUR TOKEN]", "placeholder", "example", "dummy", "...", "***", "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "https://api.example.com/v1",
        "ops@example.org", "smtp.example.com:587", "https://shop.invalid", "some-secret-value",
        "to-be-defined", "sk-proj-xxxxxxxx", "A0XXXXXXX", "xx-xxxx-x", "generate_a_new_key",
        "get_the_secret_of_above_key", "bucket_name_here",
        "this_password_is_insecure_and_should_be_updated",
    ],
)  # fmt: skip
def test_placeholders(text: str) -> None:
    assert words.placeholder("X", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CURRENCY", "EUR"),
        ("PATH", "/usr/local/bin:/usr/bin"),
        ("MAIL_FROM", "Shop <no-reply@acme.io>"),
        ("CHANGE_DETECTION", "changes"),
        ("TITLE", "Todos of the day"),
        ("FEATURES", "[a,b]x"),
        ("LOG_FORMAT", "{{.Level}} {{.Message}}"),
        ("NAME_TEMPLATE", "{name}"),
        ("URL", "https://examples.acme.io"),
        ("HOST", "example-com.acme.io"),
        ("DATA", '{"a": 1}'),
        ("GROUPS", '["a", "b"]'),
        ("SCHEDULE", "*/5 * * * *"),
        ("GLOB", "*"),
        ("GLOBS", "**"),
        ("SEPARATOR", "--"),
        ("PLANS", "free"),
        ("AXIS", "xx"),
        ("SIZE", "10x10"),
        ("FRUIT", "generated"),
        ("MODE", "get"),
        ("PATTERN_MODE", "here"),
        ("SECRET_KEY_BASE", "UpNVntn3cDxHJpq99YMc1T1AQgQpc8kfYTuRgBiYa15BLrx8etQoXz3gZv1"),
        ("JAVA_OPTS", "-Xmx512m -Dx=${y}"),
        ("DSN", "https://abc@o1.ingest.sentry.io/1"),
        ("ALLOWED", "^https://.*$"),
        ("YOUR_NAME", "Ada"),
        ("EMPTY", ""),
    ],
)
def test_values_that_are_no_placeholders(name: str, text: str) -> None:
    assert not words.placeholder(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DEBUG", "true"), ("DEBUG", "1"), ("DEBUG", "True"), ("DEBUG", "*"), ("APP_DEBUG", "true"),
        ("FLASK_DEBUG", "1"), ("DJANGO_DEBUG", "yes"), ("WP_DEBUG", "on"),
        ("NODE_ENV", "development"), ("NODE_ENV", "test"), ("FLASK_ENV", "development"),
        ("RAILS_ENV", "development"), ("ASPNETCORE_ENVIRONMENT", "Development"),
        ("SPRING_PROFILES_ACTIVE", "postgres,dev"), ("GIN_MODE", "debug"), ("APP_ENV", "local"),
        ("DJANGO_SETTINGS_MODULE", "shop.settings.dev"), ("LOG_LEVEL", "debug"),
        ("LOGGING_LEVEL", "TRACE"), ("RUST_LOG", "debug"),
    ],
)  # fmt: skip
def test_settings_of_development(name: str, text: str) -> None:
    assert words.debug(name, text, "production", production=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DEBUG", "false"), ("DEBUG", "0"), ("DEBUG", ""), ("DEBUG", "app:http,app:sql"),
        ("NODE_ENV", "production"), ("RAILS_ENV", "staging"), ("APP_ENV", "production"),
        ("APP_ENV", "staging"), ("SPRING_PROFILES_ACTIVE", "prod"), ("LOG_LEVEL", "info"),
        ("DJANGO_SETTINGS_MODULE", "shop.settings"), ("DEBUGGER_PORT", "1"),
        ("NO_DEBUG_INFO", "true"), ("DEBUG_COLORS", "true"), ("ENVIRONMENT", "production"),
        ("GIN_MODE", "release"), ("TEST_ENV", "x"),
    ],
)  # fmt: skip
def test_settings_of_production(name: str, text: str) -> None:
    assert not words.debug(name, text, "production", production=True)


def test_a_stage_may_be_called_like_the_environment() -> None:
    assert not words.debug("APP_ENV", "test", "test", production=False)
    assert not words.debug("LOG_LEVEL", "debug", "staging", production=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "postgresql://shop:pw@localhost:5432/shop"),
        ("REDIS_URL", "redis://127.0.0.1:6379"),
        ("DB_HOST", "localhost"),
        ("PGHOST", "127.0.0.1"),
        ("MAIL_HOST", "localhost:25"),
        ("AMQP_URI", "amqp://guest@[::1]:5672/"),
        ("KAFKA_BROKERS", "localhost:9092"),
        ("APP_URL", "http://localhost:3000"),
    ],
)
def test_local_addresses_in_a_container(name: str, text: str) -> None:
    assert words.local(name, text, is_container=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HOST", "0.0.0.0"),
        ("BIND_ADDR", "127.0.0.1:8000"),
        ("LISTEN_HOST", "localhost"),
        ("SERVER_HOST", "0.0.0.0"),
        ("HEALTH_URL", "http://localhost:8000/health"),
        ("ALLOWED_HOSTS", "localhost,shop.acme.io"),
        ("CORS_ORIGINS", "http://localhost:3000"),
        ("DD_AGENT_HOST", "localhost"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317"),
        ("STATSD_HOST", "localhost"),
        ("DATABASE_URL", "postgresql://shop:pw@db:5432/localhost"),
        ("DB_HOST", "localhost.acme.io"),
        ("NO_PROXY", "localhost,127.0.0.1"),
    ],
)
def test_local_addresses_that_are_meant(name: str, text: str) -> None:
    assert not words.local(name, text, is_container=True)


def test_on_a_host_only_an_address_for_users_must_not_be_local() -> None:
    assert not words.local("DB_HOST", "localhost", is_container=False)
    assert words.local("PUBLIC_URL", "http://localhost", is_container=False)
    assert words.local("NEXTAUTH_URL", "http://localhost:3000", is_container=False)


@pytest.mark.parametrize(
    "text",
    [
        "password", "Password123!", "P@ssw0rd", "p4ssw0rd2024", "postgres", "admin123", "guest",
        "secret", "supersecretkey", "my-super-secret-token", "s3cr3t", "letmein", "qwerty123456",
        "minioadmin", "this-is-a-secret", "django-insecure-key", "JWT_SECRET", "jwt-secret-2024",
        "aaaaaaaaaaaaaaaaaaaa", "abababababababababab", "12345678901234567890",
        "abcdefghijklmnopqrst", "fedcba9876543210fedc", "k7Qz9wXb", "Password123456789",
        "my-Super-S3cret-Token-123", "Adm1n!2024", "correct",
        "monkeydragonmaster", "passwordpassword", "0123456789abcdef",
    ],
)  # fmt: skip
def test_weak_secrets(text: str) -> None:
    assert words.weakness("JWT_SECRET", text, 16)


def test_random_secrets_are_strong() -> None:
    alphabet = string.ascii_letters + string.digits
    for _ in range(200):
        for text in (
            secrets.token_hex(16),
            secrets.token_urlsafe(16),
            secrets.token_hex(8),
            str(uuid.uuid4()),
            "".join(secrets.choice(alphabet) for _ in range(16)),
            "".join(secrets.choice(string.ascii_lowercase) for _ in range(20)),
        ):
            assert words.weakness("JWT_SECRET", text, 16) == "", text


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery staple",
        "sk_live_51H8xYzKq2eZvKYlo2C0b7WnT",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n",
        "base64:2fl+Ktvkfl+Fuz4Qp/A75G2RTiWVA/ZoKZvp6fiiM10=",
    ],
)
def test_secrets_as_vendors_make_them_are_strong(text: str) -> None:
    assert words.weakness("APP_KEY", text, 16) == ""


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("postgresql://shop:s3%40x@db/shop", "s3@x"),
        ("redis://:pw@cache:6379", "pw"),
        ("amqp://u:p:q@h", "p:q"),
        ("jdbc:postgresql://db/shop?user=a&password=pw&ssl=true", "pw"),
        ("Server=db;User Id=sa;Password=pw;", "pw"),
        ("host=db user=shop password=pw", "pw"),
        ("https://shop.acme.io/a:b@c", ""),
        ("https://user@host/path", ""),
        ("https://abc@o1.ingest.sentry.io/1", ""),
        ("a text with password in it", ""),
    ],
)
def test_the_password_in_an_address(text: str, password: str) -> None:
    assert password_in(text) == password


@pytest.mark.parametrize(
    ("name", "text", "opens"),
    [
        ("POSTGRES_HOST_AUTH_METHOD", "trust", True),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes", True),
        ("ALLOW_EMPTY_PASSWORD", "no", False),
        ("POSTGRES_HOST_AUTH_METHOD", "scram-sha-256", False),
    ],
)
def test_what_lets_everybody_in(name: str, text: str, *, opens: bool) -> None:
    assert words.opens(name, text) is opens
