"""What hccn_tool says. Formats: fixtures of the tests, recorded on real hosts; lines whose wording
nobody has recorded are marked "unconfirmed".
"""

from __future__ import annotations

import ipaddress
import os
import time
from typing import Callable

import npu_fabric
import npu_state
from npu_state import Node, Npu, fail

FAILED = "Command execute failed!"
DONE = "Cmd executed successfully!"


def main(arguments: list[str]) -> int:
    node = npu_state.load()
    verb, mode, number, rest = parse(arguments)
    npu = node.npus.get(number)
    # Unconfirmed: the wording for a wrong id, a missing verb, and for other users than root.
    if npu is None or verb is None or os.geteuid() != 0:
        npu_state.answer_after(0, node, False, "hccn_tool")
        fail(FAILED)
    npu_state.answer_after(npu["answerMs"], node, npu["hang"], "hccn_tool")
    if npu["fail"] is True or verb in npu["fail"]:
        fail(FAILED)
    if (verb, mode) == ("cfg", "recovery"):
        recover(npu)
    elif mode == "set" and verb in SETTERS:
        SETTERS[verb](npu, rest)
    elif mode == "get" and verb == "ping":
        return ping(npu, node, rest)
    elif mode == "get" and verb in GETTERS:
        for line in GETTERS[verb](npu, node, rest):
            print(line)
        return 0
    else:
        fail(FAILED)
    print(DONE)
    return 0


def parse(arguments: list[str]) -> tuple[str | None, str | None, int | None, list[str]]:
    """Options stand in any order: older drivers have the verb first, newer ones the mode."""
    verb = mode = number = None
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "-i":
            value = next(words, "")
            number = int(value) if value.isdecimal() else None
        elif word in ("-g", "-s"):
            mode = "get" if word == "-g" else "set"
        elif word == "recovery":
            mode = "recovery"
        elif word.startswith("-") and verb is None:
            verb = word[1:]
        else:
            rest.append(word)
    return verb, mode, number, rest


# Getters


def ip(npu: Npu, _node: Node, rest: list[str]) -> list[str]:
    if "-inet6" in rest:
        # Unconfirmed: the keys.
        if npu["ipv6"] is None:
            return []
        address, _, prefix = npu["ipv6"].partition("/")
        return [f"ipaddr:{address}", f"prefixlen:{prefix or 64}"]
    return [] if npu["ip"] is None else [f"ipaddr:{npu['ip']}", f"netmask:{npu['netmask']}"]


def link(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    return [f"link status: {npu['link']}"]


def net_health(npu: Npu, node: Node, _rest: list[str]) -> list[str]:
    return [f"net health status: {npu['netHealth'] or probed_health(npu, node)}"]


def probed_health(npu: Npu, node: Node) -> str:
    """The driver asks the detect address now and then."""
    if npu["netdetect"] is None:
        return "Init"
    if npu["link"] != "UP":
        return "Unreachable"
    return "Success" if npu_fabric.answers(npu, node, npu["netdetect"]) else "Receive timeout"


def netdetect(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    return [] if npu["netdetect"] is None else [f"netdetect address: {npu['netdetect']}"]


def gateway(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    if npu["gateway"] is None:
        return []
    return [f"default gateway:{npu['gateway']}, Iface:eth{npu.id}"]


def tls(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    if npu["tls"] not in (0, 1):
        fail(FAILED)
    return [
        f"dev_id:{npu.id}, tls switch[{npu['tls']}](0:disable, 1:enable), "
        f"tls preconfigured[{npu['tlsPreconfigured']}](0:non-preset, 1:preset), "
        f"tls alarm time threshold[{npu['tlsAlarmDays']}]days"
    ]


def speed(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    return [f"Speed: {npu['speed']}"]


def fec(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    return [f"fec mode: {npu['fec']} FEC mode"]


def lldp(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    tlv = npu["lldp"]
    if tlv is None or npu["link"] != "UP":
        return []
    indent = tlv["indent"]
    ifname = tlv["ifname"] or f"400GE1/{npu.id // 2 + 1}/5:{npu.id % 2 + 1}"
    lines = ["Chassis ID TLV", f"{indent}MAC: {tlv['mac']}"]
    lines += ["Port ID TLV", f"{indent}Ifname: {ifname}"]
    if tlv["systemName"] is not None:
        lines += ["System Name TLV", f"{indent}{tlv['systemName']}"]
    if tlv["systemDescription"]:
        first, *others = tlv["systemDescription"]
        lines += ["System Description TLV", f"{indent}{first}", *others]
    lines += ["System Capabilities TLV", f"{indent}Enabled capabilities: Bridge, Router"]
    lines += ["Management Address TLV", f"{indent}IPv4: {tlv['managementAddress']}"]
    if tlv["maxFrameSize"] is not None:
        lines += ["Maximum Frame Size TLV", f"{indent}{tlv['maxFrameSize']}"]
    return [*lines, "End of LLDPDU TLV"]


def optical(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    lanes = npu["opticalLayout"] == "lanes"
    table = {**(OPTICAL_LANES if lanes else OPTICAL_AGGREGATE), **npu["optical"]}
    return ["optical info:", *(f"{k:<21}: {v}" for k, v in table.items() if v is not None)]


def link_stat(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    values = npu["linkStat"]
    tag = f"[{values['tag']} {npu.id}]"
    lines = [f"{tag}current time        : {values['currentTime'] or time.asctime()}"]
    records = values["records"]
    if records is None:
        # The NIC came up with the host; the last change of the document may have taken it down.
        records = [f"{time.asctime(time.localtime(_boot_time()))}    LINK UP"]
        if npu["link"] != "UP":
            changed = os.stat(npu_state.host_path("etc/lab/npu.json")).st_mtime
            records.insert(0, f"{time.asctime(time.localtime(changed))}    LINK DOWN")
    lines.append(f"{tag}link up count       : {values['upCount']}")
    if values["downCount"] is not None:
        lines.append(f"{tag}link down count     : {values['downCount']}")
    return [*lines, f"{tag}link change records :", *(f"{tag}    {record}" for record in records)]


def stat(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    keys = npu["statKeys"] or STAT_KEYS
    return ["packet statistics:", *(f"{key}:{npu['stat'].get(key, 0)}" for key in keys)]


def hw_stats(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    table = {**HW_STATS, **npu["hwStats"]}
    return [f"[devid {npu.id}] {key}: {value}" for key, value in table.items()]


def bandwidth(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    return [f"Bandwidth {way}: {npu['bandwidth'][way]:.2f} MB/sec" for way in ("TX", "RX")]


def route(npu: Npu, _node: Node, _rest: list[str]) -> list[str]:
    interface = f"eth{npu.id}"
    rows: list[tuple[str, str, str, str, str]] = []
    if npu["gateway"] is not None:
        rows.append(("default", npu["gateway"], "0.0.0.0", "UG", interface))
    if npu["ip"] is not None:
        network = ipaddress.ip_network(f"{npu['ip']}/{npu['netmask']}", strict=False)
        rows.append((str(network.network_address), "*", str(network.netmask), "U", interface))
    rows.append(("127.0.0.1", "*", "255.255.255.255", "UH", "lo"))
    # The driver's own links between NPU and host.
    for inner in ("192.168.1.0", "192.168.2.0"):
        rows.append((inner, "*", "255.255.255.0", "U", f"end{npu.id}v0"))
    return [
        "Routing table:",
        "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface",
        *(f"{to:<16}{via:<16}{mask:<16}{flags:<6}0      0        0 {dev}"
          for to, via, mask, flags, dev in rows),
    ]


def ping(npu: Npu, node: Node, rest: list[str]) -> int:
    if len(rest) < 2 or rest[0] != "address":
        fail(FAILED)
    destination = rest[1]
    try:
        ipaddress.ip_address(destination)
    except ValueError:
        fail(FAILED)
    count = int(rest[3]) if rest[2:3] == ["pkt"] and rest[3:] else 3
    loss = npu["ping"]["loss"]
    percent = loss.get(destination, loss.get("*", 0))
    lost = count if not npu_fabric.answers(npu, node, destination) else round(count * percent / 100)
    times = npu["ping"]["timesMs"]
    print(f"device {npu.id} PING {destination}")
    for sequence in range(count):
        # The first ones are lost: the peer is not in the ARP table yet.
        if sequence < lost:
            time.sleep(npu["ping"]["timeoutMs"] / 1000)
            print(f"recv time out seq={sequence}")
        else:
            print(f"recv seq={sequence},time={times[min(sequence, len(times) - 1)]:.6f}ms")
    share = 100 * lost / count
    print(f"{count} packets transmitted, {count - lost} received, {share:.2f}% packet loss")
    # The driver's tool returns an error as soon as one answer is missing (source of the CANN
    # driver, `dsmi_ping`: "recv time out seq" in the output makes it PING_INNER_ERROR).
    return 0 if lost == 0 else 1


# Setters


def set_ip(npu: Npu, rest: list[str]) -> None:
    values = _pairs(rest, ("address", "netmask"))
    npu_state.set_own(npu.id, {"ip": values["address"], "netmask": values["netmask"]})
    npu_state.set_hccn_conf(npu.id, values)


def set_gateway(npu: Npu, rest: list[str]) -> None:
    values = _pairs(rest, ("gateway",))
    npu_state.set_own(npu.id, values)
    npu_state.set_hccn_conf(npu.id, values)


def set_netdetect(npu: Npu, rest: list[str]) -> None:
    values = _pairs(rest, ("address",))
    npu_state.set_own(npu.id, {"netdetect": values["address"]})
    npu_state.set_hccn_conf(npu.id, {"netdetect": values["address"]})


def set_tls(npu: Npu, rest: list[str]) -> None:
    if rest not in (["enable", "0"], ["enable", "1"]):
        fail(FAILED)
    npu_state.set_own(npu.id, {"tls": int(rest[1])})
    npu_state.set_hccn_conf(npu.id, {"tls_enable": rest[1]})


def set_link(npu: Npu, rest: list[str]) -> None:
    if rest not in (["down"], ["up"]):
        fail(FAILED)
    npu_state.set_own(npu.id, {"link": rest[0].upper()})


def recover(npu: Npu) -> None:
    """Back to what /etc/hccn.conf says."""
    names = {"address": "ip", "netmask": "netmask", "netdetect": "netdetect", "gateway": "gateway"}
    values: dict[str, object] = {"link": "UP"}
    with open(npu_state.host_path("etc/hccn.conf"), encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition("=")
            name, _, number = key.rpartition("_")
            if number == str(npu.id) and name in names:
                values[names[name]] = value
    npu_state.set_own(npu.id, values)


def _pairs(words: list[str], keys: tuple[str, ...]) -> dict[str, str]:
    values = dict(zip(words[::2], words[1::2]))
    if set(values) != set(keys):
        fail(FAILED)
    for value in values.values():
        try:
            ipaddress.ip_address(value)
        except ValueError:
            fail(FAILED)
    return values


def _boot_time() -> float:
    return os.stat("/proc/1").st_mtime


GETTERS: dict[str, Callable[[Npu, Node, list[str]], list[str]]] = {
    "ip": ip,
    "link": link,
    "net_health": net_health,
    "netdetect": netdetect,
    "gateway": gateway,
    "lldp": lldp,
    "tls": tls,
    "optical": optical,
    "link_stat": link_stat,
    "speed": speed,
    "fec": fec,
    "stat": stat,
    "bandwidth": bandwidth,
    "route": route,
    "hw_stats": hw_stats,
}

SETTERS: dict[str, Callable[[Npu, list[str]], None]] = {
    "ip": set_ip,
    "gateway": set_gateway,
    "netdetect": set_netdetect,
    "tls": set_tls,
    "link": set_link,
}

_THRESHOLDS = {
    "Vcc High Thres": "3465.00 mV",
    "Vcc Low Thres": "3135.00 mV",
    "Temp High Thres": "70 C",
    "Temp Low Thres": "0 C",
    "TxPower High Thres": "3.5481 mW",
    "TxPower Low Thres": "0.2818 mW",
    "RxPower High Thres": "3.5481 mW",
    "RxPower Low Thres": "0.1445 mW",
}
_FLAGS = {"Tx Los Flag": "0x0", "Rx Los Flag": "0x0", "Tx LoL Flag": "0x0", "Rx LoL Flag": "0x0"}
_MODULE = {
    # Unconfirmed: what a module that is there says; only "not present" is recorded.
    "present": "present",
    "temperature": "47 C",
    "high power enable reg": "enabled",
    "vendor name": "Hisense",
    "vendor part number": "LMQ8611-PC+",
    "vendor serial number": "V8BD6H25033",
    "vendor org unique id": "0xac 0x4a 0x0",
    "xsfp identifier": "QSFP+ or later",
    "xsfp wave length": "850 nm",
    "manufact date code": "2023.6.18",
    "Vcc": "3262.90 mV",
}

OPTICAL_LANES = {
    **_MODULE,
    "Tx Power0": "1.4035 mW",
    "Rx Power0": "1.0189 mW",
    "Tx Power1": "1.3968 mW",
    "Rx Power1": "0.9854 mW",
    "Tx Power2": "1.4140 mW",
    "Rx Power2": "0.9907 mW",
    "Tx Power3": "1.4988 mW",
    "Rx Power3": "1.0213 mW",
    **_THRESHOLDS,
    "Tx Bias0": "7.9360 mA",
    "Tx Bias1": "7.9280 mA",
    "Tx Bias2": "7.9360 mA",
    "Tx Bias3": "7.9240 mA",
    **_FLAGS,
    "Host SNR Lane0": "not supported",
    "Host SNR Lane1": "not supported",
    "Host SNR Lane2": "not supported",
    "Host SNR Lane3": "not supported",
    "Media SNR Lane0": "23.1211 dB",
    "Media SNR Lane1": "22.6289 dB",
    "Media SNR Lane2": "22.1875 dB",
    "Media SNR Lane3": "23.2969 dB",
}

OPTICAL_AGGREGATE = {
    **_MODULE,
    "Tx Power": "1.4035 mW",
    "Rx Power": "1.0189 mW",
    **_THRESHOLDS,
    "Tx Bias": "7.9360 mA",
    **_FLAGS,
}

# Order of the recorded excerpts; the names between them as in Huawei's description of the counters.
STAT_KEYS = [
    "mac_tx_mac_pause_num",
    "mac_rx_mac_pause_num",
    "mac_tx_pfc_pkt_num",
    *(f"mac_tx_pfc_pri{i}_pkt_num" for i in range(8)),
    "mac_rx_pfc_pkt_num",
    *(f"mac_rx_pfc_pri{i}_pkt_num" for i in range(8)),
    "mac_tx_total_pkt_num",
    "mac_tx_total_oct_num",
    "mac_tx_bad_pkt_num",
    "mac_tx_bad_oct_num",
    "mac_rx_total_pkt_num",
    "mac_rx_total_oct_num",
    "mac_rx_bad_pkt_num",
    "mac_rx_bad_oct_num",
    "mac_rx_fcs_err_pkt_num",
    "roce_rx_rc_pkt_num",
    "roce_rx_all_pkt_num",
    "roce_rx_err_pkt_num",
    "roce_tx_rc_pkt_num",
    "roce_tx_all_pkt_num",
    "roce_tx_err_pkt_num",
    "roce_cqe_num",
    "roce_rx_cnp_pkt_num",
    "roce_tx_cnp_pkt_num",
    "roce_unexpected_ack_num",
    "roce_out_of_order_num",
    "roce_verification_err_num",
    "roce_qp_status_err_num",
    "roce_new_pkt_rty_num",
    "roce_ecn_db_num",
    "nic_tx_all_pkg_num",
    "nic_tx_all_oct_num",
    "nic_rx_all_pkg_num",
    "nic_rx_all_oct_num",
]

HW_STATS = {
    "pd_alloc": 1,
    "pd_dealloc": 0,
    "mr_alloc": 0,
    "mr_dealloc": 0,
    "cq_alloc": 1,
    "cq_dealloc": 0,
    "qp_alloc": 1,
    "qp_dealloc": 0,
    "pd_active": 1,
    "mr_active": 0,
    "cq_active": 1,
    "qp_active": 1,
    "aeqe": 0,
    "ceqe": 0,
}
