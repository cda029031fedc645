/** A run's result for people. */
import Table from "cli-table3";
import type { RunResult } from "../engine/result.js";

const count = (n: number): string => n.toLocaleString("en-US");
const micros = (ns: number): string => `${(ns / 1000).toFixed(1)} us`;

function table(head: string[], rows: (string | number)[][]): string {
  const right = head.map(
    (_, i) => (rows.every((r) => /^[\d,.]*$/.test(String(r[i]))) ? "right" : "left") as "right" | "left",
  );
  const out = new Table({ head, colAligns: right, style: { head: [], border: [], compact: true } });
  for (const row of rows) out.push(row.map(String));
  return out.toString();
}

export function summary(result: RunResult): string {
  const { ledger, throughput, latency_ns: latency } = result;
  const parts = [
    `${result.chain}: ${count(result.packets.rx)} packets in, ${count(result.packets.tx)} out, in ${result.seconds.toFixed(3)} s`,
  ];
  parts.push(
    `throughput ${throughput.mpps.toFixed(3)} Mpps, ${throughput.gbps.toFixed(3)} Gbps; latency p50 ${micros(latency.p50)}, p99 ${micros(latency.p99)}, max ${micros(latency.max)}`,
  );
  parts.push(
    table(
      ["port", "packets in", "bytes in", "packets out", "bytes out"],
      result.ports.map((p) => [p.name, count(p.ipackets), count(p.ibytes), count(p.opackets), count(p.obytes)]),
    ),
  );
  for (const { name, imissed, ierrors, oerrors } of result.ports) {
    if (imissed + ierrors + oerrors === 0) continue;
    parts.push(`port ${name}: ${count(imissed)} missed, ${count(ierrors)} rx errors, ${count(oerrors)} tx errors`);
  }
  if (result.nfs.length > 0) {
    const rows = result.nfs.map((nf) => {
      const outcomes = Object.entries(nf.outcomes).filter(([, n]) => n > 0);
      return [
        nf.name,
        nf.type,
        nf.engine === "" ? nf.place : `${nf.place}, ${nf.engine}`,
        count(nf.packets),
        outcomes.map(([o, n]) => `${o} ${count(n)}`).join(", "),
      ];
    });
    parts.push(table(["NF", "type", "runs on", "packets", "outcomes"], rows));
  }
  if (result.device !== null) parts.push(deviceLine(result));
  if (ledger.drops.length > 0) {
    parts.push(
      table(
        ["dropped by", "reason", "packets"],
        ledger.drops.map((d) => [d.nf, d.reason, count(d.packets)]),
      ),
    );
  }
  const kernel = ledger.to_kernel > 0 ? ` + ${count(ledger.to_kernel)} to the kernel` : "";
  const originated = ledger.originated > 0 ? ` + ${count(ledger.originated)} originated` : "";
  parts.push(
    `ledger: ${count(ledger.rx)} received${originated} = ${count(ledger.tx)} sent${kernel} + ${count(ledger.dropped)} dropped + ${count(ledger.in_flight)} in flight: ${ledger.balanced ? "balanced" : "NOT BALANCED"}`,
  );
  const threads = threadsLine(result);
  if (threads !== "") parts.push(threads);
  const { mode, reordered, flow_reordered: inFlows } = result.order;
  if (reordered > 0)
    parts.push(
      `order ${mode}: ${count(reordered)} packets left after a later one, ${count(inFlows)} after one of their flow`,
    );
  if (result.rx_stages !== undefined) parts.push(stagesTable(result.rx_stages));
  if (result.digest !== null) parts.push(`egress digest ${result.digest}\nalerts digest ${result.alerts_digest}`);
  return `${parts.join("\n")}\n`;
}

/** What a packet costs by stage, in each receiving thread. */
function stagesTable(stages: NonNullable<RunResult["rx_stages"]>): string {
  const ns = (value: number | null) => (value === null ? "" : value.toFixed(1));
  const rows = stages.map((s) => {
    const times = [s.hardware_ns, s.cas_ns, s.buffer_ns, s.rx_ns, s.entire_ns].map(ns);
    return [s.thread, count(s.packets), ...times];
  });
  const head = ["rx thread", "packets", "hardware ns", "CAS+join ns", "buffer ns", "rx ns", "entire ns"];
  return `receiving, ns per packet by stage:\n${table(head, rows)}`;
}

/** Threads that somebody has pinned or given a class; "" where all are as usual. */
function threadsLine({ threads }: RunResult): string {
  const special = threads.filter(({ cpu, class: name, nice }) => cpu !== null || name !== "other" || nice !== 0);
  return special
    .map(({ thread, role, cpu, class: name, priority, nice, wait }) => {
      const where = cpu === null ? "" : ` on CPU ${cpu}`;
      const rank = priority > 0 ? ` ${priority}` : nice === 0 ? "" : ` nice ${nice}`;
      return `thread ${thread} (${role})${where}: ${name}${rank}, ${wait}`;
    })
    .join("\n");
}

function hopsLine({ hops, forwarded_in_vain: vain }: RunResult["sync"]): string {
  if (hops.length === 0) return "";
  const each = hops.map(({ from, to, packets }) => `${from} -> ${to} ${count(packets)}`).join(", ");
  return `\nwent on by themselves: ${each}${vain > 0 ? `; in vain ${count(vain)}` : ""}`;
}

function deviceLine({ device, sync }: RunResult): string {
  const { name, emulated, persistent, zero_copy: zeroCopy, workgroups, launches } = device!;
  const traits = [
    emulated ? "emulated on the CPU" : "hardware",
    persistent ? "persistent" : "rounds",
    zeroCopy ? "zero-copy" : "copied",
    `${workgroups} workgroup${workgroups === 1 ? "" : "s"}`,
    ...(launches > 1 ? [`${count(launches)} launches`] : []),
  ];
  const entries = sync.packets + sync.dummies;
  const share = entries === 0 ? "0" : ((100 * sync.dummies) / entries).toFixed(2);
  return (
    `device ${name}: ${traits.join(", ")}\n` +
    `rows ${count(sync.rows)} with ${count(sync.packets)} packets and ${count(sync.dummies)} dummies (${share} % of entries); ` +
    `${count(sync.bytes_copied)} bytes copied${hopsLine(sync)}`
  );
}
