/**
 * `wingbeat doctor`: what this machine offers, and what mends each lack. With `--install` it is the set-up of the system
 * packages by itself.
 */
import { describe, type Installed, installSystem } from "../../scripts/install.mjs";
import { deviceFindings } from "../device/findings.js";
import { energyFindings, nvmlFinding } from "../measure/energy/findings.js";
import { cpuFindings, memoryFindings } from "../native/cpu.js";
import type { Finding } from "../native/finding.js";
import { afXdpFinding, libraryFindings, testToolFindings } from "../native/libraries.js";
import { networkFindings } from "../native/rights.js";
import { schedulingFindings } from "../native/sched-rights.js";
import { SystemFiles } from "../native/system-files.js";
import { watchdogFindings } from "../native/watchdogs.js";
import { hostFinding } from "../nic/host/finding.js";
import { interfaceFindings } from "../nic/net/findings.js";

export interface DoctorOptions {
  /** Installs what is missing first; "test" also what only tests need. Never asks. */
  readonly install?: boolean | "test";
  /** Takes the lines of progress of the installation; default: stderr. */
  readonly say?: (line: string) => void;
  /** The machine looked at; tests give another. */
  readonly files?: SystemFiles;
}

export interface DoctorResult {
  readonly findings: readonly Finding[];
  /** What the installation could not bring, with the one command that would; null where none was asked for. */
  readonly install: Installed | null;
}

/** Looks at the machine. Never throws for what a machine lacks, however odd it is. */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorResult> {
  const say = options.say ?? ((line: string) => console.error(`doctor: ${line}`));
  const files = options.files ?? new SystemFiles();
  let install: Installed | null = null;
  if (options.install !== undefined && options.install !== false) {
    // Asked for, so what failed an hour ago is tried again.
    install = installSystem({ purpose: options.install === "test" ? "test" : "run", force: true, say });
    for (const line of describe(install)) say(line);
  }
  const [libraries, devices, socket, nvml] = await Promise.all([
    libraryFindings(),
    deviceFindings(),
    afXdpFinding(),
    nvmlFinding(),
  ]);
  const findings = [
    ...cpuFindings(files),
    ...schedulingFindings(files),
    ...memoryFindings(files),
    ...libraries,
    ...devices,
    ...networkFindings(files),
    socket,
    hostFinding(),
    ...interfaceFindings(),
    ...energyFindings(files, nvml),
    ...watchdogFindings(files),
    ...testToolFindings(),
  ];
  return { findings, install };
}

/** The findings for people: by area, one line each, the remedy below. */
export function formatDoctor(result: DoctorResult): string {
  // Devices can have names of a line's length: those stand out instead of moving everything to the right.
  const width = 28;
  const lines: string[] = [];
  let area = "";
  for (const finding of result.findings) {
    if (finding.area !== area) {
      area = finding.area;
      lines.push(lines.length === 0 ? area : `\n${area}`);
    }
    lines.push(`  ${finding.state.padEnd(8)} ${finding.name.padEnd(width)}  ${finding.detail}`);
    if (finding.remedy !== undefined) lines.push(`${" ".repeat(width + 13)}remedy: ${finding.remedy}`);
  }
  return lines.join("\n");
}
