"""Stand-in for the platform that a device plugin of vLLM registers."""

from __future__ import annotations


class StandinPlatform:
    device_type = "cpu"
    dist_backend = "gloo"


current_platform = StandinPlatform()
