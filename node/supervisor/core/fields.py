"""Typed access to JSON that somebody else wrote."""

from __future__ import annotations

from typing import Any


class BadFile(ValueError):
    """A file says something that cannot be used; the text names the field."""


class Fields:
    """Typed access to a JSON object."""

    def __init__(self, raw: Any):
        if not isinstance(raw, dict):
            raise BadFile(f"must be a JSON object, got {type(raw).__name__}")
        self.raw = raw

    def get(self, name: str, kind: type, default: Any) -> Any:
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise BadFile(f"{name}: must be a {kind.__name__}, got {type(value).__name__}")
        return value

    def text(self, name: str) -> str:
        value = self.get(name, str, "")
        if not value:
            raise BadFile(f"{name}: is missing")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.raw.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise BadFile(f"{name}: must be a number >= 0, got {value!r}")
        return float(value)

    def count(self, name: str) -> int | None:
        value = self.raw.get(name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 1
        ):
            raise BadFile(f"{name}: must be a whole number >= 1, got {value!r}")
        return value

    def strings(self, name: str) -> dict[str, str]:
        value = self.get(name, dict, {})
        for key, item in value.items():
            if not isinstance(item, str):
                raise BadFile(f"{name}.{key}: must be a string")
        return value
