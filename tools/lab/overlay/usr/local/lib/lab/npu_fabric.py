"""The simulated network between the NPUs of a lab: who answers whom."""

from __future__ import annotations

import ipaddress
import os
from typing import Iterator, Optional

from npu_state import Node, Npu, host_path, load

Endpoint = tuple[Node, Npu]


def answers(source: Npu, node: Node, destination: str) -> bool:
    """Whether a packet from an NPU of this node gets an answer from that address."""
    return why_silent(source, node, destination) is None


def why_silent(source: Npu, node: Node, destination: str) -> Optional[str]:
    """None: answers. Else why not; the tools do not say it, `npu-fabric` does."""
    if source["ip"] is None:
        return "the source has no address"
    if source["ip"] == destination:
        return None
    if source["link"] != "UP":
        return "the link of the source is down"
    if destination == source["gateway"] and _reaches_directly(source, destination):
        return None
    found = [end for end in endpoints(node) if end[1]["ip"] == destination]
    reasons = [_why_silent_pair(source, peer, peer_node) for peer_node, peer in found]
    # With a duplicate address, whoever is reachable answers.
    if None in reasons:
        return None
    return reasons[0] if reasons else "nobody has this address"


def endpoints(node: Node) -> Iterator[Endpoint]:
    """All NPUs of the lab, this node's first."""
    for npu in node.npus.values():
        yield node, npu
    fabric = host_path("etc/lab/fabric")
    for name in sorted(os.listdir(fabric)) if os.path.isdir(fabric) else []:
        document = os.path.join(fabric, name, "npu.json")
        if name == node.name or not os.path.exists(document):
            continue
        other = load(document)
        for npu in other.npus.values():
            yield other, npu


def _why_silent_pair(source: Npu, peer: Npu, peer_node: Node) -> Optional[str]:
    if not _has_power(peer_node):
        return "the other host has no power"
    if peer["link"] != "UP":
        return "the link of the destination is down"
    for one, other, name in ((source, peer, "source"), (peer, source, "destination")):
        if _reaches_directly(one, other["ip"]):
            continue
        if one["gateway"] is None:
            return f"other subnet, and the {name} has no gateway"
        if not _reaches_directly(one, one["gateway"]):
            return f"the gateway of the {name} is not in its subnet"
    # Not so on every real driver; the lab shows the fault where operators look first.
    if source["tls"] != peer["tls"]:
        return "one end has TLS on, the other off"
    return None


def _reaches_directly(npu: Npu, address: str) -> bool:
    network = ipaddress.ip_network(f"{npu['ip']}/{npu['netmask']}", strict=False)
    return ipaddress.ip_address(address) in network


def _has_power(node: Node) -> bool:
    try:
        with open(host_path(f"etc/lab/fabric/{node.name}/power"), encoding="utf-8") as file:
            return file.read().strip() == "on"
    except OSError:
        return True
