/** Native libraries and the devices they reach; each is asked in a process of its own (probe.ts), with a time limit. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheEnvironment, cacheFolder, findLibrary, findSwiftShader, locate, WANTED } from "../../scripts/system.mjs";
import { type Finding, PROGRAM } from "./finding.js";
import type { SystemFiles } from "./system-files.js";

export interface OpenClDevice {
  readonly platform: string;
  readonly name: string;
  readonly version: string;
  readonly driver: string;
  /** CL_DEVICE_TYPE: 2 CPU, 4 GPU, 8 accelerator. */
  readonly type: number;
  readonly computeUnits: number;
  /** CL_DEVICE_SVM_CAPABILITIES: 1 coarse buffers, 2 fine buffers, 4 fine system, 8 atomics. */
  readonly svm: number;
  readonly unifiedMemory: boolean;
}

/** What probe.ts answers. */
export interface ProbeAnswers {
  "ipsec-mb": { version: string };
  hyperscan: { version: string; usable: boolean };
  opencl: { devices: OpenClDevice[] };
  "af-xdp": { errno: number };
}

const INSTALL = `${PROGRAM} doctor --install`;
const LIMIT_MS = 20_000;
const EAFNOSUPPORT = 97;

/** Asks; an Error says why there is no answer. */
function ask<Name extends keyof ProbeAnswers>(name: Name, path: string): Promise<ProbeAnswers[Name] | Error> {
  const script = fileURLToPath(new URL("./probe.js", import.meta.url));
  const options = { timeout: LIMIT_MS, killSignal: "SIGKILL", env: { ...process.env, ...cacheEnvironment() } } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, [script, name, path], options, (error, stdout, stderr) => {
      if (error === null) {
        try {
          // The last line: drivers print on stdout, too.
          resolve(JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as ProbeAnswers[Name]);
          return;
        } catch {
          resolve(new Error("the answer could not be read"));
          return;
        }
      }
      if (error.killed) resolve(new Error(`no answer within ${LIMIT_MS / 1000} s`));
      else if (error.signal) resolve(new Error(`it ended the process with ${error.signal}`));
      else resolve(new Error(/^\w*Error: (.*)$/m.exec(stderr)?.[1] ?? `exit code ${error.code}`));
    });
  });
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
  const answer = await ask("ipsec-mb", path);
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
  const answer = await ask("hyperscan", path);
  if (answer instanceof Error) return broken(common, path, answer);
  const detail = `${answer.version}, ${use} (${path})`;
  if (answer.usable) return { ...common, state: "ok", detail };
  return { ...common, state: "limited", detail: `${detail}: not for this processor; ${without}` };
}

function broken(common: Pick<Finding, "area" | "name">, path: string, error: Error): Finding {
  return { ...common, state: "limited", detail: `${path} cannot be used: ${error.message}`, remedy: INSTALL };
}

export async function deviceFindings(files: SystemFiles): Promise<Finding[]> {
  return [...(await openCl()), vulkan(files), webGpu()];
}

async function openCl(): Promise<Finding[]> {
  const { name, libraries, without } = wanted("OpenCL loader");
  const common = { area: "devices", name } as const;
  const path = findLibrary(libraries!);
  if (path === undefined) return [{ ...common, state: "missing", detail: without, remedy: INSTALL }];
  const answer = await ask("opencl", path);
  if (answer instanceof Error) return [broken(common, path, answer)];
  if (answer.devices.length > 0) return answer.devices.map(openClFinding);
  const remedy = `${INSTALL} (emulation on the CPU), or the GPU vendor's OpenCL package: intel-opencl-icd, mesa-opencl-icd`;
  return [{ ...common, state: "missing", detail: `${path} finds no device`, remedy }];
}

function openClFinding(device: OpenClDevice): Finding {
  const emulated = device.type % 4 >= 2 || /llvmpipe|swiftshader|lavapipe/i.test(device.name);
  // Fine-grain buffers and atomics: the host and a kernel that runs for ever see each other's words.
  const persistent = (device.svm & 0b1010) === 0b1010;
  const traits = [
    emulated ? "emulated on the CPU: proves correctness, not GPU benefit" : "hardware",
    persistent
      ? "fine-grain SVM with atomics: persistent kernels, zero-copy"
      : "no fine-grain SVM atomics: rounds with copies",
    `${device.computeUnits} compute units`,
    ...(device.unifiedMemory ? ["memory shared with the host"] : []),
    `${device.version}, driver ${device.driver}`,
  ];
  const state = emulated || !persistent ? "limited" : "ok";
  return { area: "devices", name: `opencl: ${device.name}`, state, detail: `${device.platform}; ${traits.join("; ")}` };
}

function vulkan(files: SystemFiles): Finding {
  const common = { area: "devices", name: "Vulkan drivers (for WebGPU)" } as const;
  const system = files.glob("/usr/share/vulkan/icd.d/*.json").map((path) => path.slice(path.lastIndexOf("/") + 1));
  const emulated = findSwiftShader();
  if (emulated === undefined && system.length === 0) {
    return { ...common, state: "missing", detail: `none, nor SwiftShader in ${cacheFolder()}`, remedy: INSTALL };
  }
  const found = [...system, ...(emulated === undefined ? [] : [`SwiftShader, emulated on the CPU (${emulated})`])];
  return { ...common, state: system.length > 0 ? "ok" : "limited", detail: found.join(", ") };
}

function webGpu(): Finding {
  const common = { area: "devices", name: "WebGPU package" } as const;
  const folders = createRequire(import.meta.url).resolve.paths("webgpu") ?? [];
  const folder = folders.map((path) => join(path, "webgpu")).find((path) => existsSync(join(path, "package.json")));
  if (folder === undefined) return { ...common, state: "missing", detail: "comes with a later release" };
  return { ...common, state: "ok", detail: folder };
}

/** Whether the kernel gives AF_XDP sockets at all, which its configuration may not show. */
export async function afXdpFinding(): Promise<Finding> {
  const common = { area: "network", name: "AF_XDP socket" } as const;
  const answer = await ask("af-xdp", "");
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
