"""What is secret in a connection string, in every form that libpq reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq
from pydantic_core import PydanticCustomError

from readiness.config.interpolation import interpolate
from readiness.model import secrets
from readiness.model.conninfo import SECRET_WORDS, NotConninfo, parse
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import PLACEHOLDER, Dsn, Interpolated, redact

# As a password generator makes them, with everything that has a meaning somewhere.
SECRETS = st.text(
    st.characters(
        codec="utf-8", exclude_characters="\0", categories=("L", "M", "N", "P", "S", "Z")
    ),
    min_size=8,
    max_size=40,
)
WORDS = st.sampled_from(sorted(SECRET_WORDS))


def test_every_password_option_of_libpq_is_classified() -> None:
    marked = {
        option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar != b""
    }

    assert marked == SECRET_WORDS | {"replication", "sslkeylogfile"}


def _not_quoted_by(text: str) -> str:
    """The message of a refusal; it may quote nothing of what it refuses."""
    with pytest.raises(PydanticCustomError) as caught:
        Dsn.from_config(text)
    message = caught.value.message()
    assert "s3cr3t" not in message
    assert "s3cr3t" not in repr(caught.value)
    return message


@pytest.mark.parametrize(
    "literal",
    [
        "postgresql://app:s3cr3t@db/shop",
        "postgres://app:s3cr3t@db/shop",
        "postgresql://app:%733cr3t@db/shop",
        "postgresql://app:pa?s3cr3t@db/shop",
        "postgresql://db/shop?user=app&password=s3cr3t",
        "postgresql://db/shop?user=app&%70assword=s3cr3t",
        "postgresql://db/shop?sslpassword=s3cr3t",
        "postgresql://db/shop?sslmode=require&scram_client_key=s3cr3t",
        "postgresql://app@a:1,b:2/shop?oauth_client_secret=s3cr3t",
        "host=db password=s3cr3t",
        "host=db password = s3cr3t",
        "host=db\tpassword\n=\ts3cr3t",
        "host=db password='s3cr3t with blanks'",
        r"host=db password='s3cr3t\'s'",
        r"host=db password=s3cr3t\ and\ more",
        "password=s3cr3t",
        "host=db sslpassword = s3cr3t",
        "host=db scram_server_key=s3cr3t",
        # libpq takes what follows an empty one for it.
        "host=db password= dbname=s3cr3t",
        # None that libpq reads, but with a secret in it all the same.
        "postgresql://app:s3cr3t@db/shop?unknown=1",
        "host=db unknown=1 password=s3cr3t",
        "postgresql://app:s3cr3t@more@db/shop",
        "postgresql://app:s3cr3t/more@db/shop",
    ],
)
def test_a_literal_secret_is_refused(literal: str) -> None:
    assert "must not be written in the file" in _not_quoted_by(literal)


@pytest.mark.parametrize(
    "literal",
    [
        "postgresql://app@db/shop",
        "postgresql://app:@db/shop",
        "postgresql://",
        "postgresql://app@/shop?host=/run/postgresql&passfile=/etc/pgpass",
        "host=db password='' dbname=shop",
        "service=shop",
        "host=db passfile='/home/me/my pass' dbname=shop",
        "host=db dbname=password",
        "host=db options='-c password_encryption=md5'",
        "postgresql://db/shop?sslkey=/etc/key.pem&sslcert=/etc/cert.pem",
    ],
)
def test_a_conninfo_without_secrets_is_allowed(literal: str) -> None:
    assert Dsn.from_config(literal).reveal() == literal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "neither a URI nor pairs"),
        ("host=db s3cr3t word", "neither a URI nor pairs"),
        ("host=db s3cr3t=1", "an unknown keyword"),
        ("postgresql://db/shop?s3cr3t=1", "an unknown parameter"),
        ("host='s3cr3t", "a quote is not closed"),
        ("postgresql://db/%s3cr3t", "write %25"),
        ("postgresql://app@s3cr3t@db/shop", "%40"),
        ("postgresql://app/s3cr3t@db/shop", "%2F"),
        ("postgresql://app:1234/s3cr3t@db/shop", "%2F"),
        ("host=db\0s3cr3t", "NUL"),
        ("https://db/s3cr3t?a=b", "an unknown keyword"),
        ("postgresql://db/shop?s3cr3t", "a parameter has no `=`"),
        ("postgresql://app:pa?ss@s3cr3t@db/shop", "%40"),
        ("host=s3cr3t\ud800", "UTF-8"),
    ],
)
def test_an_invalid_conninfo_is_one_error(text: str, reason: str) -> None:
    assert reason in _not_quoted_by(Interpolated(text))
    assert "s3cr3t" not in redact(f"could not read {text}")
    with pytest.raises(CouldNotMeasure) as caught:
        str(Dsn(text).words)
    assert "s3cr3t" not in str(caught.value)
    assert str(Dsn(text)) == PLACEHOLDER


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("postgresql://app@db/shop", "db:5432/shop"),
        ("postgresql://app@db:5433/sh%20op?sslmode=require", "db:5433/sh op"),
        ("postgresql://[::1]:5433/shop", "[::1]:5433/shop"),
        ("postgresql://a:1,b:2/shop", "a:1,b:2/shop"),
        ("postgresql://a,b/shop", "a:5432,b:5432/shop"),
        ("host=a,b port=1 dbname=shop", "a:1,b:1/shop"),
        ("host=a,,c port=1,2, dbname=shop", "a:1,localhost:2,c:5432/shop"),
        ("host=a hostaddr=10.0.0.1 dbname='my shop'", "10.0.0.1:5432/my shop"),
        ("postgresql:///shop?host=/run/postgresql", "/run/postgresql:5432/shop"),
        ("postgresql://db/shop?host=other", "other:5432/shop"),
        ("host = db dbname = shop", "db:5432/shop"),
        ("service=shop", "service=shop/"),
        ("service=shop host=db", "db:5432/"),
        ("", "localhost:5432/"),
    ],
)
def test_the_address_is_that_of_libpq(dsn: str, address: str) -> None:
    assert Dsn(dsn).address == address


def test_hosts_that_a_service_names_are_not_known() -> None:
    assert Dsn("service=shop").places == []


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    with _nothing_known():
        yield


@contextmanager
def _nothing_known() -> Iterator[None]:
    """The secrets of one example must not be found in the next one."""
    known, ordered = set(secrets._known), list(secrets._ordered)
    secrets._known.clear()
    secrets._ordered.clear()
    try:
        yield
    finally:
        secrets._known.update(known)
        secrets._ordered[:] = ordered


@given(word=WORDS, secret=SECRETS)
def test_no_secret_is_shown_in_either_form(word: str, secret: str) -> None:
    encoded = quote(secret, safe="")
    for dsn in (
        f"host=db dbname=shop {word}='{_escaped(secret)}'",
        f"postgresql://db/shop?{word}={encoded}",
        f"postgresql://db/shop?{word}={''.join(f'%{byte:02x}' for byte in secret.encode())}",
    ):
        with pytest.raises(PydanticCustomError):
            Dsn.from_config(dsn)
        with _nothing_known():
            held = Dsn.from_config(Interpolated(dsn))
            assert held.words[word] == secret
            assert held.address == "db:5432/shop"
            as_it_stands = dsn.partition(f"{word}=")[2]
            if as_it_stands.startswith("'"):
                as_it_stands = as_it_stands[1:-1]
            for form in (secret, encoded, as_it_stands, dsn):
                assert redact(f"({form})") == f"({PLACEHOLDER})"


@given(secret=SECRETS)
def test_a_password_before_the_host_is_found_in_any_form(secret: str) -> None:
    encoded = quote(secret, safe="")
    text = f"postgresql://app:{encoded}@db/shop"
    with pytest.raises(PydanticCustomError):
        Dsn.from_config(text)
    assert parse(text)["password"] == secret


@given(text=st.text(max_size=60) | st.text(alphabet="postgresql:/@?&=%= '\\password", max_size=40))
def test_any_conninfo_is_parsed_or_refused(text: str) -> None:
    try:
        read = parse(text)
    except NotConninfo:
        return
    assert all(isinstance(value, str) for value in read.values())


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("${DSN}", True),
        ("postgresql://app:${PW}@db/shop", True),
        ("host=db password=${PW} dbname=shop", True),
        ("host=db password = '${PW}' dbname=shop", True),
        ("postgresql://db/shop?password=${PW}", True),
        ("${SCHEME}://app:${PW}@db/shop", True),
        ("${REST} password=${PW}", True),
        ("postgresql://app:s3cr3t@${HOST}/shop", False),
        ("postgresql://app:s3cr3t${PW}@db/shop", False),
        ("host=${HOST} password = s3cr3t", False),
        ("host=${HOST} sslpassword=s3cr3t", False),
        ("${REST} password = 's3cr3t'", False),
        ("${REST}&sslpassword=s3cr3t", False),
        ("${SCHEME}://app:s3cr3t@db/shop", False),
        ("https://app:s3cr3t@${HOST}", False),
    ],
)
def test_a_secret_beside_a_variable_is_a_literal(text: str, *, allowed: bool) -> None:
    environ = {
        "DSN": "host=db password=from-outside",
        "PW": "from-outside",
        "HOST": "db",
        "SCHEME": "postgresql",
        "REST": "host=db",
    }
    value = interpolate({"dsn": text}, environ).values["dsn"]
    assert isinstance(value, Interpolated) is allowed
