/**
 * A process that runs a device and comes to a bad end, or none, as its arguments say: `node device-child.js MODE END`. Prints a line when the
 * device is at work. MODE: persistent or rounds, on OpenCL; webgpu; or gpujs, in its mode webgpu. END "start": serves nothing; "opening MS": ends
 * by exit MS after it has begun to open the device.
 */
import type { DeviceOptions } from "../../runtime/device/open.js";
import { DeviceLoad, openTestDevice } from "./device-load.js";
import { Random } from "./random.js";

const [mode, end, ms] = process.argv.slice(2) as ["persistent" | "rounds" | "webgpu" | "gpujs", string, string];
if (end === "opening") {
  console.log("opening");
  setTimeout(() => process.exit(3), Number(ms));
}
const device = await openTestDevice(optionsOf(mode));
await device.start();
if (end === "start" || end === "opening") process.exit(end === "start" ? 0 : 3);
const load = new DeviceLoad(device, new Random(1));
load.run(1000);

function optionsOf(mode: string): Partial<DeviceOptions> {
  if (mode === "gpujs") {
    return {
      kind: "gpujs",
      gpuJsMode: "webgpu",
      nfs: [{ program: "nids", writes: "params", tables: new Uint32Array(1) }],
    };
  }
  return mode === "webgpu" ? { kind: "webgpu", workgroups: 2 } : { workgroups: 2, mode: mode as "rounds" };
}

/** A packet at which its thread stays for ever. */
function hang(): void {
  const slot = load.add(0);
  load.arena.params[slot * 8 + 2] = 0xdead;
  for (let i = 0; i < 300; i++) load.add(1);
  load.pump(true);
}

console.log("at work");
if (end === "exit") {
  // With rows in flight.
  for (let i = 0; i < 1000; i++) load.add();
  load.pump(true);
  process.exit(3);
}
if (end === "throw") throw new Error("thrown in mid-run");
else if (end === "work") for (;;) load.run(1000);
else if (end === "hang") {
  hang();
  // The kernel is at it, and the other workgroup gets on.
  for (let i = 0; i < 2000; i++) load.pump(true);
  const error = await device.stop().then(
    () => "it stopped",
    (error: Error) => `${error.name}: ${error.message}`,
  );
  console.log(error);
  await device.close();
  console.log("closed");
  // Nothing has been freed: this would end the process otherwise.
  load.arena.u8.fill(1);
  console.log(`${load.away} away`);
  process.exit(1);
} else if (end === "hang-throw") {
  hang();
  throw new Error("thrown while a kernel hangs");
} else if (end === "wait") {
  await device.failed;
}
// "return": the device is neither stopped nor closed.
