/** The devices of a machine that experiments compare with each other, as `--device` names them. */
import { whyNoAdapter } from "./adapter.js";
import { type DeviceForm, whyNoDevice } from "./bed.js";

export interface NamedForm {
  readonly name: string;
  readonly form: DeviceForm;
  /** Why this machine has no such device; undefined where it has one. */
  lack(): Promise<string | undefined>;
}

const here = async () => undefined;

export const PERSISTENT: NamedForm = {
  name: "opencl",
  form: { kind: "opencl", mode: "persistent" },
  lack: async () => whyNoDevice(false),
};
export const ROUNDS: NamedForm = {
  name: "opencl:rounds",
  form: { kind: "opencl", mode: "rounds" },
  lack: async () => whyNoDevice(true),
};
export const WEBGPU: NamedForm = { name: "webgpu", form: { kind: "webgpu" }, lack: whyNoAdapter };
export const GPUJS: readonly NamedForm[] = [
  { name: "gpujs:webasm", form: { kind: "gpujs", gpuJsMode: "webasm" }, lack: here },
  { name: "gpujs:cpu", form: { kind: "gpujs", gpuJsMode: "cpu" }, lack: here },
  { name: "gpujs:webgpu", form: { kind: "gpujs", gpuJsMode: "webgpu" }, lack: whyNoAdapter },
];

/** Those that are there, and a line for each that is not. */
export async function formsHere(wanted: readonly NamedForm[]): Promise<{ forms: NamedForm[]; notes: string[] }> {
  const forms: NamedForm[] = [];
  const notes: string[] = [];
  for (const one of wanted) {
    const lack = await one.lack();
    if (lack === undefined) forms.push(one);
    else notes.push(`without ${one.name}: ${lack.split("\n")[0]}`);
  }
  return { forms, notes };
}
