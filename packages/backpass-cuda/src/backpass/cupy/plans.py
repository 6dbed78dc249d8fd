"""Plans: what is decided once for operands of a kind, and looked up when such come again."""

from __future__ import annotations

from typing import Any

#: A program that has operands of more kinds does not repeat them.
MOST = 4096


class Plans(dict[Any, Any]):
    """Plans by all that they depend on; when there are too many, all are forgotten."""

    __slots__ = ()

    def keep(self, key: Any, plan: Any) -> Any:
        """Add a plan; return it."""
        if len(self) >= MOST:
            self.clear()
        self[key] = plan
        return plan
