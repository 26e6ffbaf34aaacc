"""What proves the checks of environments, secrets, drift and the continuous integration."""

from collections.abc import Collection, Mapping
from typing import Final

from readiness.model.fault import Fault, broken_by

_ENVIRONMENT: Final = "configuration.environment"
_VALUES: Final = "configuration.values"
_SECRETS: Final = "configuration.secrets"
_FILES: Final = "configuration.secret-files"
_DRIFT: Final = "configuration.drift"
_WORKER: Final = "worker.yaml"
_INSPECT: Final = "inspect.json"

Misses = Mapping[str, Collection[str]]


def _edited(name: str, story: str, misses: Misses, file: str, old: str, new: str) -> Fault:
    """A fault that replaces what matches a regular expression in one of the files."""
    return broken_by(name, story, misses, lambda levers: levers.edit_configured(file, old, new))


variable_missing = _edited(
    "variable_missing",
    "The release needs a variable that nobody put into the manifests.",
    {f"{_ENVIRONMENT}[worker]": {"set"}},
    _WORKER,
    "  MAIL_HOST: .*\n",
    "",
)
variable_empty = _edited(
    "variable_empty",
    "A variable is there, and empty.",
    {f"{_ENVIRONMENT}[worker]": {"not-empty"}},
    _WORKER,
    "MAIL_HOST: .*",
    'MAIL_HOST: ""',
)
variable_not_restarted = _edited(
    "variable_not_restarted",
    "A variable was added to the compose file; the container was never started again.",
    {f"{_ENVIRONMENT}[shop]": {"set"}, f"{_DRIFT}[shop]": {"variables"}},
    _INSPECT,
    '"PAGE_SIZE=50",',
    "",
)
variable_blank = _edited(
    "variable_blank",
    "Compose puts an empty text where a variable is not set, and only warns.",
    {f"{_ENVIRONMENT}[shop]": {"interpolation"}},
    "compose.yaml",
    "    restart: unless-stopped",
    "    restart: unless-stopped\n    command: serve --region=${SHOP_REGION}",
)
env_file_broken = _edited(
    "env_file_broken",
    "A variable stands twice in an env file: its reader takes the last one.",
    {f"{_ENVIRONMENT}[shop]": {"syntax"}},
    "shop.env",
    "PAGE_SIZE=50",
    "PAGE_SIZE=20\nPAGE_SIZE=50",
)
example_changed = _edited(
    "example_changed",
    "The release's example names a variable that the container does not have.",
    {f"{_ENVIRONMENT}[shop]": {"set"}},
    ".env.example",
    "# TRACING_URL=",
    "TRACING_URL=",
)
environment_unreadable = _edited(
    "environment_unreadable",
    "The output of `docker inspect` is cut off, so that what runs is not known.",
    {f"{check}[shop]": () for check in (_ENVIRONMENT, _VALUES, _DRIFT, _SECRETS)},
    _INSPECT,
    r"\]\s*\Z",
    "",
)

placeholder_kept = _edited(
    "placeholder_kept",
    "A placeholder of the example was never replaced.",
    {f"{_VALUES}[worker]": {"placeholder"}},
    _WORKER,
    "mail.shop.svc",
    "smtp.example.com",
)
debug_on = _edited(
    "debug_on",
    "The application runs in the mode of development.",
    {f"{_VALUES}[worker]": {"debug"}},
    _WORKER,
    "APP_ENV: production",
    "APP_ENV: development",
)
debug_log = _edited(
    "debug_log",
    "The log level of development is on in production.",
    {f"{_VALUES}[worker]": {"debug"}},
    _WORKER,
    "LOG_LEVEL: info",
    "LOG_LEVEL: debug",
)
address_local = _edited(
    "address_local",
    "In the container localhost is the container itself, and not the mail server.",
    {f"{_VALUES}[worker]": {"local-address"}},
    _WORKER,
    "mail.shop.svc",
    "localhost",
)

secret_key_missing = _edited(
    "secret_key_missing",
    "The manifests refer to a key that the secret does not have.",
    {f"{_SECRETS}[worker]": {"resolves"}, f"{_ENVIRONMENT}[worker]": {"set"}},
    _WORKER,
    "key: api-token",
    "key: api_token",
)
secret_file_missing = _edited(
    "secret_file_missing",
    "The compose file names a file with a secret that was not copied to the host.",
    {f"{_SECRETS}[shop]": {"resolves"}},
    "compose.yaml",
    "file: cron_secret.txt",
    "file: cron.txt",
)
secret_elsewhere = _edited(
    "secret_elsewhere",
    "The secret is made by something that is not in the files, so that its keys are not known.",
    {f"{_SECRETS}[worker]": ()},
    _WORKER,
    "secretKeyRef: { name: worker, key: api-token }",
    "secretKeyRef: { name: worker-vault, key: api-token }",
)
secret_weak = _edited(
    "secret_weak",
    "A secret is long, and made of words that are tried first.",
    {f"{_SECRETS}[worker]": {"strong"}},
    _WORKER,
    'api-token: ".*"',
    'api-token: "my-Super-S3cret-Token-123"',
)
secret_short = _edited(
    "secret_short",
    "A secret has eight characters.",
    {f"{_SECRETS}[worker]": {"strong"}},
    _WORKER,
    'api-token: ".*"',
    'api-token: "k7Qz9wXb"',
)
backend_gives_nothing = broken_by(
    "backend_gives_nothing",
    "The backend answers with an empty secret, and exits with 0.",
    {f"{_SECRETS}[shop]": ()},
    lambda levers: levers.replace_in_config(
        'backend = { CRON_SECRET = ["cat"', 'backend = { CRON_SECRET = ["true"'
    ),
)
backend_is_down = broken_by(
    "backend_is_down",
    "The backend of the secrets does not answer.",
    {f"{_SECRETS}[shop]": ()},
    lambda levers: levers.replace_in_config(
        'backend = { CRON_SECRET = ["cat"', 'backend = { CRON_SECRET = ["false"'
    ),
)
password_optional = _edited(
    "password_optional",
    "A server is told to accept connections without a password.",
    {f"{_SECRETS}[worker]": {"closed"}},
    _WORKER,
    'PREFETCH: "20"',
    'ALLOW_EMPTY_PASSWORD: "yes"',
)
secret_of_staging = broken_by(
    "secret_of_staging",
    "The production system has a secret of staging.",
    {f"{_SECRETS}[worker]": {"own"}},
    lambda levers: levers.edit_configured(
        _WORKER, 'api-token: ".*"', f'api-token: "{levers.secret_of_staging("API_TOKEN")}"'
    ),
)

env_file_open = broken_by(
    "env_file_open",
    "Every account of the host may read the env file with the password of the database.",
    {f"{_FILES}[shop]": {"private"}},
    lambda levers: levers.change_configured(".env", lambda path: path.chmod(0o644)),
)
env_file_in_git = broken_by(
    "env_file_in_git",
    "The env file with the password of the database is in the repository.",
    {f"{_FILES}[shop]": {"untracked"}},
    lambda levers: levers.configured_in_git(".env"),
    needs="git",
)

value_changed_by_hand = _edited(
    "value_changed_by_hand",
    "Somebody started the container with another value than the one that is declared.",
    {f"{_DRIFT}[shop]": {"variables"}},
    _INSPECT,
    "PAGE_SIZE=50",
    "PAGE_SIZE=500",
)
env_file_without_restart = _edited(
    "env_file_without_restart",
    "The env file was changed; the process still has what it was started with.",
    {f"{_DRIFT}[orders]": {"variables"}},
    "orders.env",
    "SERVICE_ENVIRONMENT=.*",
    "SERVICE_ENVIRONMENT=renamed",
)
image_of_another_release = _edited(
    "image_of_another_release",
    "The container runs the image of the release before.",
    {f"{_DRIFT}[shop]": {"image"}},
    _INSPECT,
    "shop:1.5.0",
    "shop:1.4.0",
)


_CI: Final = "configuration.ci[ci]"


def _answers(name: str, story: str, misses: Collection[str], **broken: object) -> Fault:
    """A fault of our replacement for GitHub: see its `Fault`."""
    return broken_by(
        name, story, {_CI: misses}, lambda levers: levers.server_fault("ci_server", **broken)
    )


ci_job_skipped = _answers(
    "ci_job_skipped",
    "A condition skipped one job of the test matrix; branch protection counts it as a success.",
    {"ran"},
    conclusions={"test (3.12)": "skipped"},
)
ci_job_neutral = _answers(
    "ci_job_neutral",
    "A required job ended as neutral, without having judged anything.",
    {"ran"},
    conclusions={"lint": "neutral"},
)
ci_job_failed = _answers(
    "ci_job_failed",
    "A required job failed, and the release was made all the same.",
    {"succeeded"},
    conclusions={"test (3.11)": "failure"},
)
ci_job_missing = _answers(
    "ci_job_missing",
    "The job `build` was renamed, and has not run for this commit.",
    {"listed"},
    missing=["build"],
)
ci_of_another_commit = _answers(
    "ci_of_another_commit",
    "All jobs are green, for another commit.",
    {"listed"},
    other_commit=True,
)
ci_job_not_required_failed = _answers(
    "ci_job_not_required_failed",
    "A job that is not required failed.",
    {"others"},
    conclusions={"benchmark": "failure"},
)
ci_job_still_runs = _answers(
    "ci_job_still_runs", "A required job still runs.", (), conclusions={"build": ""}
)
ci_without_an_answer = _answers(
    "ci_without_an_answer", "The API answers every request with 503.", (), status=503
)
ci_list_does_not_end = _answers(
    "ci_list_does_not_end", "Each page of the list names itself as the next one.", (), endless=True
)
