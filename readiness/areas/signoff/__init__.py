"""Sign-off: what only people can judge, and whether they have signed it for this release."""

from typing import Final

from readiness.config.base.area import Area, Item
from readiness.config.base.tables import Config

__all__ = ["AREA"]


def _items(config: Config) -> list[Item]:
    return [Item(name) for name in config.signoffs.required] if config.signoffs else []


AREA: Final = Area("signoff", kinds={"signoff_item": ("[signoffs] required", _items)})
