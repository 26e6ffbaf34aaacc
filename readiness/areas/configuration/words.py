"""What values of variables mean: secrets, placeholders, debug switches, local addresses.

Each rule is one that real files break, and that their healthy kin do not: `DEBUG=app:*` is a filter
of Node's package debug, and `localhost` in ALLOWED_HOSTS is for health checks.
"""

import re
from collections.abc import Collection, Mapping
from importlib import resources
from itertools import pairwise
from typing import Final

from readiness.lib.plain_secrets import is_secret_name

_SWITCHES: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "none"})
TRUE: Final = frozenset({"1", "true", "yes", "on", "y", "t", "enabled"})
_ELSEWHERE: Final = re.compile(
    # sops, dotenvx, git-crypt; references of Vault, AWS, Google, 1Password, Doppler, Kubernetes.
    r"ENC\[.*\]|encrypted:.*|(?:vault|op|gcp-?secrets?|gsm|awssm|aws-?secrets?|ssm|azurekeyvault"
    r"|keyvault|doppler|akeyless|bws|berglas|sm|secretsmanager|file):.*|arn:aws:(?:secretsmanager"
    r"|ssm):.*|projects/[^/]+/secrets/.*|@Microsoft\.KeyVault\(.*|/(?:run|etc|var|mnt|vault)/\S*",
    re.IGNORECASE | re.DOTALL,
)

_PLACEHOLDER: Final = re.compile(
    r"""(?:
      change[-_ ]?(?:me|this|it|in[-_ ]?prod\w*|before.*|.*[-_ ]please)[-_ !\w]*
    | (?:please[-_ ])?(?:replace|change|set|insert|fill|enter|add|put)
      [-_ ](?:me|this|with|in|your|the|a)(?![a-z]).*
    | generate[-_ ](?:a|an|me|this|with)(?![a-z]).* | get[-_ ](?:a|an|the|your|from)[-_ ].*
    | [\w-]*[-_]here | .*should[-_ ]be[-_ ](?:updated|changed|replaced|set).*
    | todo\b.* | tbd | fixme\b.* | x{3,} | [\w-]*x{4,} | x[x-]{3,}
    | \*{3,} | \.{3,} | -{3,} | \?{2,}
    | placeholder | dummy | (?:an?[-_ ])?example(?:[-_ ]\w+)? | sample(?:[-_ ]\w+)?
    | your[-_ ].* | my[-_ ](?:secret|password|token|api)[-_ ]?\w*
    | some[-_ ](?:secret|password|token|value|key).*
    | to[-_ ]be[-_ ](?:defined|set|filled|changed).* | not[-_ ]?(?:set|a[-_ ]real[-_ ].*)
    | <[\w .:/|-]+> | \[[A-Za-z][\w .-]*\] | \{\{?[ ]*[A-Za-z_][\w .-]*[ ]*\}?\}
    | \$\{[A-Za-z_]\w*\} | \$\([A-Za-z_]\w*\) | %[A-Z_]{2,}% | __[A-Z_]+__ | @@?[A-Z_]+@@?
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_LONGEST: Final = 500
# Of Amazon's documentation.
_AMAZON: Final = re.compile(r"AKIA\w*EXAMPLE|wJalrXUtnFEMI/\w+/bPxRfiCYEXAMPLEKEY")
# RFC 2606 and 6761 reserve these names: nothing answers there.
_RESERVED: Final = re.compile(
    r"(?i)(?:^|[@/.\s,])(?:example\.(?:com|org|net)|[\w-]+\.(?:example|invalid))(?=$|[:/?#,\s>])"
)
# Values that are patterns or texts, in which braces have a meaning.
_FREE: Final = re.compile(r"(?i).*(?:format|template|pattern|regex|layout|prompt|message)s?")

_DEBUG: Final = re.compile(r"(?:.*_)?DEBUG(?:_MODE|_ENABLED)?")
_STAGES: Final = re.compile(
    r"NODE_ENV|FLASK_ENV|RAILS_ENV|RACK_ENV|APP_ENV|APPLICATION_ENV|SYMFONY_ENV|DJANGO_ENV|ENV"
    r"|ENVIRONMENT|APP_ENVIRONMENT|ASPNETCORE_ENVIRONMENT|DOTNET_ENVIRONMENT|HONO_ENV|MIX_ENV"
    r"|SPRING_PROFILES_ACTIVE|QUARKUS_PROFILE|MICRONAUT_ENVIRONMENTS|GIN_MODE|SENTRY_ENVIRONMENT"
)
_NOT_RELEASED: Final = frozenset(
    {"dev", "develop", "development", "local", "debug", "test", "testing"}
)
_SETTINGS: Final = re.compile(r"(?i).*[._](?:dev|develop|development|local|debug)")
_LEVEL: Final = re.compile(r"(?:.*_)?LOG(?:GING)?_?LEVEL|LOGLEVEL|RUST_LOG")
_CHATTY: Final = frozenset({"debug", "trace", "silly", "all"})

_LOCAL: Final = re.compile(
    r"(?i)(?:[a-z][\w+.-]*://)?(?:[^/@\s]*@)?(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?|0\.0\.0\.0)"
    r"(?::\d+)?(?:[/?#].*)?"
)
_ADDRESS: Final = re.compile(
    r".*_(?:URL|URI|DSN|HOST|HOSTNAME|ADDR|ADDRESS|ENDPOINT|SERVERS?|BROKERS?)|PGHOST"
)
# What is meant to be local: where it listens, what it asks of itself, agents of the node.
_MEANT_LOCAL: Final = re.compile(
    r".*(?:BIND|LISTEN|HEALTH|PROBE|INTERNAL|SELF|METRICS|ADMIN|MANAGEMENT|SIDECAR|AGENT|PROXY"
    r"|COLLECTOR|OTEL|STATSD|TRACE|JAEGER|ZIPKIN|DAPR|ENVOY|SERVER_HOST|SERVER_ADDR|APP_HOST"
    r"|HTTP_HOST|HTTP_ADDR|GRPC_ADDR|WEB_HOST|UVICORN|GUNICORN|API_HOST).*"
)
_FOR_USERS: Final = re.compile(
    r"(?:.*_)?(?:APP|WEBAPP|BASE|PUBLIC|SITE|WEBSITE|FRONTEND|EXTERNAL|CALLBACK|WEBHOOK|REDIRECT|NEXTAUTH|ROOT)"
    r"_(?:URL|URI)|NEXTAUTH_URL"
)


def _known() -> frozenset[str]:
    text = resources.files(__package__).joinpath("known_words.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.split("\n") if line and not line.startswith("#"))


# Each of these was some product's default, or is among the first that anybody tries.
_KNOWN: Final = _known()
_LEET: Final = str.maketrans("01345$@7!", "oleasSati".lower())
_PART: Final = re.compile(r"[a-z0-9$@!]+")
_ADDED: Final = "0123456789$@!"
_LONGEST_WORD: Final = max(map(len, _KNOWN))
_FEWEST: Final = 4
_WORD_AND_NUMBER: Final = re.compile(r"[a-z]{4,}[^a-z]*")
_SHORT_UNIT: Final = 8
_USUAL_LETTERS: Final = 3
_OPEN: Final[Mapping[str, Collection[str]]] = {
    "POSTGRES_HOST_AUTH_METHOD": {"trust"},
    "ALLOW_EMPTY_PASSWORD": TRUE,
    "MYSQL_ALLOW_EMPTY_PASSWORD": TRUE,
    "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": TRUE,
    "ALLOW_ANONYMOUS_LOGIN": TRUE,
}


def is_secret(name: str, text: str) -> bool:
    """Whether a variable holds a secret, by its name."""
    value = text.strip().lower()
    return bool(value) and value not in _SWITCHES and is_secret_name(name)


def is_elsewhere(text: str) -> bool:
    """Whether a value is a path, encrypted, or a reference to a secret that is elsewhere."""
    return _ELSEWHERE.fullmatch(text.strip()) is not None


def placeholder(name: str, text: str) -> str:
    """Why a value is one that somebody was to replace; empty if it is none."""
    value = text.strip()
    if _FREE.fullmatch(name) or len(value) > _LONGEST:
        return ""
    if _PLACEHOLDER.fullmatch(value):
        return "a placeholder"
    if _AMAZON.search(value):
        return "a key of Amazon's documentation"
    return "an address that is reserved for examples" if _RESERVED.search(value) else ""


def debug(name: str, text: str, environment: str, *, production: bool) -> str:
    """What a value turns on that is meant for development; empty if nothing."""
    upper, value = name.upper(), text.strip().lower()
    if _DEBUG.fullmatch(upper) and value in {*TRUE, "*"}:
        return "debug is on"
    stages = {one.strip() for one in value.split(",")} & _NOT_RELEASED
    if _STAGES.fullmatch(upper) and stages - {environment.lower()}:
        return "a stage of development"
    if upper == "DJANGO_SETTINGS_MODULE" and _SETTINGS.fullmatch(value):
        return "the settings of development"
    if production and _LEVEL.fullmatch(upper) and value in _CHATTY:
        return "a log level of development"
    return ""


def local(name: str, text: str, *, is_container: bool) -> bool:
    """Whether an address that others are to answer at is the machine's or container's own."""
    upper = name.upper()
    if not _LOCAL.fullmatch(text.strip()):
        return False
    if _FOR_USERS.fullmatch(upper):
        return True
    named = _ADDRESS.fullmatch(upper) and not _MEANT_LOCAL.fullmatch(upper)
    return is_container and bool(named)


def opens(name: str, text: str) -> bool:
    """Whether a variable lets a server accept anybody."""
    return text.strip().lower() in _OPEN.get(name.upper(), ())


def weakness(name: str, text: str, min_length: int) -> str:
    """Why a secret is weak; empty if it is not."""
    value = text.strip()
    if _made_of_known(value, _KNOWN | _words_of(name)):
        return "a word that is tried first"
    if len(value) < min_length:
        return f"{len(value)} characters, fewer than {min_length}"
    if len(set(value)) < _FEWEST:
        return f"only {len(set(value))} different characters"
    if (value + value).find(value, 1) < min(len(value), _SHORT_UNIT):
        return "a repetition"
    return "a sequence" if _is_sequence(value) else ""


def _words_of(name: str) -> set[str]:
    return {word for word in re.split(r"[^a-z]+", name.lower()) if word}


def _made_of_known(value: str, known: Collection[str]) -> bool:
    """Whether the letters are nothing but known words, also where digits stand for letters."""
    folded = value.lower()
    if not re.search("[a-z]", folded):
        return False
    # A number at the end is no letter: the year in p4ssw0rd2024.
    parts = (part.rstrip(_ADDED) for part in _PART.findall(folded))
    for spelled in (folded, folded.translate(_LEET), "".join(parts).translate(_LEET)):
        letters = re.sub(r"[^a-z]+", "", spelled)
        most = len(letters) * 2 >= len(value) or _WORD_AND_NUMBER.fullmatch(folded)
        if letters and most and _covered(letters, known):
            return True
    return False


def _covered(letters: str, known: Collection[str]) -> bool:
    """Whether a text is a row of known words, of three letters or more on average.

    Chance finds rows of shorter ones in what is random.
    """
    longest = max(_LONGEST_WORD, *map(len, known))
    never = len(letters) + 1
    fewest = [0] + [never] * len(letters)
    for end in range(1, len(letters) + 1):
        for start in range(max(0, end - longest), end):
            if fewest[start] < never and letters[start:end] in known:
                fewest[end] = min(fewest[end], fewest[start] + 1)
    return fewest[-1] * _USUAL_LETTERS <= len(letters)


def _is_sequence(value: str) -> bool:
    """Whether most characters follow or precede the one before, as in 123456 and fedcba."""
    steps = [ord(after) - ord(before) for before, after in pairwise(value)]
    return max(steps.count(1), steps.count(-1)) * 4 > len(steps) * 3
