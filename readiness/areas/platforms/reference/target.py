"""The part of the reference system's readiness.toml about its platforms."""

from typing import Final

from readiness.areas.platforms.reference import platform_server as server


def platforms(url: str) -> str:
    """[platforms.NAME] of each vendor, which all answer at this address."""
    return _TABLES.replace("@URL@", url)


_TOKEN: Final = f"${{{server.TOKEN}}}"
_TABLES: Final = f"""
# The pages, on our replacement for Vercel.
[platforms.web]
provider = "vercel"
url = "@URL@/vercel"
token = "{_TOKEN}"
project = "{server.PROJECT}"
alias = "{server.DOMAIN}"
commit = "v{{release}}"
drains = ["log", "trace"]

# The order service, on that for Render.
[platforms.api]
provider = "render"
url = "@URL@/render/v1"
token = "{_TOKEN}"
service = "{server.SERVICE}"
commit = "v{{release}}"
serves = "orders"
min_instances = 2
max_instances = 4
streams = ["logs", "metrics"]

# Its data, on that for Supabase, and a transaction that comes there.
[platforms.data]
provider = "supabase"
url = "@URL@/supabase/v1"
token = "{_TOKEN}"
project = "{server.REF}"
services = ["auth", "db", "rest"]
accepted = ["security_definer_view:public.orders_view"]
point_in_time = true

[platforms.data.transaction]
within_s = 1

[platforms.data.transaction.enter]
url = "@URL@/shop/probe"
query = "id={{probe}}"

[[platforms.data.transaction.seen]]
url = "@URL@/data/probes"
query = "id={{probe}}"

# Its source, on those for GitHub and GitLab.
[platforms.github]
provider = "github"
url = "@URL@/github"
token = "{_TOKEN}"
repository = "{server.REPOSITORY}"
gate = "{server.GATE}"

[platforms.gitlab]
provider = "gitlab"
url = "@URL@/gitlab/api/v4"
token = "{_TOKEN}"
repository = "{server.REPOSITORY}"
gate = "{server.GATE}"
"""
