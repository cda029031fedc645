/** The chain ipsec -> nids -> router between two wires, all on the CPU. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CellOptions } from "../experiment.js";
import { loadBenchSas } from "../ipsec.js";
import { loadBenchRules } from "../nids.js";

/** Writes the chain: the sender's destinations select one of 1,024 SAs each (ipsec.ts), nids sees the ciphertext. @returns its file */
export async function gatewayChain(options: CellOptions): Promise<string> {
  await loadBenchSas(options);
  await loadBenchRules(options);
  const { scratch } = options;
  writeFileSync(join(scratch, "live-routes.txt"), "0.0.0.0/0 192.0.2.1 out\n");
  writeFileSync(
    join(scratch, "live-gateway.csv"),
    ["*,ingress,ipsec", "*,ipsec,nids", "*,nids,router", "*,router,egress"].join("\n"),
  );
  const chain = {
    name: "live-gateway",
    ports: { in: { driver: "null" }, out: { driver: "null" } },
    nfs: {
      ipsec: { type: "ipsec", config: { sas: "sas.json" } },
      nids: { type: "nids", config: { rules: "bench.rules" } },
      router: { type: "router", config: { routes: "live-routes.txt" } },
    },
    policy: "live-gateway.csv",
  };
  const file = join(scratch, "live-gateway.json");
  writeFileSync(file, JSON.stringify(chain));
  return file;
}
