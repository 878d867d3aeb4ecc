"""Stand-in for the Python module: tells what the fake `ray` commands of the group wrote."""

import glob
import json
import os

__version__ = "2.48.0"


def init(address: str, **_: object) -> None:
    print("a line that is not for the supervisor")


def nodes() -> list[dict]:
    found = []
    for path in sorted(glob.glob(os.path.join(os.environ["FAKE_DIR"], "node-*.json"))):
        with open(path) as file:
            node = json.load(file)
        alive = _lives(node["pid"])
        resources = {"NPU": float(node["npus"])} if alive else {}
        found.append(
            {"NodeManagerAddress": node["address"], "Alive": alive, "Resources": resources}
        )
    return found


def available_resources() -> dict[str, float]:
    for path in glob.glob(os.path.join(os.environ["FAKE_DIR"], "engine-*.pid")):
        with open(path) as file:
            if _lives(int(file.read() or 0)):
                return {}
    return {"NPU": sum(node["Resources"].get("NPU", 0.0) for node in nodes())}


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
