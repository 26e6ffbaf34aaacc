"""Env files, as compose, `docker run` and systemd read them."""

from pathlib import Path

import pytest

from readiness.areas.configuration.probes import env_files
from readiness.lib.compose_file import assignments
from readiness.lib.env_files import of_docker, of_systemd
from readiness.model.errors import CouldNotMeasure

COMPOSE = """\
# A comment
A=1
export B = two words # not this
C='$A # kept'
D="${A}1\\n\\"x\\""
E=a#b
F=
G='line one
line two'
H="x" # a comment
I: yaml
J=${OUTER}-${A:-9}
KEY_OF_THE_SHELL
K=a=b==
   L=indented
M="a ${NONE}"
N=$$5
"""


def test_compose_reads_quotes_comments_and_variables() -> None:
    found = assignments(COMPOSE, {"OUTER": "o"})
    assert found.values == {
        "A": "1", "B": "two words", "C": "$A # kept", "D": '11\n"x"', "E": "a#b", "F": "",
        "G": "line one\nline two", "H": "x", "I": "yaml", "J": "o-1", "K": "a=b==",
        "L": "indented", "M": "a ", "N": "$5",
    }  # fmt: skip
    assert (found.inherited, found.blank, found.mistakes) == (["KEY_OF_THE_SHELL"], ["NONE"], [])


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("A=1\nB=2\nA=3\n", "line 3: duplicate variable A"),
        ("A=1\nnot a line\n", "line 2: is not KEY=value"),
        ("A=1\n2B=3\n", "line 2: is not KEY=value"),
        ("A='x\nB=2\n", "line 1: the quote of A is not closed"),
        ("\n\nA='x", "line 3: the quote of A is not closed"),
        ("A='x' y\n", "line 1: text after the closing quote of A"),
        ("G='a\nb'\nC D=1\n", "line 3: is not KEY=value"),
        ("A=${B:?must}\n", "line 1: the variable B is required, and not set: set it in .env"),
        ("A=${B\n", "line 1: a variable has no closing brace"),
        ("=1\n", "line 1: is not KEY=value"),
        ("'A'=1\n", "line 1: is not KEY=value"),
    ],
)
def test_what_compose_refuses_or_takes_otherwise(text: str, mistake: str) -> None:
    assert assignments(text, {}).mistakes == [mistake]


def test_a_quote_that_is_not_closed_hides_no_other_variable() -> None:
    assert assignments("A='x\nB=2\n", {}).values == {"B": "2"}


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfA=1\r\nB='x'\r\n")
    found = env_files.read(path, "compose", {})
    assert (found.values, found.mistakes) == ({"A": "1", "B": "x"}, [])


def test_docker_takes_a_line_as_it_is() -> None:
    found = of_docker("# no\n\n  A=1\nB= x \nC=a#b\nD=$A\nE\nF='a\n", {})
    assert found.values == {"A": "1", "B": " x ", "C": "a#b", "D": "$A", "F": "'a"}
    assert (found.inherited, found.mistakes) == (["E"], [])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('A="x"', "takes the quotes as part of A"),
        ("A='x'", "takes the quotes as part of A"),
        ("A=1 # the first", "takes the comment as part of A"),
        ("A=${B}", "replaces no variables, as in A"),
        ("export A=1", "refuses it: a blank before the ="),
        ("A =1", "refuses it"),
    ],
)
def test_what_docker_takes_otherwise_than_it_is_written(line: str, words: str) -> None:
    (mistake,) = of_docker(f"{line}\n", {}).mistakes
    assert words in mistake


def test_systemd_knows_quotes_and_continued_lines() -> None:
    text = "# no\n; no\nA='a b'\nB=\"x\"\nC=1 \\\n2\nD=a;b\nE=$A\n"
    found = of_systemd(text, {})
    assert found.values == {"A": "a b", "B": "x", "C": "1 2", "D": "a;b", "E": "$A"}
    assert found.mistakes == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1\nexport B=1\n", "line 2: systemd ignores it"),
        ("A=\\\n1\nB\n", "line 3: systemd ignores it"),
        ("A=1 # the first\n", "takes the comment as part of A"),
        ("A=${B}\n", "replaces no variables"),
        ("A='x\n", "the quote of A is not closed"),
    ],
)
def test_what_systemd_ignores(text: str, words: str) -> None:
    (mistake,) = of_systemd(text, {}).mistakes
    assert words in mistake


def test_a_file_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"A=\xff\n")
    (tmp_path / "large").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    for name, words in (
        ("none", "No such file"), ("bytes", "not UTF-8"), ("large", "larger than 4 MiB"),
        (".", "Is a directory"),
    ):  # fmt: skip
        with pytest.raises(CouldNotMeasure, match=words):
            env_files.read(tmp_path / name, "compose", {})


# As the documentation of widespread projects has them.
REAL = {
    "laravel": "APP_NAME=Laravel\nAPP_ENV=production\nAPP_KEY=base64:abc=\nAPP_DEBUG=false\n"
    'MAIL_FROM_NAME="${APP_NAME}"\nVITE_APP_NAME="${APP_NAME}"\n',
    "rails": "RAILS_ENV=production\nSECRET_KEY_BASE=abc\n# DATABASE_URL=\nRAILS_LOG_TO_STDOUT=1\n",
    "next": '# https://nextjs.org\nDATABASE_URL="postgresql://u:p@db:5432/x?schema=public"\n'
    "NEXTAUTH_URL=https://acme.io\nNEXT_PUBLIC_X='y'\n",
    "django": "DJANGO_SECRET_KEY='abc$def#g'\nALLOWED_HOSTS=.acme.io,localhost\nEMAIL_URL=smtp://x\n",
    "private key": 'KEY="-----BEGIN KEY-----\nMIIB\nabc=\n-----END KEY-----\n"\nB=1\n',
    "one line key": 'KEY="-----BEGIN KEY-----\\nMIIB\\n-----END KEY-----\\n"\nB=1\n',
    "json": 'A=\'{"type": "service_account", "n": 1}\'\nB={"x":1}\n',
    "dots": "spring.datasource.url=jdbc:x\nserver.port=8080\n",
    "sops": "A=ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]\nsops_version=3.8.1\n",
    "empty lines": "\n\n   \nA=1\n\t\n",
    "dotenvx": '#/---[DOTENV_PUBLIC_KEY]---/\nDOTENV_PUBLIC_KEY="03f"\nA="encrypted:BD7x=="\n',
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_no_mistakes(name: str) -> None:
    found = assignments(REAL[name], {"def": "x"})
    assert found.mistakes == []
    assert found.values
