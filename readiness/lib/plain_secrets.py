"""Finds secrets in plain text, by their form or by the name that they have; shows no value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

# Of a name in upper case, with `_` between its words.
_SECRET_NAME: Final = re.compile(
    r"(?:.*[A-Z_])?(?:SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|API_?KEY)\d*"
    r"|.*_PASS|(?:REDIS|REDISCLI)_AUTH"
    r"|(?:.*_)?(?:PWD|SECRET_?KEY|SECRET_KEY_BASE|PRIVATE_?KEY|ACCESS_?KEY|ENCRYPTION_KEY|SIGNING_KEY"
    r"|MASTER_KEY|AUTH_KEY|ENC_KEY|CRYPTO_KEY|VAULT_KEY|APP_KEY|COOKIE_KEY|SESSION_KEY|JWT_KEY|SECRET_ACCESS_KEY)"
    r"(?:_(?:B64|BASE64|HEX|V?\d+))?"
)
# Shown to browsers, or a switch about secrets, or the folder of a shell.
_NO_SECRET: Final = re.compile(
    r"(?:NEXT_PUBLIC|NUXT_PUBLIC|PUBLIC|VITE|REACT_APP|EXPO_PUBLIC|GATSBY)_.*|.*(?:PUBLIC|PUBLISHABLE)"
    r"_?(?:KEY|TOKEN|API_KEY)|(?:.*_)?(?:ENABLE|DISABLE|REQUIRE|USE|ALLOW|SHOW|HAS|IS|MAX|MIN|NO)_.*"
    r"|PWD|OLDPWD"
)
# In a file of settings, `secret` and `token` are also names of objects, and of keys.
_OBJECT: Final = re.compile(
    r".*(?<!CLIENT_)SECRET|.*(?<!ACCESS_)(?<!AUTH_)(?<!BEARER_)TOKEN|.*(?:PWD|COOKIE_KEY|SESSION_KEY)"
)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CREDENTIALS: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@\"']*:(?P<secret>[^/\s@\"']+)@")
# Formats that nothing else has; the vendors document them.
_TOKENS: Final = (
    r"\b(?:AKIA|ASIA)(?![0-9A-Z]*EXAMPLE)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{50,}"
    r"|\bglpat-[A-Za-z0-9_-]{20}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bsk_live_[A-Za-z0-9]{16,}"
    r"|\bnpm_[A-Za-z0-9]{36}\b"
)
_FORMS: Final = re.compile(
    rf"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----|{_TOKENS}|\bAIza[0-9A-Za-z_-]{{35}}\b"
)
_FILE_TOKENS: Final = re.compile(_TOKENS.encode())
# What each of them begins with: to look for it costs little in a file of megabytes.
_BEGINNINGS: Final = (
    b"AKIA", b"ASIA", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-",
    b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-", b"sk_live_", b"npm_",
)  # fmt: skip
# Programs, libraries and archives: nobody writes a secret into one by hand.
_PACKED: Final = (b"\x7fELF", b"PK\x03\x04", b"\x1f\x8b")
# With its content: programs that read keys hold the first line alone.
_KEY: Final = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\r?\n(?:[\w+/=:,;. -]*\r?\n){3,}-----END "
)
# References, placeholders and what is obviously no secret.
_HARMLESS: Final = re.compile(
    r"(?:\$[({A-Za-z_].*|%[({].*|\{\{.*|<.*>|\*+|/.*|\./.*|file:.*|env:.*|vault:.*|secret:.*|\d{1,3}"
    r"|(?i:true|false|yes|no|none|null|nil|change-?me|redacted|x+|required|optional|scram-sha-256|md5))?",
    re.DOTALL,
)
# `${NAME:-value}`, whose value is written.
_DEFAULT: Final = re.compile(r"\$\{\w+:?-(?P<value>.+)\}")
_LINE: Final = re.compile(
    r"(?m)^[\s\"'-]*(?P<name>[\w.-]{1,80})[\"']?\s*(?:=|:(?=\s))\s*[\"']?(?P<value>[^\s\"',;#]+)"
)
_OPTION: Final = re.compile(r"--?(?P<name>[\w.-]+)=(?P<value>.+)", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Whether a variable, key or option is called like a secret: `DB_PASSWORD`, `apiToken`."""
    words = _in_words(name)
    return bool(_SECRET_NAME.fullmatch(words)) and not _NO_SECRET.fullmatch(words)


def _in_words(name: str) -> str:
    return _HUMP.sub("_", name).replace("-", "_").replace(".", "_").upper()


def is_literal(value: str) -> bool:
    """Whether a value is written out, and not a reference, a path or a placeholder."""
    default = _DEFAULT.fullmatch(value)
    if default:
        return is_literal(default["value"])
    return not _HARMLESS.fullmatch(value)


def has_form(text: str) -> bool:
    """Whether a text holds a private key, a token of a known form, or a URL with a password."""
    url = _CREDENTIALS.search(text)
    return bool(_FORMS.search(text)) or (url is not None and is_literal(url["secret"]))


def in_file(content: bytes) -> str:
    """What a file holds that is a secret whatever the file is for; empty if nothing.

    A key of Google's is none here: pages for browsers hold one that is public.
    """
    if content.startswith(_PACKED):
        return ""
    if b"PRIVATE KEY-----" in content and _KEY.search(content):
        return "a private key"
    known = any(beginning in content for beginning in _BEGINNINGS)
    return "a token of a known form" if known and _FILE_TOKENS.search(content) else ""


def in_variables(variables: Mapping[str, str]) -> list[str]:
    """The variables that hold one."""
    return [
        name
        for name, value in variables.items()
        if has_form(value) or (is_secret_name(name) and is_literal(value))
    ]


def in_arguments(words: Sequence[str]) -> list[str]:
    """The options of a command that hold one; `argument N` for others."""
    found = []
    for number, word in enumerate(words):
        option = _OPTION.fullmatch(word)
        before = words[number - 1] if number else ""
        if option and is_secret_name(option["name"]) and is_literal(option["value"]):
            found.append(f"--{option['name']}")
        elif before.startswith("--") and is_secret_name(before[2:]) and _is_value(word):
            found.append(before)
        elif has_form(word):
            found.append(f"argument {number + 1}")
    return found


def _is_value(word: str) -> bool:
    return not word.startswith("-") and is_literal(word)


def in_text(name: str, text: str) -> Iterator[str]:
    """Where a file of settings, or one setting, holds one."""
    if has_form(text):
        yield name
        return
    if is_secret_name(name) and "\n" not in text.strip() and is_literal(text.strip()):
        yield name
        return
    for line in _LINE.finditer(text):
        key = line["name"]
        names_an_object = _OBJECT.fullmatch(_in_words(key))
        if is_secret_name(key) and not names_an_object and is_literal(line["value"]):
            yield f"{name}: {key}"
