/** What the doctor found out about one thing. */
export interface Finding {
  readonly area: "cpu" | "memory" | "libraries" | "devices" | "network" | "energy" | "watchdogs" | "tests";
  readonly name: string;
  /** `limited`: it works, with less than this machine could give or with a condition; `missing`: it is not there. */
  readonly state: "ok" | "missing" | "limited";
  /** What was found, in words. */
  readonly detail: string;
  /** Of devices: true where a CPU plays GPU. */
  readonly emulated?: boolean;
  /** The exact command or act that mends a lack; absent where nothing does, or nothing needs to. */
  readonly remedy?: string;
}

export { PROGRAM } from "../../scripts/system.mjs";
