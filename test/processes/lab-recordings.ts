import type { Values } from "../../tools/lab/hosts/npu-doc.mjs";

export interface Recording {
  script: string;
  values?: Values;
  host?: Values;
  npus?: Record<string, Values>;
}

const eight = [0, 1, 2, 3, 4, 5, 6, 7];
const loop = (args: string) => `for i in ${eight.join(" ")}; do hccn_tool -i $i ${args}; done`;
const guide: Recording["npus"] = Object.fromEntries(
  eight.map((id) => [id, { ip: `11.12.165.${80 + id}` }]),
);
const guideNetwork = { netmask: "255.255.255.0", gateway: "11.12.165.1", netdetect: "11.12.165.1" };
const pingTimes = [
  [0.114, 0.067, 0.063],
  [0.149, 0.066, 0.064],
  [0.14, 0.063, 0.064],
  [0.154, 0.064, 0.062],
  [0.142, 0.065, 0.064],
  [0.139, 0.065, 0.063],
  [0.143, 0.063, 0.063],
  [0.157, 0.065, 0.063],
];
const lost = { "Rx Los Flag": "0xff", "Rx LoL Flag": "0xff" };
const worker = (pid: number, memoryMb: number) => ({
  pid,
  name: "/usr/local/python3.11/bin/python",
  memoryMb,
});

/** Every file of lab-fixtures, and what makes the stand-ins say the same. */
export const recorded: Record<string, Recording> = {
  "hccn_tool/bandwidth-g.idle.txt": { script: "hccn_tool -i 0 -bandwidth -g" },
  "hccn_tool/fec-g.none.txt": { script: "hccn_tool -i 0 -fec -g", values: { fec: "no" } },
  "hccn_tool/fec-g.rs.txt": { script: "hccn_tool -i 0 -fec -g" },
  "hccn_tool/gateway-g.loop8.txt": { script: loop("-gateway -g"), values: guideNetwork },
  "hccn_tool/gateway-g.ok.txt": { script: "hccn_tool -i 0 -gateway -g", values: guideNetwork },
  "hccn_tool/hw_stats-g.txt": { script: "hccn_tool -i 3 -hw_stats -g" },
  "hccn_tool/ip-g.capture.txt": {
    script: "hccn_tool -i 0 -ip -g",
    values: { netmask: "255.255.255.0" },
    npus: { 0: { ip: "10.10.0.10" } },
  },
  "hccn_tool/ip-g.loop8.txt": { script: loop("-ip -g"), values: guideNetwork, npus: guide },
  "hccn_tool/ip-g.mask16.txt": {
    script: "hccn_tool -i 4 -ip -g",
    npus: { 4: { ip: "29.1.112.213" } },
  },
  "hccn_tool/ip-g.ok.txt": { script: "hccn_tool -i 0 -ip -g", values: guideNetwork, npus: guide },
  "hccn_tool/link-g.down.txt": { script: "hccn_tool -i 0 -link -g", values: { link: "DOWN" } },
  "hccn_tool/link-g.up.txt": { script: "hccn_tool -i 0 -link -g" },
  "hccn_tool/link_stat-g.devid.txt": {
    script: "hccn_tool -i 0 -link_stat -g",
    values: {
      linkStat: {
        currentTime: "Wed Aug  2 03:09:26 2022",
        upCount: 2,
        records: [
          "Tue Aug  1 14:43:40 2022    LINK UP",
          "Tue Aug  1 14:43:40 2022    LINK DOWN",
          "Tue Aug  1 14:43:26 2022    LINK UP",
        ],
      },
    },
  },
  "hccn_tool/link_stat-g.flap.txt": {
    script: "hccn_tool -i 0 -link_stat -g",
    values: {
      linkStat: {
        currentTime: "Tue Oct 28 21:46:46 2025",
        upCount: 2,
        downCount: 1,
        records: [
          "Sun Oct  5 10:13:51 2025    LINK UP",
          "Sun Oct  5 10:13:50 2025    LINK DOWN",
          "Sun Oct  5 10:13:35 2025    LINK UP",
        ],
      },
    },
  },
  "hccn_tool/lldp-g.full.txt": {
    script: "hccn_tool -i 0 -lldp -g",
    values: {
      lldp: {
        mac: "...",
        ifname: "400GE1/1/20:2",
        systemName: null,
        managementAddress: "26.xx.xx.xx",
        indent: "        ",
      },
    },
  },
  "hccn_tool/lldp-g.grep-ifname.loop8.txt": {
    script: `${loop("-lldp -g")} | grep Ifname`,
    npus: Object.fromEntries(
      eight.map((id) => [id, { lldp: { ifname: `400GE1/${(id >> 1) + 1}/5:${(id % 2) + 1}` } }]),
    ),
  },
  "hccn_tool/lldp-g.grep-ifname.txt": { script: "hccn_tool -i 0 -lldp -g | grep Ifname" },
  "hccn_tool/net_health-g.init.txt": {
    script: "hccn_tool -i 0 -net_health -g",
    values: { netdetect: null },
  },
  "hccn_tool/net_health-g.socket-failed.txt": {
    script: "hccn_tool -i 0 -net_health -g",
    values: { netHealth: "Socket failed" },
  },
  "hccn_tool/net_health-g.success.txt": { script: "hccn_tool -i 0 -net_health -g" },
  "hccn_tool/netdetect-g.ok.txt": { script: "hccn_tool -i 0 -netdetect -g", values: guideNetwork },
  "hccn_tool/optical-g.not-present.txt": {
    script: "hccn_tool -i 0 -optical -g",
    values: {
      opticalLayout: "aggregate",
      optical: { present: "not present", "Tx Power": "4.4035 mW", ...lost },
    },
  },
  "hccn_tool/optical-g.per-lane.txt": {
    script: "hccn_tool -i 0 -optical -g",
    values: {
      optical: {
        present: "not present",
        "Tx Power0": "4.4035 mW",
        "Rx Power1": "0.0054 mW",
        ...lost,
      },
    },
  },
  "hccn_tool/ping-g.first-slow.txt": {
    script: "hccn_tool -i 3 -ping -g address 29.1.137.205",
    values: { ping: { timesMs: [1.418, 0.034, 0.04] } },
    npus: { 0: { ip: "29.1.137.205" }, 3: { ip: "29.1.112.213" } },
  },
  "hccn_tool/ping-g.loop8.txt": {
    script: loop("-ping -g address 11.12.165.80"),
    values: guideNetwork,
    npus: Object.fromEntries(
      eight.map((id) => [
        id,
        {
          ip: `11.12.165.${80 + id}`,
          ping: { timesMs: pingTimes[id] },
        },
      ]),
    ),
  },
  "hccn_tool/ping-g.ok.txt": {
    script: "hccn_tool -i 0 -ping -g address 11.12.165.80",
    values: guideNetwork,
    npus: guide,
  },
  "hccn_tool/route-g.ok.txt": {
    script: "hccn_tool -i 3 -route -g",
    values: { gateway: "29.1.0.1" },
    npus: { 3: { ip: "29.1.112.213" } },
  },
  "hccn_tool/speed-g.100g.txt": {
    script: "hccn_tool -i 0 -speed -g",
    values: { speed: "100000 Mb/s" },
  },
  "hccn_tool/stat-g.errors-zero.txt": {
    script: "hccn_tool -i 0 -stat -g",
    values: { statKeys: ["roce_rx_err_pkt_num", "roce_tx_err_pkt_num"] },
  },
  "hccn_tool/stat-g.excerpt.txt": {
    script: "hccn_tool -i 0 -stat -g | grep -v -e new_pkt_rty -e ecn_db",
    values: {
      stat: {
        nic_tx_all_pkg_num: 122404,
        nic_tx_all_oct_num: 16921741,
        nic_rx_all_pkg_num: 6414803,
        nic_rx_all_oct_num: 482237805,
      },
    },
  },
  "hccn_tool/tls-g.execute-failed.txt": {
    script: "hccn_tool -i 0 -tls -g || true",
    values: { tls: "failed" },
  },
  "hccn_tool/tls-g.grep-switch.disabled.txt": { script: "hccn_tool -i 0 -tls -g | grep switch" },
  "hccn_tool/tls-g.grep-switch.loop8.txt": { script: `${loop("-tls -g")} | grep switch` },
  "hccn_tool/tls-g.grep-switch.mismatch.txt": {
    script: "for i in 0 1; do hccn_tool -i $i -tls -g; done | grep switch",
    npus: { 1: { tls: 1 } },
  },
  "hccn_tool/tls-s.ok.txt": { script: "hccn_tool -i 0 -tls -s enable 0" },
  "npu-smi/info-i.error-parameter.txt": { script: "npu-smi info -t board -i x || true" },
  "npu-smi/info-i.invalid-card-id.txt": { script: "npu-smi info -t board -i 8 || true" },
  "npu-smi/info-m.txt": { script: "npu-smi info -m", values: { chipName: "910A" } },
  "npu-smi/info-t-board.card.txt": {
    script: "npu-smi info -t board -i 0",
    values: { busId: "0000:61:00.0", pciDeviceId: "0xD801" },
    host: { indent: "", driverVersion: "23.0.5", firmwareVersion: "7.1.0.7.220" },
  },
  "npu-smi/info-t-board.chip.tab-indented.txt": {
    script: "npu-smi info -t board -i 0 -c 0",
    values: { busId: "0000:61:00.0", chipName: "910A" },
    host: { firmwareVersion: "7.1.0.7.220" },
  },
  "npu-smi/info-t-board.chip.txt": {
    script: "npu-smi info -t board -i 0 -c 0",
    values: { busId: "0000:61:00.0", chipName: "xxx" },
    host: { indent: "", firmwareVersion: "7.1.0.7.220" },
  },
  "npu-smi/info-t-common.txt": {
    script: "npu-smi info -t common -i 1",
    values: { temperature: 46, power: 93.4, hbmUsedMb: 3000 },
    host: { indent: "        " },
  },
  "npu-smi/info-t-ecc.zero.txt": { script: "npu-smi info -t ecc -i 1", host: { indent: "" } },
  "npu-smi/info-t-health.ok.txt": {
    script: "npu-smi info -t health -i 0 -c 0",
    host: { indent: " " },
  },
  "npu-smi/info-t-topo.910b.txt": { script: "npu-smi info -t topo" },
  "npu-smi/info-t-usages.32g.txt": {
    script: "npu-smi info -t usages -i 0",
    values: { ddrTotalMb: 13553, ddrUsage: 6, hbmTotalMb: 32768, hbmUsedMb: 0 },
    host: { indent: "", aivector: false },
  },
  "npu-smi/info-t-usages.64g.txt": {
    script: "npu-smi info -t usages -i 0",
    values: { hbmUsedMb: 3000 },
    host: { indent: "        " },
  },
  "npu-smi/info-t-usages.tab-indented.txt": {
    script: "npu-smi info -t usages -i 0",
    values: { ddrTotalMb: 13553, ddrUsage: 6, hbmTotalMb: 31129, hbmUsedMb: 0 },
    host: { aivector: false },
  },
  "npu-smi/info.a2-8x910b3-idle.txt": {
    script: "npu-smi info",
    host: { driverVersion: "23.0.0" },
    npus: {
      0: { power: 92.2, temperature: 36, hbmUsedMb: 3314 },
      1: { power: 91.9, temperature: 38 },
      2: { power: 93.3, temperature: 37, hbmUsedMb: 3308 },
      3: { power: 94.7, temperature: 38, hbmUsedMb: 3308 },
      4: { power: 94.8, temperature: 41 },
      5: { power: 95.8, temperature: 44 },
      6: { power: 92.5, temperature: 41 },
      7: { power: 93.3, temperature: 43 },
    },
  },
  "npu-smi/info.a2-910b1-no-process-table.txt": {
    script: "npu-smi info",
    values: { chipName: "910B1", hbmUsedMb: 4175 },
    host: { driverVersion: "23.0.rc2", processTable: false },
    npus: {
      0: { power: 88.4, temperature: 46 },
      1: { power: 92.1, temperature: 47, busId: "0000:01:00.0" },
      7: { power: 92.7, temperature: 48, hbmUsedMb: 4174 },
    },
  },
  "npu-smi/info.process-row.ray.txt": {
    script: "npu-smi info | grep ray",
    npus: { 2: { processes: [{ pid: 5922, name: "rayRayWorkerW", memoryMb: 29297 }] } },
  },
  "npu-smi/info.process-table.busy.txt": {
    // The recording has the process part only.
    script:
      "npu-smi info | sed -n '/Process id/,$p' | sed '1i +---------------------------+---------------+----------------------------------------------------+'",
    npus: Object.fromEntries(
      eight.map((id) => [
        id,
        {
          processes:
            id === 0
              ? [
                  worker(849, 117),
                  worker(842, 59017),
                  ...[843, 844, 845, 846, 847, 848].map((pid) => worker(pid, 117)),
                ]
              : [worker(842 + id, 59363)],
        },
      ]),
    ),
  },
};
