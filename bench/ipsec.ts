/** ipsec outbound over 1,024 SAs, against a C peer on intel-ipsec-mb. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type IpsecLoaded, nf } from "../nfs/ipsec/index.js";
import { dotted } from "../nfs/router/nexthops.js";
import { udpFrames, writeFrames } from "./frames.js";
import type { Bench, BenchOptions, Subject } from "./harness.js";
import { Peer, PeerSkipped } from "./peer.js";
import { NfSubject } from "./subject.js";

const SAS = 1024;
const TUNNEL_SRC = 0xac100105;
const TUNNEL_DST = 0xac100205;
/** Inner destinations are 10.1.x.y, one for each SA. */
const SELECTOR_BASE = 0x0a010000;

interface BenchSa {
  readonly selector: number;
  readonly spi: number;
  readonly cipherKey: Buffer;
  readonly authKey: Buffer;
}

function makeSas(): BenchSa[] {
  return Array.from({ length: SAS }, (_, i) => ({
    selector: SELECTOR_BASE + i,
    spi: 256 + i,
    cipherKey: randomBytes(16),
    authKey: randomBytes(20),
  }));
}

function saJson(sas: readonly BenchSa[], direction: "out" | "in"): string {
  return JSON.stringify({
    sas: sas.map((sa) => ({
      name: `sa${sa.spi}`,
      direction,
      spi: sa.spi,
      src: dotted(TUNNEL_SRC),
      dst: dotted(TUNNEL_DST),
      cipher: "aes-128-cbc",
      cipher_key: sa.cipherKey.toString("hex"),
      auth: "sha1-hmac",
      auth_key: sa.authKey.toString("hex"),
      // The same frames come again and again: the window would turn them away before the first byte is decrypted.
      ...(direction === "out" ? { selector: { dst: `${dotted(sa.selector)}/32` } } : { replay_window: 0 }),
    })),
  });
}

/** The peer's form of the same SAs; layout in peers/ipsec.c. */
function peerSaFile(sas: readonly BenchSa[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(sas.length, 0);
  head.writeUInt32LE(0xffffffff, 4);
  const records = sas.map((sa) => {
    const numbers = Buffer.alloc(16);
    [sa.selector, sa.spi, TUNNEL_SRC, TUNNEL_DST].forEach((value, i) => {
      numbers.writeUInt32LE(value, 4 * i);
    });
    return Buffer.concat([numbers, sa.cipherKey, sa.authKey]);
  });
  return Buffer.concat([head, ...records]);
}

async function loadSaFile(options: BenchOptions, file: string): Promise<IpsecLoaded> {
  const loaded = await nf.load(
    { sas: file },
    {
      name: "ipsec",
      where: "bench: ipsec",
      resolve: (path) => join(options.scratch, path),
      ports: ["in", "out"],
      txPorts: [1],
      mtu: [65535, 65535],
      warn: options.warn,
    },
  );
  return loaded as IpsecLoaded;
}

/** Writes SAs for both sides; returns the NF's form, loaded, and the peer's file. */
export async function loadBenchSas(options: BenchOptions): Promise<{ loaded: IpsecLoaded; peerFile: string }> {
  const sas = makeSas();
  const peerFile = join(options.scratch, "sas.bin");
  writeFileSync(join(options.scratch, "sas.json"), saJson(sas, "out"));
  writeFileSync(peerFile, peerSaFile(sas));
  return { loaded: await loadSaFile(options, "sas.json"), peerFile };
}

/** Both ends of the same tunnels. */
export async function loadBenchTunnels(
  options: BenchOptions,
): Promise<{ readonly outbound: IpsecLoaded; readonly inbound: IpsecLoaded }> {
  const sas = makeSas();
  writeFileSync(join(options.scratch, "sas-out.json"), saJson(sas, "out"));
  writeFileSync(join(options.scratch, "sas-in.json"), saJson(sas, "in"));
  return {
    outbound: await loadSaFile(options, "sas-out.json"),
    inbound: await loadSaFile(options, "sas-in.json"),
  };
}

/** Inner destination of a random SA, host byte order. */
export const toRandomSa = (random: (limit: number) => number): number => SELECTOR_BASE + random(SAS);

const ipsec: Bench = {
  nf: "ipsec",
  async setUp(options) {
    const { loaded, peerFile } = await loadBenchSas(options);
    return {
      note: `ESP tunnel outbound, AES-128-CBC + HMAC-SHA1-96, ${SAS} SAs, each frame to a random one`,
      frames: (size) => udpFrames({ size, count: 1024, seed: options.seed, destination: toRandomSa }),
      async subjects(frames) {
        const file = join(options.scratch, "ipsec-frames.bin");
        writeFrames(file, frames);
        const open = (portable: boolean) =>
          NfSubject.open(nf, loaded, frames, { portable, expect: ["protected"], warn: options.warn });
        const subjects: Subject[] = [open(false)];
        const spec = { source: "ipsec", link: ["-lIPSec_MB"], packages: ["gcc", "libipsec-mb-dev"] };
        const skipped: string[] = [];
        // Two ways a C programmer has: a cipher burst and then a hash burst, or chained jobs. The faster one is compared with.
        for (const mode of ["burst", "job"]) {
          const peer = await Peer.open(spec, file, peerFile, mode);
          if (peer instanceof PeerSkipped) skipped.push(peer.reason);
          else subjects.push(peer);
        }
        return { subjects: [...subjects, open(true)], skipped };
      },
    };
  },
};
export const benches: readonly Bench[] = [ipsec];
