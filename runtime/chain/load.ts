/** Reads a chain file with everything it names, and checks it whole before a thread starts. */
import { dirname, isAbsolute, join, resolve } from "node:path";
import { ConfigError } from "../errors.js";
import { addressesOf, broadcastsAt, type PortAddresses } from "../nic/addresses.js";
import { isLive, mtuOf, type PortConfig, resolvePort, SLOT_MTU } from "../nic/drivers.js";
import { checkInterfaces } from "../nic/interfaces.js";
import { validate } from "../validate.js";
import { checkAddresses } from "./addresses.js";
import { checkFiles, type UsedFile } from "./files.js";
import { analyse, type PolicyGraph } from "./graph.js";
import { inOrder, readJsonFile } from "./json.js";
import { importNf, nfSource } from "./modules.js";
import type { NfModule } from "./nf.js";
import { PolicyResolver, type PolicyRow, readPolicy } from "./policy.js";
import { type ChainFile, chainSchema } from "./schema.js";
import type { SelectorSpec } from "./selector.js";
import { DEFAULT_TYPE, NON_IP_TYPE } from "./type-names.js";

export interface LoadedPort {
  readonly name: string;
  readonly config: PortConfig;
  readonly rx: boolean;
  readonly tx: boolean;
  /** Largest IP packet it sends, in bytes; undefined: whatever the slot holds. */
  readonly mtu: number | undefined;
  /** Of an interface that receives and sends: where messages of the gateway's own come from. */
  readonly addresses?: PortAddresses | undefined;
  /** Of an interface: IPv4 addresses that stand for all hosts of its networks. */
  readonly broadcasts?: readonly number[] | undefined;
}

export interface LoadedNf {
  readonly name: string;
  readonly type: string;
  /** What importNf takes: the type, or the absolute path of a user's module. */
  readonly source: string;
  readonly place: "cpu" | "gpu";
  readonly module: NfModule;
  /** What the module's load returned; posted to the workers. */
  readonly loaded: unknown;
  /** Bytes of the largest IP packet that is not too big for it, where it has an outcome that says so to the sender. */
  readonly largest?: number | undefined;
  /** Files it writes. */
  readonly outputs: readonly string[];
}

export interface LoadedChain {
  readonly file: string;
  /** Every file it names, itself included; of replaced ports only what replaces them. */
  readonly files: readonly UsedFile[];
  readonly name: string;
  readonly ports: readonly LoadedPort[];
  readonly selectors: readonly SelectorSpec[];
  /** The user's types, then `default`, then `non-ip`. */
  readonly types: readonly string[];
  readonly nfs: readonly LoadedNf[];
  readonly rows: readonly PolicyRow[];
  readonly policy: PolicyResolver;
  readonly graph: PolicyGraph;
}

export interface LoadOptions {
  /** Replaces the port named `in`. */
  readonly in?: PortConfig | undefined;
  /** Replaces the port named `out`. */
  readonly out?: PortConfig | undefined;
  /** Replaces the places of the NFs it names. */
  readonly place?: ReadonlyMap<string, "cpu" | "gpu"> | undefined;
  /**
   * Where NFs write what they would write to this file (alerts), absolute; experiments leave the user's files alone. `outputs` of an NF still
   * names the user's.
   */
  readonly redirect?: ((file: string) => string) | undefined;
  warn(line: string): void;
}

/** @throws ConfigError for the first thing that is wrong, with file and key or line */
export async function loadChain(file: string, options: LoadOptions): Promise<LoadedChain> {
  const { value, order } = readJsonFile(file, {
    what: "the chain",
    remedy: "give the path of a chain JSON file",
    expected: 'a chain is one JSON object with "name", "ports" and "policy"; see examples/',
  });
  const chain = validate(chainSchema, value, file);
  const chainPorts = inOrder(chain.ports, order.get("ports"));
  const chainTypes = inOrder(chain.types, order.get("types"));
  const chainNfs = inOrder(chain.nfs, order.get("nfs"));
  const base = dirname(resolve(file));
  const resolvePath = (path: string) => (isAbsolute(path) ? path : join(base, path));
  const configs = portConfigs(file, chainPorts, options, resolvePath);
  const portNames = [...configs.keys()];
  checkSelectors(file, chain, portNames);
  const places = checkPlaces(options.place, Object.keys(chain.nfs));

  const modules = new Map<string, NfModule>();
  const sources = new Map<string, string>();
  for (const [name, nf] of chainNfs) {
    const where = `${file}: nfs.${name}.type`;
    const source = nfSource(nf.type, resolvePath, where);
    const module = await importNf(source, where);
    for (const [other, { type }] of modules) {
      if (type === module.type && sources.get(other) !== source) {
        throw new ConfigError(where, `${source} and ${sources.get(other)} both have nf.type "${type}"`, "rename one");
      }
    }
    modules.set(name, module);
    sources.set(name, source);
  }

  const types = [...chainTypes.map(([name]) => name), DEFAULT_TYPE, NON_IP_TYPE];
  const nfNames = [...modules].map(([name, module]) => ({ name, outcomes: module.outcomes }));
  const policyFile = resolvePath(chain.policy);
  // Directions of file ports depend on the policy, and the policy names ports: the names are checked against all of them first.
  const anyPort = portNames.map((name) => ({ name, rx: true, tx: true }));
  const draft = readPolicy(policyFile, { types, ports: anyPort, nfs: nfNames });
  const egress = new Set(
    draft.flatMap((r) => (r.target.kind === "egress" && r.target.port !== undefined ? [r.target.port] : [])),
  );
  const inputs = inputPorts(chain, draft, configs);
  const nameablePorts = portNames.map((_, i) => i).filter((i) => !inputs.has(portNames[i]!));
  const sending = portNames
    .map((_, i) => i)
    .filter((i) => sends(portNames[i]!, configs.get(portNames[i]!)!, egress.has(i)));
  // Where no port is known to send, the one file port that is no input is what the packets are for.
  const knownTx = sending.length === 0 && nameablePorts.length === 1 ? nameablePorts : sending;
  for (const port of knownTx) egress.add(port);

  const read: UsedFile[] = [
    { file, what: "the chain" },
    { file: policyFile, what: "its policy" },
  ];
  const nfs: LoadedNf[] = [];
  for (const [name, nf] of chainNfs) {
    const module = modules.get(name)!;
    const where = `${file}: nfs.${name}.config`;
    const config = validate(module.schema, nf.config, where);
    const mtu = portNames.map((port) => mtuOf(configs.get(port)!) ?? SLOT_MTU);
    const outputs = (module.outputs?.(config) ?? []).map(resolvePath);
    const named: string[] = [];
    const loaded = await module.load(config, {
      name,
      where,
      resolve(path) {
        const full = resolvePath(path);
        named.push(full);
        return outputs.includes(full) && options.redirect !== undefined ? options.redirect(full) : full;
      },
      ports: portNames,
      txPorts: knownTx,
      nameablePorts,
      mtu,
      warn: options.warn,
    });
    for (const port of module.egressPorts?.(loaded) ?? []) egress.add(port);
    const source = sources.get(name)!;
    if (isAbsolute(source)) named.push(source);
    for (const path of options.redirect === undefined ? [] : outputs.filter((one) => !named.includes(one))) {
      options.warn(`NF ${name} writes ${path} and does not ask where (LoadContext.resolve): it is written anew`);
    }
    // An output is named once; named once more, it is read as well.
    for (const path of outputs) if (named.includes(path)) named.splice(named.indexOf(path), 1);
    for (const path of named) read.push({ file: path, what: `which NF ${name} reads` });
    const place = places.get(name) ?? nf.place;
    nfs.push({ name, type: nf.type, source, place, module, loaded, largest: module.largest?.(loaded), outputs });
  }
  checkGpuPlaces(file, nfs, places);

  const ports = portNames.map((name, i) => loadedPort(file, name, configs.get(name)!, egress.has(i)));
  checkAddresses(file, ports, options.warn);
  if (!ports.some((p) => p.rx)) {
    throw new ConfigError(`${file}: ports`, "no port receives", 'give one of them "dir": "rx", or name it `in`');
  }
  for (const { name, config } of ports) {
    if (config.driver === "generator" && config.rules !== undefined)
      read.push({ file: config.rules, what: `which port ${name} takes rules from` });
  }
  checkInterfaces(`${file}: ports`, ports);
  const files = [...read, ...checkFiles(file, ports, nfs, read)];
  const names = { types, ports, nfs: nfNames };
  const rows = readPolicy(policyFile, names);
  const policy = new PolicyResolver(rows);
  const possible = nfs.map(({ module, loaded }) => {
    const some = module.possible?.(loaded);
    return some === undefined ? module.outcomes : module.outcomes.filter((o) => some.includes(o.name));
  });
  const graph = analyse(names, policy, possible);
  checkGraph(policyFile, ports, nfs, rows, graph);
  const selectors = chainTypes.map(([, selector]) => selector);
  return { file, files, name: chain.name, ports, selectors, types, nfs, rows, policy, graph };
}

function portConfigs(
  file: string,
  ports: readonly (readonly [string, PortConfig])[],
  options: LoadOptions,
  resolvePath: (path: string) => string,
): Map<string, PortConfig> {
  const configs = new Map<string, PortConfig>();
  for (const [name, config] of ports) {
    configs.set(name, resolvePort(config, resolvePath));
  }
  for (const name of ["in", "out"] as const) {
    const config = options[name];
    if (config === undefined) continue;
    const old = configs.get(name);
    if (old === undefined) {
      const known = [...configs.keys()].join(", ");
      throw new ConfigError(`--${name}`, `the chain ${file} has no port named "${name}"; its ports: ${known}`);
    }
    configs.set(name, { ...config, ...(old.mtu === undefined ? {} : { mtu: old.mtu }) });
  }
  return configs;
}

function checkSelectors(file: string, chain: ChainFile, ports: readonly string[]): void {
  for (const [name, selector] of Object.entries(chain.types)) {
    if (selector.port !== undefined && !ports.includes(selector.port)) {
      throw new ConfigError(`${file}: types.${name}.port`, `no port "${selector.port}"; ports: ${ports.join(", ")}`);
    }
  }
}

function checkPlaces(place: LoadOptions["place"], nfs: readonly string[]): ReadonlyMap<string, "cpu" | "gpu"> {
  for (const name of place?.keys() ?? []) {
    if (!nfs.includes(name)) throw new ConfigError("--place", `no NF "${name}"; the chain's NFs: ${nfs.join(", ")}`);
  }
  return place ?? new Map();
}

/** Only NFs with a kernel can be placed on a GPU, whatever device there is. */
export function checkGpuPlaces(
  file: string,
  nfs: readonly Pick<LoadedNf, "name" | "type" | "place" | "module">[],
  places: ReadonlyMap<string, "cpu" | "gpu">,
): void {
  const unable = nfs.find((nf) => nf.place === "gpu" && nf.module.gpu === undefined);
  if (unable === undefined) return;
  const able = nfs.filter((nf) => nf.module.gpu !== undefined).map((nf) => nf.name);
  throw new ConfigError(
    places.has(unable.name) ? "--place" : `${file}: nfs.${unable.name}.place`,
    `NF ${unable.name} is of type ${unable.type}, which runs on the CPU only`,
    `place it on cpu; NFs of this chain that run on a GPU: ${able.length === 0 ? "none" : able.join(", ")}`,
  );
}

/** Ports that are inputs whatever routes say: a route naming one is a mistake and must not make a capture an output. */
function inputPorts(
  chain: ChainFile,
  rows: readonly PolicyRow[],
  configs: ReadonlyMap<string, PortConfig>,
): Set<string> {
  const inputs = new Set(["in"]);
  for (const [name, config] of Object.entries(chain.ports)) {
    if (config.dir === "rx" || config.driver === "generator") inputs.add(name);
    if (config.dir === "tx" || config.dir === "both") inputs.delete(name);
  }
  for (const { current } of rows) if (current.startsWith("ingress:")) inputs.add(current.slice("ingress:".length));
  for (const { port } of Object.values(chain.types)) if (port !== undefined) inputs.add(port);
  for (const [name, config] of configs) if (directionOf(name, config) === "both") inputs.delete(name);
  return inputs;
}

/** The direction a port has whatever the policy says; undefined: as it is used. Interfaces go both ways, but for those of a line. */
function directionOf(name: string, config: PortConfig): PortConfig["dir"] {
  if (config.dir !== undefined || !isLive(config)) return config.dir;
  if (name === "in") return "rx";
  return name === "out" ? "tx" : "both";
}

/** Whether a port is known to send before the routes are read. */
function sends(name: string, config: PortConfig, egress: boolean): boolean {
  const dir = directionOf(name, config);
  if (dir !== undefined) return dir !== "rx";
  // Sending to `in` is a slip, and must not empty the capture that is there.
  if (name === "in" && config.driver === "pcap") return false;
  return config.driver === "null" || egress || name === "out";
}

/** A file is an output when packets are sent to it, else an input. */
function loadedPort(file: string, name: string, config: PortConfig, egress: boolean): LoadedPort {
  const where = `${file}: ports.${name}`;
  const tx = sends(name, config, egress);
  const dir = directionOf(name, config);
  const rx = dir === undefined ? !tx : dir !== "tx";
  if (rx && tx && !isLive(config))
    throw new ConfigError(where, `a ${config.driver} port cannot be both rx and tx`, "use two ports");
  if (egress && !tx)
    throw new ConfigError(where, "packets are sent to it, but it is an input", 'use another port or "dir": "tx"');
  if (rx && config.driver === "null")
    throw new ConfigError(where, "a null port only swallows packets", "use a capture or generator");
  if (tx && config.driver === "generator")
    throw new ConfigError(where, "a generator only makes packets", "send to a capture or null");
  const addresses = rx && tx && isLive(config) ? addressesOf(config) : undefined;
  const broadcasts = isLive(config) ? broadcastsAt(config) : undefined;
  return { name, config, rx, tx, mtu: mtuOf(config), addresses, broadcasts };
}

function checkGraph(
  policyFile: string,
  ports: readonly LoadedPort[],
  nfs: readonly LoadedNf[],
  rows: readonly PolicyRow[],
  graph: PolicyGraph,
): void {
  const first = graph.missing[0];
  if (first !== undefined) {
    const all = graph.missing.map((m) => `${m.type} at ${m.at}`).join("; ");
    const row = `${first.type},${first.at.startsWith("ingress:") ? "ingress" : first.at},NEXT`;
    throw new ConfigError(policyFile, `no row says where these go: ${all}`, `add a row such as \`${row}\``);
  }
  if (graph.trapped.length > 0) {
    const all = graph.trapped.map((p) => `${p.type} at ${nfs[p.nf]!.name}`).join("; ");
    throw new ConfigError(
      policyFile,
      `a loop without a way out: ${all}`,
      "lead one of its outcomes to egress, kernel or drop",
    );
  }
  const row = rows.find((r) => r.target.kind === "egress" && r.target.port === undefined);
  if (row !== undefined && !ports.some((p) => p.tx)) {
    throw new ConfigError(
      `${policyFile}:${row.line}`,
      "`egress`, but no port sends",
      'name a port `out` or give it "dir": "tx"',
    );
  }
}
