"""What the group shall run: `desired.json`."""

from __future__ import annotations

from typing import Any, NamedTuple

from supervisor.core.fields import BadFile, Fields


class Desired(NamedTuple):
    """What the group shall run.

    A new revision means that somebody asked (again): failures start to count anew.
    """

    state: str
    ray: str | None
    serve: str | None
    revision: str = ""
    secrets: str = ""  # stands for the versions of the secret files that serve starts with

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def parse_desired(raw: Any) -> Desired:
    fields = Fields(raw)
    state = fields.text("state")
    if state not in ("running", "stopped"):
        raise BadFile(f'state: must be "running" or "stopped", got "{state}"')
    desired = Desired(state, fields.get("ray", str, None), fields.get("serve", str, None))
    return desired._replace(
        revision=fields.get("revision", str, "") or "|".join(map(str, desired)),
        secrets=fields.get("secrets", str, ""),
    )


def desired_json(desired: Desired | None) -> dict[str, Any]:
    return (desired or Desired("running", None, None)).to_json()
