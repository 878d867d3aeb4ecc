"""What npu-smi says. Formats: fixtures of the tests, recorded on real hosts (A2: one chip per NPU)."""

from __future__ import annotations

import os
from typing import Any, Callable

import npu_state
from npu_state import Node, Npu, fail

WIDTHS = (27, 15, 52)
DOUBLE = "+" + "+".join("=" * width for width in WIDTHS) + "+"
SINGLE = "+" + "+".join("-" * width for width in WIDTHS) + "+"
WHOLE = sum(WIDTHS) + 2
# PCIe addresses of the eight NPUs of an Atlas 800I A2.
BUS_IDS = ("C1", "C2", "81", "82", "01", "02", "41", "42")


def main(arguments: list[str]) -> int:
    node = npu_state.load()
    if not arguments or arguments[0] != "info":
        answer(node, None)
        print("Usage: npu-smi info [-l|-m|-t type] [-i id] [-c chip]")  # unconfirmed wording
        return 1
    if arguments == ["info"]:
        answer(node, None)
        return show(table(node))
    if arguments[1] == "-m":
        answer(node, None)
        return show(id_map(node))
    options = dict(zip(arguments[1::2], arguments[2::2]))
    if options.get("-t") == "topo":
        answer(node, None)
        return show(topology(node))
    npu = chosen(node, options.get("-i"))
    answer(node, npu)
    kind = options.get("-t")
    if npu["fail"] is True or (kind is not None and kind in npu["fail"]):
        fail("Failed to query the NPU.")  # unconfirmed wording
    if kind == "board" and "-c" in options:
        return show(chip_board(npu, node))
    if kind not in QUERIES:
        fail("Error parameter of -t")  # unconfirmed, after the one of -i
    return show(QUERIES[kind](npu, node))


def answer(node: Node, npu: Npu | None) -> None:
    """A query of everything hangs when one chip does; a query of one chip takes a share."""
    if npu is None:
        hangs = any(each["hang"] in (True, "npu-smi") for each in node.npus.values())
        npu_state.answer_after(node.host["npuSmiAnswerMs"], node, hangs, "npu-smi")
    else:
        npu_state.answer_after(npu["answerMs"], node, npu["hang"], "npu-smi")


def chosen(node: Node, value: str | None) -> Npu:
    if value is None or not value.isdecimal():
        fail("Error parameter of -i")
    if int(value) not in node.npus:
        fail(node.host["wrongCardAnswer"])
    return node.npus[int(value)]


def show(lines: list[str]) -> int:
    print("\n".join(lines))
    return 0


# npu-smi info


def table(node: Node) -> list[str]:
    version = driver_version(node)
    title = f" npu-smi {version:<25}Version: {version}"
    lines = [
        "+" + "-" * WHOLE + "+",
        f"|{title:<{WHOLE}}|",
        SINGLE,
        row(" NPU   Name", " Health", " Power(W)    Temp(C)           Hugepages-Usage(page)"),
        row(" Chip", " Bus-Id", " AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)"),
        DOUBLE,
    ]
    for npu in node.npus.values():
        lines += [*chip_rows(npu), DOUBLE]
    if node.host["processTable"] if node.host["processTable"] is not None else os.geteuid() == 0:
        lines += process_table(node)
    return lines


def chip_rows(npu: Npu) -> list[str]:
    # A five-digit value fills its field: the blank before the slash is gone.
    hbm = f"{npu['hbmUsedMb']:<5}/ {npu['hbmTotalMb']}"
    load = f" {npu['aicoreUsage']:<12}{0:<5}/ {0:<11}{hbm}"
    state = f" {npu['power']:<12}{npu['temperature']:<18}{0:<5}/ 0"
    return [
        row(f" {npu.id:<6}{npu['chipName']}", f" {npu['health']}", state),
        row(" 0", f" {bus_id(npu)}", load),
    ]


def process_table(node: Node) -> list[str]:
    head = " Process id    | Process name             | Process memory(MB)      "
    lines = [SINGLE, f"|{' NPU     Chip':<{WIDTHS[0]}}|{head}|", DOUBLE]
    for npu in node.npus.values():
        for process in npu["processes"]:
            name = str(process["name"])[:15]
            lines.append(
                f"| {npu.id:<8}{0:<18}| {process['pid']:<14}| {name:<25}| {process['memoryMb']:<24}|"
            )
        if not npu["processes"]:
            lines.append(f"|{f' No running processes found in NPU {npu.id}':<{WHOLE}}|")
        lines.append(DOUBLE)
    return lines


def row(*cells: str) -> str:
    return "|" + "|".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS)) + "|"


# npu-smi info -m, -t


def id_map(node: Node) -> list[str]:
    indent = node.host["indent"]
    head = ("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name")
    rows = [(npu.id, 0, logic, f"Ascend {npu['chipName']}")
            for logic, npu in enumerate(node.npus.values())]
    return [f"{indent}{a:<31}{b:<31}{c:<31}{d}" for a, b, c, d in [head, *rows]]


def topology(node: Node) -> list[str]:
    npus = list(node.npus.values())
    affinity = node.host["cpuAffinity"]
    lines = ["".join(f"{f'NPU{npu.id}':<11}" for npu in npus) + "CPU Affinity"]
    for npu in npus:
        links = ["X" if npu is other else "HCCS" if npu["hccs"] and other["hccs"] else "SYS"
                 for other in npus]
        cells = "".join(f"{cell:<11}" for cell in [f"NPU{npu.id}", *links])
        lines.append(cells + affinity[npu.id % len(affinity)])
    return [*lines, "", *TOPOLOGY_LEGEND]


def health(npu: Npu, node: Node) -> list[str]:
    return listing(node, [
        ("Health Status", npu["health"]),
        ("Error Code", npu["errorCode"]),
        ("Error Information", npu["errorInformation"]),
    ])


def card_board(npu: Npu, node: Node) -> list[str]:
    return listing(node, [
        ("NPU ID", npu.id),
        ("Software Version", driver_version(node)),
        ("Firmware Version", firmware_version(node)),
        ("Compatibility", npu["compatibility"]),
        ("Board ID", npu["boardId"]),
        ("PCB ID", "A"),
        ("BOM ID", 1),
        ("PCIe Bus Info", bus_id(npu)),
        ("Slot ID", 0),
        ("Class ID", "NA"),
        ("PCI Vendor ID", "0x19e5"),
        ("PCI Device ID", npu["pciDeviceId"]),
        ("Subsystem Vendor ID", "0x0200"),
        ("Subsystem Device ID", "0x0100"),
        ("Chip Count", 1),
    ])


def chip_board(npu: Npu, node: Node) -> list[str]:
    return listing(node, [
        ("NPU ID", npu.id),
        ("Chip ID", 0),
        ("Chip Type", "Ascend"),
        ("Chip Name", npu["chipName"]),
        ("Chip Version", "V1"),
        ("Board ID", npu["boardId"]),
        ("PCB ID", "NA"),
        ("BOM ID", 1),
        ("VDie ID", "42C711D4 20B03704 4A10C8D4 14CC040A D2102003"),
        ("NDie ID", "27216594 20401010 4E10C8D4 14CC040A A4102003"),
        ("Chip Position ID", 0),
        ("PCIe Bus Info", bus_id(npu)),
        ("Firmware Version", firmware_version(node)),
    ])


def usages(npu: Npu, node: Node) -> list[str]:
    aivector = [("Aivector Usage Rate(%)", 0)] if node.host["aivector"] else []
    return listing(node, [
        ("NPU ID", npu.id),
        ("Chip Count", 1),
        None,
        ("DDR Capacity(MB)", npu["ddrTotalMb"]),
        ("DDR Usage Rate(%)", npu["ddrUsage"]),
        ("DDR Hugepages Total(page)", 0),
        ("DDR Hugepages Usage Rate(%)", 0),
        ("HBM Capacity(MB)", npu["hbmTotalMb"]),
        ("HBM Usage Rate(%)", hbm_usage(npu)),
        ("Aicore Usage Rate(%)", npu["aicoreUsage"]),
        *aivector,
        ("Aicpu Usage Rate(%)", 0),
        ("Ctrlcpu Usage Rate(%)", 0),
        ("DDR Bandwidth Usage Rate(%)", 0),
        ("HBM Bandwidth Usage Rate(%)", 0),
        ("Chip ID", 0),
    ])


def ecc(npu: Npu, node: Node) -> list[str]:
    counters = [f"{memory} {counter}" for memory in ("DDR", "HBM") for counter in ECC_COUNTERS]
    return listing(node, [
        ("NPU ID", npu.id),
        ("Chip Count", 1),
        None,
        *((counter, npu["ecc"].get(counter, 0)) for counter in counters),
        ("Chip ID", 0),
    ], width=41)


def common(npu: Npu, node: Node) -> list[str]:
    return listing(node, [
        ("NPU ID", npu.id),
        ("Chip Count", 1),
        None,
        ("Chip ID", 0),
        ("Memory Usage Rate(%)", npu["ddrUsage"]),
        ("HBM Usage Rate(%)", hbm_usage(npu)),
        ("Aicore Usage Rate(%)", npu["aicoreUsage"]),
        ("Aicore Freq(MHZ)", 1800),
        ("Aicore curFreq(MHZ)", 800),
        ("Aicore Count", 24),
        ("Temperature(C)", npu["temperature"]),
        ("NPU Real-time Power(W)", npu["power"]),
        None,
        ("Chip Name", "mcu"),
        ("Temperature(C)", npu["mcuTemperature"]),
    ])


def listing(node: Node, pairs: list[tuple[str, Any] | None], width: int = 31) -> list[str]:
    indent = node.host["indent"]
    return ["" if pair is None else f"{indent}{pair[0]:<{width}}: {pair[1]}" for pair in pairs]


# Facts


def hbm_usage(npu: Npu) -> int:
    return npu["hbmUsedMb"] * 100 // npu["hbmTotalMb"]


def bus_id(npu: Npu) -> str:
    return npu["busId"] or f"0000:{BUS_IDS[npu.id % len(BUS_IDS)]}:00.0"


def driver_version(node: Node) -> str:
    return node.host["driverVersion"] or version_info("driver")


def firmware_version(node: Node) -> str:
    return node.host["firmwareVersion"] or version_info("firmware")


def version_info(package: str) -> str:
    path = npu_state.host_path(f"usr/local/Ascend/{package}/version.info")
    try:
        with open(path, encoding="utf-8") as file:
            values = dict(line.strip().split("=", 1) for line in file if "=" in line)
        return values["Version"]
    except (OSError, KeyError):
        return "NA"


QUERIES: dict[str | None, Callable[[Npu, Node], list[str]]] = {
    "health": health,
    "board": card_board,
    "usages": usages,
    "ecc": ecc,
    "common": common,
}

ECC_COUNTERS = (
    "Single Bit Error Count",
    "Double Bit Error Count",
    "Single Bit Aggregate Total Err Cnt",
    "Double Bit Aggregate Total Err Cnt",
    "Single Bit Isolated Pages Count",
    "Double Bit Isolated Pages Count",
)

TOPOLOGY_LEGEND = (
    "Legend:",
    "  X    = Self",
    "  SYS  = Path traversing PCIe and NUMA nodes. Nodes are connected through SMP, such as QPI, UPI.",
    "  PHB  = Path traversing PCIe and the PCIe host bridge of a CPU.",
    "  PIX  = Path traversing a single PCIe switch",
    # Spelt so by the tool.
    "  PXB  = Path traversing multipul PCIe switches",
    "  HCCS = Connection traversing HCCS.",
)
