/** Native libraries; each is asked in a process of its own (probe.ts), with a time limit. */
import { findLibrary, locate, WANTED } from "../../scripts/system.mjs";
import { ask } from "./ask.js";
import { type Finding, PROGRAM } from "./finding.js";

/** What probe.ts answers. */
export interface ProbeAnswers {
  "ipsec-mb": { version: string };
  hyperscan: { version: string; usable: boolean };
  "af-xdp": { errno: number };
}

const INSTALL = `${PROGRAM} doctor --install`;
const EAFNOSUPPORT = 97;

const PROBE = new URL("./probe.js", import.meta.url);

/** Asks; an Error says why there is no answer. */
function probe<Name extends keyof ProbeAnswers>(name: Name, path: string): Promise<ProbeAnswers[Name] | Error> {
  return ask<ProbeAnswers[Name]>(PROBE, name, path);
}

function wanted(name: string): (typeof WANTED)[number] {
  return WANTED.find((one) => one.name === name)!;
}

export async function libraryFindings(): Promise<Finding[]> {
  return Promise.all([ipsecMb(), hyperscan()]);
}

async function ipsecMb(): Promise<Finding> {
  const { name, libraries, packages, use, without } = wanted("intel-ipsec-mb");
  const common = { area: "libraries", name } as const;
  if (packages.length === 0) return { ...common, state: "missing", detail: `not for ${process.arch}: ${without}` };
  const path = findLibrary(libraries!);
  if (path === undefined) return { ...common, state: "missing", detail: without, remedy: INSTALL };
  const answer = await probe("ipsec-mb", path);
  if (answer instanceof Error) return broken(common, path, answer);
  // The layout of its structures is known for 1.3 alone.
  if (/^v?1\.3\b/.test(answer.version))
    return { ...common, state: "ok", detail: `${answer.version}, ${use} (${path})` };
  return { ...common, state: "limited", detail: `${answer.version} at ${path} is not 1.3: ${without}` };
}

async function hyperscan(): Promise<Finding> {
  const { name, libraries, use, without } = wanted("Hyperscan");
  const common = { area: "libraries", name } as const;
  const path = findLibrary(libraries!);
  if (path === undefined) return { ...common, state: "missing", detail: without, remedy: INSTALL };
  const answer = await probe("hyperscan", path);
  if (answer instanceof Error) return broken(common, path, answer);
  const detail = `${answer.version}, ${use} (${path})`;
  if (answer.usable) return { ...common, state: "ok", detail };
  return { ...common, state: "limited", detail: `${detail}: not for this processor; ${without}` };
}

function broken(common: Pick<Finding, "area" | "name">, path: string, error: Error): Finding {
  return { ...common, state: "limited", detail: `${path} cannot be used: ${error.message}`, remedy: INSTALL };
}

/** Whether the kernel gives AF_XDP sockets at all, which its configuration may not show. */
export async function afXdpFinding(): Promise<Finding> {
  const common = { area: "network", name: "AF_XDP socket" } as const;
  const answer = await probe("af-xdp", "");
  if (answer instanceof Error) return { ...common, state: "missing", detail: answer.message };
  if (answer.errno === 0) return { ...common, state: "ok", detail: "one could be opened" };
  const unsupported = answer.errno === EAFNOSUPPORT;
  const detail = unsupported ? "this kernel has none" : `the kernel refused one (errno ${answer.errno})`;
  const remedy = unsupported
    ? "use a kernel built with CONFIG_XDP_SOCKETS=y, or the AF_PACKET driver"
    : "the rights above";
  return { ...common, state: "missing", detail, remedy };
}

export function testToolFindings(): Finding[] {
  return WANTED.filter((one) => one.purpose === "test").map((one) => {
    const path = locate(one);
    const common = { area: "tests", name: one.name } as const;
    if (path !== undefined) return { ...common, state: "ok", detail: `${one.use} (${path})` };
    return { ...common, state: "missing", detail: `${one.use}; ${one.without}`, remedy: `${INSTALL}=test` };
  });
}
