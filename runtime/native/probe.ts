/**
 * Asks one native library about itself and prints the answer as one line of JSON: `node probe.js NAME [PATH]`.
 *
 * A process of its own, because a driver may crash, hang or print when it is asked. Not imported by anything: the doctor
 * starts it (libraries.ts).
 */
import koffi from "koffi";
import type { ProbeAnswers } from "./libraries.js";

const PROBES: { readonly [Name in keyof ProbeAnswers]: (path: string) => ProbeAnswers[Name] } = {
  "ipsec-mb": (path) => ({ version: String(koffi.load(path).func("const char *imb_get_version_str(void)")()) }),
  hyperscan: (path) => {
    const library = koffi.load(path);
    // hs_valid_platform is 0 where this processor has the instructions the library was built for (SSSE3 on x86).
    const usable = library.func("int hs_valid_platform(void)")() === 0;
    return { version: String(library.func("const char *hs_version(void)")()), usable };
  },
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

const [name, path = ""] = process.argv.slice(2);
const probe = PROBES[name as keyof ProbeAnswers];
if (probe === undefined) throw new Error(`no probe is called ${name}; there are ${Object.keys(PROBES).join(", ")}`);
process.stdout.write(`\n${JSON.stringify(probe(path))}\n`);
