/**
 * Builds and runs the smallest kernel on one device, and prints what it wrote: `node trial.js PLATFORM NAME`. A process of its own (see
 * ask.ts), because PoCL ends the process where it cannot link.
 */
import { CL, check, create, openCl } from "./library.js";
import { listDevices } from "./platform.js";
import { buildProgram } from "./program.js";

const SOURCE = "__kernel void trial(__global uint *out) { out[0] = 42; }";

const [platform, name] = process.argv.slice(2);
const cl = openCl();
const found = listDevices(cl).find(({ device }) => device.platform === platform && device.name === name);
if (found === undefined) throw new Error(`there is no device ${name} (${platform})`);
const context = create(cl.createContext, "clCreateContext", null, 1, BigUint64Array.of(found.handle), null, null);
const queue = create(cl.createQueue, "clCreateCommandQueueWithProperties", context, found.handle, null);
const program = buildProgram(cl, context, found.handle, SOURCE, false);
const kernel = create(cl.createKernel, "clCreateKernel", program, "trial");
const buffer = create(cl.createBuffer, "clCreateBuffer", context, CL.MEM_READ_WRITE, 4, null);
check(cl.setKernelArg(kernel, 0, 8, BigUint64Array.of(buffer)) as number, "clSetKernelArg");
const one = BigUint64Array.of(1n);
check(cl.enqueueKernel(queue, kernel, 1, null, one, one, 0, null, null) as number, "clEnqueueNDRangeKernel");
const out = new Uint32Array(1);
check(cl.enqueueRead(queue, buffer, 1, 0, 4, out, 0, null, null) as number, "clEnqueueReadBuffer");
process.stdout.write(`\n${JSON.stringify(out[0])}\n`);
