/**
 * Asks one native library about itself and prints the answer as one line of JSON: `node probe.js NAME [PATH]`.
 *
 * A process of its own, because a driver may crash, hang or print when it is asked. Not imported by anything: the doctor
 * starts it (libraries.ts).
 */
import koffi from "koffi";
import type { OpenClDevice, ProbeAnswers } from "./libraries.js";

const PROBES: { readonly [Name in keyof ProbeAnswers]: (path: string) => ProbeAnswers[Name] } = {
  "ipsec-mb": (path) => ({ version: String(koffi.load(path).func("const char *imb_get_version_str(void)")()) }),
  hyperscan: (path) => {
    const library = koffi.load(path);
    // hs_valid_platform is 0 where this processor has the instructions the library was built for (SSSE3 on x86).
    const usable = library.func("int hs_valid_platform(void)")() === 0;
    return { version: String(library.func("const char *hs_version(void)")()), usable };
  },
  opencl: (path) => ({ devices: openClDevices(path) }),
  "af-xdp": () => {
    const AF_XDP = 44;
    const SOCK_RAW = 3;
    const libc = koffi.load("libc.so.6");
    const descriptor = libc.func("int socket(int domain, int type, int protocol)")(AF_XDP, SOCK_RAW, 0) as number;
    if (descriptor < 0) return { errno: koffi.errno() };
    libc.func("int close(int fd)")(descriptor);
    return { errno: 0 };
  },
};

/** OpenCL 3.0 API, section 4; an older device refuses a newer question, which leaves its answer zero or empty. */
function openClDevices(path: string): OpenClDevice[] {
  const CL_DEVICE_TYPE_ALL = 0xffff_ffffn;
  const library = koffi.load(path);
  const getPlatforms = library.func("int clGetPlatformIDs(uint32_t, void *, uint32_t *)");
  const getPlatform = library.func("int clGetPlatformInfo(void *, uint32_t, size_t, void *, size_t *)");
  const getDevices = library.func("int clGetDeviceIDs(void *, uint64_t, uint32_t, void *, uint32_t *)");
  const getDevice = library.func("int clGetDeviceInfo(void *, uint32_t, size_t, void *, size_t *)");

  const ids = (ask: (capacity: number, out: Buffer | null, count: Uint32Array | null) => number): bigint[] => {
    const count = new Uint32Array(1);
    if (ask(0, null, count) !== 0 || count[0] === 0) return [];
    const out = Buffer.alloc(count[0]! * 8);
    if (ask(count[0]!, out, null) !== 0) return [];
    return Array.from({ length: count[0]! }, (_, index) => out.readBigUInt64LE(index * 8));
  };
  const answer = (ask: typeof getDevice, id: bigint, what: number): Buffer => {
    const out = Buffer.alloc(4096);
    const size = new BigUint64Array(1);
    return ask(id, what, out.length, out, size) === 0 ? out.subarray(0, Number(size[0])) : Buffer.alloc(0);
  };
  const text = (bytes: Buffer) => bytes.toString("utf8").replace(/\0.*$/s, "").trim();
  const number = (bytes: Buffer) => (bytes.length >= 4 ? bytes.readUInt32LE() : 0);

  return ids((capacity, out, count) => getPlatforms(capacity, out, count)).flatMap((platform) => {
    const platformName = text(answer(getPlatform, platform, 0x0902));
    const devices = ids((capacity, out, count) => getDevices(platform, CL_DEVICE_TYPE_ALL, capacity, out, count));
    return devices.map((device) => ({
      platform: platformName,
      name: text(answer(getDevice, device, 0x102b)),
      version: text(answer(getDevice, device, 0x102f)),
      driver: text(answer(getDevice, device, 0x102d)),
      type: number(answer(getDevice, device, 0x1000)),
      computeUnits: number(answer(getDevice, device, 0x1002)),
      svm: number(answer(getDevice, device, 0x1053)),
      unifiedMemory: number(answer(getDevice, device, 0x1035)) === 1,
    }));
  });
}

const [name, path = ""] = process.argv.slice(2);
const probe = PROBES[name as keyof ProbeAnswers];
if (probe === undefined) throw new Error(`no probe is called ${name}; there are ${Object.keys(PROBES).join(", ")}`);
process.stdout.write(`\n${JSON.stringify(probe(path))}\n`);
