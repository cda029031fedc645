/** Configuration of the nids; units and meaning stand in index.ts. */
import { z } from "zod";

export const schema = z.strictObject({
  rules: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe(
      "Rule file or list of files in Snort/Suricata syntax, relative to the chain file; a rule itself may stand here too",
    ),
  vars: z
    .record(z.string(), z.string())
    .optional()
    .describe('Variables of the rules, e.g. {"HOME_NET": "[10.0.0.0/8]", "HTTP_PORTS": "80,8080"}'),
  on_unsupported: z
    .enum(["skip", "error"])
    .default("skip")
    .describe("What becomes of a rule with an unsupported option"),
  alerts: z.string().min(1).optional().describe("File for alerts as EVE JSON lines; created anew by every run"),
  engine: z
    .enum(["auto", "hyperscan", "aho-corasick", "pair-filter"])
    .default("auto")
    .describe("Multi-pattern engine; auto takes Hyperscan where it is installed"),
});

export type NidsConfig = z.infer<typeof schema>;
