/**
 * nids: signature-based intrusion detection with Snort 2 / Suricata rules.
 *
 * PURPOSE
 *   Looks for the longest content (or the `fast_pattern`) of every rule in every packet at once, then evaluates the whole rule
 *   on the few packets that hit. `tcp`, `udp` and `icmp` rules look at the L4 payload, `ip` rules at everything behind the IP
 *   header, whatever the protocol, fragments included. One alert per rule and packet. IPv4 and IPv6.
 *
 * OUTCOMES
 *   clean  no alert, drop or reject rule matched; also after a match of a `pass` rule, which silences all other rules for that
 *          packet. A `log` rule writes its line and leaves the packet clean.
 *   alert  an `alert` rule matched
 *   drop   a `drop` or `reject` rule matched: the packet is dropped whatever the policy says; reject sends no answer
 *
 * CONFIGURATION
 *   rules           file or list of files, relative to the chain file; a rule itself may stand in place of a file
 *   vars            variables without $: addresses and ports; one that rules use and nobody sets means any, negated or not
 *   on_unsupported  "skip" (default): rules with unsupported options are skipped, counted and named; "error": refused
 *   alerts          file of EVE JSON lines, created anew; default: none is written
 *   engine          "auto" (default), "hyperscan" or "aho-corasick"; all find the same
 *
 * EXAMPLE
 *   "nids": {"type": "nids", "config": {"rules": "local.rules", "vars": {"HOME_NET": "10.0.0.0/8"}, "alerts": "eve.json"}}
 *   alert tcp any any -> $HOME_NET 80 (msg:"shell"; flow:established,to_server; content:"/bin/sh"; nocase; sid:1000001; rev:1;)
 *
 * LIMITS
 *   Packet by packet: no reassembly, no decoding (http_uri and kin are unsupported), no flowbits, no thresholds.
 *   `a<>b` excludes its ends, relative isdataat counts as Suricata does, `flags:!` as Snort does. A rule without positive content
 *   is evaluated on every packet. `flow` watches 65,536 connections at a time and does not check sequence numbers.
 *   pcre runs on JavaScript's engine, which has no match limit: an expression with nested quantifiers can be made slow by
 *   a payload written for it; a content beside it bounds how often it runs.
 *   On a GPU the kernel says which packets hold a pattern, exactly, and the CPU does the rest; the automaton may take 256 MiB, some 20,000
 *   patterns, and building it some seconds. `engine` then chooses what the CPU identifies patterns with.
 *   severity is the rule's `priority` (default 3), category its `classtype`: there is no classification.config.
 *
 * SOURCES
 *   Snort 2.9 Users Manual, chapter 3; Suricata User Guide, "Suricata Rules" and "Eve JSON Output".
 */
import type { NfModule } from "../../runtime/chain/nf.js";
import { needsTable, searchesWholeIp } from "./cpu.js";
import { create } from "./create.js";
import { forward } from "./gpu.js";
import { gpuTables } from "./gpu-tables.js";
import { loadRules, type NidsLoaded } from "./load.js";
import { type NidsConfig, schema } from "./schema.js";

export const nf: NfModule<NidsConfig, NidsLoaded> = {
  type: "nids",
  outcomes: [{ name: "clean" }, { name: "alert" }, { name: "drop", alwaysDrops: true }],
  schema,
  gpu: {
    program: "nids",
    writes: "params",
    tables: ({ patterns, rules }) => gpuTables(patterns, searchesWholeIp(rules)),
    forward,
  },
  // A connection is watched in one place, and a file has one writer.
  replicable: ({ rules, alerts }) => alerts === null && !rules.some(needsTable),
  counted: ["alerts"],
  outputs: (config) => (config.alerts === undefined ? [] : [config.alerts]),
  load: loadRules,
  create,
};
