/** Outbound ESP tunnels against intel-ipsec-mb in C: 1,024 SAs, each packet to a random one. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nf } from "../nfs/ipsec/index.js";
import { type Random, seededRandom, udpFrames, writeFrames } from "./frames.js";
import type { Bench, Subject } from "./harness.js";
import { Peer, PeerSkipped } from "./peer.js";
import { NfSubject } from "./subject.js";

const SAS = 1024;
/** Outer addresses, and the inner destination of the first SA; SA i has the i-th address from there. */
const SRC = 0xac10_0105;
const DST = 0xac10_0205;
const INNER = 0x0a01_0000;

interface BenchSa {
  readonly selector: number;
  readonly spi: number;
  readonly cipherKey: Buffer;
  readonly authKey: Buffer;
}

export const bench: Bench = {
  nf: "ipsec",
  async setUp(options) {
    const sas = makeSas(seededRandom(options.seed));
    const forNf = join(options.scratch, "sas.json");
    const forPeer = join(options.scratch, "sas.bin");
    writeFileSync(forNf, saJson(sas));
    writeFileSync(forPeer, saRecords(sas));
    const loaded = await nf.load(nf.schema.parse({ sas: forNf }), {
      name: "ipsec",
      where: "bench: ipsec",
      resolve: (path) => path,
      ports: ["in", "out"],
      txPorts: [1],
      // No limit but the slot's.
      mtu: [65535, 65535],
      warn: options.warn,
    });
    return {
      note: `${SAS} outbound SAs, AES-128-CBC and HMAC-SHA1-96, random IVs; packets spread over all SAs`,
      frames: (size) =>
        udpFrames({
          size,
          count: options.frames,
          seed: options.seed,
          destination: (random) => INNER + random(SAS),
        }),
      async subjects(frames) {
        const file = join(options.scratch, "ipsec-frames.bin");
        writeFrames(file, frames);
        const { portable, warn } = options;
        const subjects: Subject[] = [NfSubject.open(nf, loaded, frames, { expect: ["protected"], portable, warn })];
        const spec = { source: "ipsec", link: ["-lIPSec_MB"], packages: ["gcc", "libipsec-mb-dev"] };
        // The library can be driven in two ways, and which is faster depends on the processor.
        for (const mode of ["burst", "job"]) {
          const peer = await Peer.open(spec, file, forPeer, mode);
          if (peer instanceof PeerSkipped) return { subjects, skipped: [peer.reason] };
          subjects.push(peer);
        }
        return { subjects, skipped: [] };
      },
    };
  },
};

function makeSas(random: Random): BenchSa[] {
  const key = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => random(256)));
  return Array.from({ length: SAS }, (_, i) => ({
    selector: INNER + i,
    spi: 256 + i,
    cipherKey: key(16),
    authKey: key(20),
  }));
}

const dotted = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");

function saJson(sas: readonly BenchSa[]): string {
  return JSON.stringify({
    sas: sas.map((sa) => ({
      name: `sa${sa.spi}`,
      direction: "out",
      spi: sa.spi,
      src: dotted(SRC),
      dst: dotted(DST),
      cipher: "aes-128-cbc",
      cipher_key: sa.cipherKey.toString("hex"),
      auth: "sha1-hmac",
      auth_key: sa.authKey.toString("hex"),
      selector: { dst: `${dotted(sa.selector)}/32` },
    })),
  });
}

/** The same SAs as peers/ipsec.c reads them: count, selector mask, then a record for each. */
function saRecords(sas: readonly BenchSa[]): Buffer {
  const words = (...values: number[]) => {
    const bytes = Buffer.alloc(4 * values.length);
    values.forEach((value, i) => {
      bytes.writeUInt32LE(value, 4 * i);
    });
    return bytes;
  };
  const records = sas.flatMap((sa) => [words(sa.selector, sa.spi, SRC, DST), sa.cipherKey, sa.authKey]);
  return Buffer.concat([words(sas.length, 0xffff_ffff), ...records]);
}
