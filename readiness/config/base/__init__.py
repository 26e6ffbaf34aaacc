"""The strict base of all models of `readiness.toml`, and its types of value."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from readiness.model.check import Effect
from readiness.model.secrets import Interpolated, register

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
FOLDER: Final = "folder"
"""The key of pydantic's context with the folder that relative paths start from; without it they
start from the working folder."""
PATH_PATTERN: Final = r"^/\S*$"
IMAGE_PATTERN: Final = (
    r"^(?:[a-z0-9][A-Za-z0-9._:/-]*@)?(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"
)
URL_PATTERN: Final = r"^https?://[^\s/?#]+[^\s?#]*$"
PAGE_PATTERN: Final = r"^(?:https?://[^\s/?#]+)?/\S*$"


def _guard_credentials(url: object) -> object:
    """Hide credentials that came from the environment; refuse a password in the file."""
    found = re.match(r"[^/]*//([^/@]*)@", url) if isinstance(url, str) else None
    if not found:
        return url
    _, colon, password = found[1].rpartition(":")
    if isinstance(url, Interpolated):
        register(password)
    elif colon and password:
        raise PydanticCustomError(
            "secret_literal", "a password must not be written in the file: use ${VARIABLE}"
        )
    return url


def _beside(path: str, info: ValidationInfo) -> str:
    """The path from the working folder: a file names what lies beside it."""
    folder = (info.context or {}).get(FOLDER)
    named = Path(path).is_absolute() or "://" in path or path.startswith("~")
    return path if folder is None or named else os.path.relpath(Path(folder, path))


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A name that becomes part of check ids: letters, digits, `.`, `_`, `-`."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Body = Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
Path_ = Annotated[str, StringConstraints(pattern=PATH_PATTERN, max_length=2000)]
Image = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN)]
"""An artifact by its digest: `registry/app@sha256:...`, or the digest alone."""
Url = Annotated[
    str,
    BeforeValidator(_guard_credentials),
    StringConstraints(pattern=URL_PATTERN),
    AfterValidator(lambda url: url.rstrip("/")),
]
Page = Annotated[
    str,
    BeforeValidator(_guard_credentials),
    StringConstraints(pattern=PAGE_PATTERN, max_length=2000),
]
"""A path of a service, or the address of a page that is served elsewhere."""
Evidence = Annotated[Text, BeforeValidator(_guard_credentials)]
"""An address without a password, or a file."""
File = Annotated[Text, AfterValidator(_beside)]
"""A file, folder or pattern; relative to the folder of the configuration file."""
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
"""A part of a whole: 0.01 is one percent."""
Table = Annotated[str, Field(pattern=r"^[A-Za-z_][\w$]*\.[A-Za-z_][\w$]*$")]
"""A table's name with its schema, as `shop.orders`; what would need quotes cannot be named."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][\w$]*$")]
Command = Annotated[list[str], Field(min_length=1)]
# TOML has no enumerations: a word becomes the member; nothing else is coerced.
EffectWord = Annotated[Effect, Field(strict=False)]


class Model(BaseModel):
    """Base of all tables: frozen, strict, and an unknown key is an error.

    An optional list or table must not be given empty if nothing would then be judged: such
    fields have `min_length=1`, which pydantic does not apply to the default.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        defer_build=True,  # until the defaults are to be validated, too; see below
    )
    conditions: ClassVar[Mapping[str, str]] = {}
    """For each property that a check may need: what a table without it would have to declare."""
    place: ClassVar[str] = ""
    """The table's place in the file, as `backup.shop`; the loader sets it."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        """Validate the defaults, as what a file says is: the default 15 of a float is 15.0.

        An empty text, list or table is what was left out, and need not be valid.
        """
        for field in cls.model_fields.values():
            field.validate_default = field.default not in ("", [], {})

    def deciding(self, key: str) -> str:
        """The key for a message, and whether it has its default.

        For example "`backup.shop.max_age_h`, default".
        """
        default = "" if key in self.model_fields_set else ", default"
        return f"`{self.place}.{key}`{default}"

    def fix_words(self, _config: Any) -> Mapping[str, str]:
        """What words in capitals in the fixes of its checks stand for, as `URL`.

        Args:
            _config: the whole file, for tables that name others.
        """
        return {}

    def placed(self, place: str) -> Self:
        """The same table with this place."""
        copy = self.model_copy()
        # Not a field: two equal tables in different places compare equal.
        object.__setattr__(copy, "place", place)
        return copy


class Named(Model):
    """A table with a name of its own, `[services.NAME]`: the name is set by the loader."""

    name: Name = Field("", description="set from the table's name; not written in the file")
