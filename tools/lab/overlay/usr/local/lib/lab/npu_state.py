"""State of this host's NPUs, as a JSON document declares it: /etc/lab/npu.json.

A value of one NPU is looked up in this order; the first that has it wins:
faults.<id>, faults.all, npus.<id>, defaults, DEFAULTS below. Values of the node as such:
faults.node, host, HOST_DEFAULTS. Mappings are merged key by key; null means "absent".
docs/lab.md explains the keys.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from typing import Any, NoReturn

DEFAULTS: dict[str, Any] = {
    # Network (hccn_tool)
    "ip": None,
    "netmask": "255.255.255.0",
    "ipv6": None,
    "gateway": None,
    "netdetect": None,
    "link": "UP",
    # null: follows from link, netdetect and what the fabric answers
    "netHealth": None,
    # 0, 1; "failed": the query fails
    "tls": 0,
    "tlsPreconfigured": 1,
    "tlsAlarmDays": 60,
    "speed": "200000 Mb/s",
    "fec": "rs",
    "lldp": {
        "mac": "00:e0:fc:00:00:01",
        "ifname": None,
        "systemDescription": [
            "Versatile Routing Platform Software",
            "VRP (R) software, Version 8.211 (DX511 V200R021C10SPC600)",
            "",
            "Huarong DX511",
            "",
        ],
        "systemName": "leaf-1",
        "managementAddress": "10.20.0.2",
        "maxFrameSize": 9216,
        "indent": "\t",
    },
    # "lanes" or "aggregate": optical modules report power per lane or once
    "opticalLayout": "lanes",
    "optical": {},
    "linkStat": {"tag": "devid", "currentTime": None, "upCount": 1, "downCount": None,
                 "records": None},
    "stat": {},
    # null: all counters of the newer drivers
    "statKeys": None,
    "hwStats": {},
    "bandwidth": {"TX": 0.0, "RX": 0.0},
    # loss: percent by destination address, "*" = any
    "ping": {"timesMs": [0.114, 0.067, 0.063], "loss": {}, "timeoutMs": 1000},
    # Chip (npu-smi)
    "chipName": "910B3",
    "health": "OK",
    "errorCode": "NA",
    "errorInformation": "NA",
    "power": 92.2,
    "temperature": 38,
    "aicoreUsage": 0,
    "hbmUsedMb": 3307,
    "hbmTotalMb": 65536,
    "ddrTotalMb": 0,
    "ddrUsage": 0,
    "mcuTemperature": 38,
    "processes": [],
    "busId": None,
    "boardId": "0x02",
    "pciDeviceId": "0xD802",
    "compatibility": "OK",
    "ecc": {},
    "hccs": True,
    # How the tools answer: hang = true, "npu-smi" or "hccn_tool"; fail = verbs that fail, or true
    "answerMs": 60,
    "hang": False,
    "fail": [],
}

HOST_DEFAULTS: dict[str, Any] = {
    # null: as in driver/version.info and firmware/version.info
    "driverVersion": None,
    "firmwareVersion": None,
    "npuSmiAnswerMs": 400,
    "hang": False,
    # A tool that hangs in the driver ignores SIGTERM, too
    "hangIgnoresSigterm": False,
    # null: shown to root only
    "processTable": None,
    # Indentation of npu-smi's `key : value` lists; it differs between driver versions
    "indent": "\t",
    "aivector": True,
    "wrongCardAnswer": "Invalid card id.",
    "cpuAffinity": ["144-167", "0-23", "144-167", "0-23", "96-119", "48-71", "96-119", "48-71"],
}


class Npu:
    """Resolved values of one NPU."""

    def __init__(self, number: int, values: dict[str, Any]) -> None:
        self.id = number
        self.values = values

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


class Node:
    """A host and its NPUs."""

    def __init__(self, document: dict[str, Any]) -> None:
        faults = document.get("faults", {})
        self.document = document
        self.name: str = document["node"]
        self.devices: dict[str, Any] = document["devices"]
        self.host = merge(HOST_DEFAULTS, document.get("host", {}), faults.get("node", {}))
        self.npus = {
            int(number): Npu(
                int(number),
                merge(DEFAULTS, document.get("defaults", {}), own, faults.get("all", {}),
                      faults.get(number, {})),
            )
            for number, own in document["npus"].items()
        }


def root() -> str:
    """The directory that is / for this host: the one above the `usr` that holds this file."""
    return os.path.realpath(__file__).rpartition("/usr/")[0] or "/"


def host_path(path: str) -> str:
    return os.path.join(root(), path)


def load(path: str | None = None) -> Node:
    path = path or host_path("etc/lab/npu.json")
    try:
        return Node(read_json(path))
    except OSError as error:
        sys.exit(f"{os.path.basename(sys.argv[0])} (stand-in of the lab): {error}")


def set_own(number: int, values: dict[str, Any]) -> None:
    """Keeps what a setter of hccn_tool has changed, as the driver does."""
    path = host_path("etc/lab/npu.json")
    document = read_json(path)
    key = str(number)
    document["npus"][key] = merge(document["npus"][key], values)
    # A setter is the operator's remedy: it ends a fault that says otherwise.
    for target in (key, "all"):
        for name in values:
            document.get("faults", {}).get(target, {}).pop(name, None)
    write_json(path, document)


def set_hccn_conf(number: int, values: dict[str, str]) -> None:
    path = host_path("etc/hccn.conf")
    wanted = {f"{key}_{number}": value for key, value in values.items()}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    kept = [line for line in lines if line.partition("=")[0] not in wanted]
    write_text(path, "\n".join([*kept, *(f"{k}={v}" for k, v in wanted.items())]) + "\n")


def answer_after(milliseconds: float, node: Node, hangs: Any, tool: str) -> None:
    """Takes the time that the tool takes, or all the time in the world."""
    if node.host["hang"] in (True, tool) or hangs in (True, tool):
        import signal

        if node.host["hangIgnoresSigterm"]:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(3600)
    time.sleep(milliseconds / 1000)


def fail(message: str) -> NoReturn:
    print(message)
    sys.exit(1)


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                result[key] = merge(result[key], value)
            else:
                result[key] = value
    return result


# Debian's python3-minimal has no json module. JSON is a Python expression but for three names.


def read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read().strip(), path, "eval")
    return ast.literal_eval(_Constants().visit(tree))


class _Constants(ast.NodeTransformer):
    NAMES = {"true": True, "false": False, "null": None}

    def visit_Name(self, name: ast.Name) -> ast.AST:  # noqa: N802 (name given by ast)
        return ast.copy_location(ast.Constant(self.NAMES[name.id]), name)


def write_json(path: str, value: Any) -> None:
    write_text(path, to_json(value) + "\n")


def to_json(value: Any, indent: str = "\n") -> str:
    inner = indent + "  "
    if isinstance(value, dict):
        items = [f"{to_json(str(k))}: {to_json(v, inner)}" for k, v in value.items()]
        return "{" + inner + f",{inner}".join(items) + indent + "}" if items else "{}"
    if isinstance(value, list):
        items = [to_json(item, inner) for item in value]
        return "[" + inner + f",{inner}".join(items) + indent + "]" if items else "[]"
    if isinstance(value, str):
        return '"' + "".join(_escaped(character) for character in value) + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if " " <= character <= "~" else f"\\u{ord(character):04x}"


def write_text(path: str, text: str) -> None:
    """Whole or not at all; a symbolic link keeps pointing where it does."""
    path = os.path.realpath(path)
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(partial, path)
