"""Prints Ray's nodes and free NPUs as one JSON line. usage: ray_probe.py GCS_ADDRESS

A script of its own, not imported: the supervisor runs its text with the python3 that belongs to the
`ray` of the release's PATH (checks.py), because a Ray driver keeps threads and may hang.
"""

from __future__ import annotations

import json
import logging
import os
import sys

import ray  # type: ignore[import-not-found]

ray.init(address=sys.argv[1], logging_level=logging.ERROR, log_to_driver=False)
nodes = [
    {
        "address": node["NodeManagerAddress"],
        "alive": bool(node["Alive"]),
        "npus": node.get("Resources", {}).get("NPU", 0),
    }
    for node in ray.nodes()
]
free = ray.available_resources().get("NPU", 0)
print(json.dumps({"nodes": nodes, "freeNpus": free, "version": ray.__version__}), flush=True)
# Without ray.shutdown(): it waits for threads, and the process ends anyway.
os._exit(0)
