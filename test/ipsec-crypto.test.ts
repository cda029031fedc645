/** Published vectors through both back ends: RFC 3602, RFC 2202, Wycheproof, intel-ipsec-mb's own. */

import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { expandKey, invertKey } from "../nfs/ipsec/crypto/aes.js";
import type { EspCrypto } from "../nfs/ipsec/crypto/esp-crypto.js";
import { IpsecMbCrypto } from "../nfs/ipsec/crypto/ipsec-mb.js";
import { loadIpsecMb } from "../nfs/ipsec/crypto/ipsec-mb-library.js";
import { PortableCrypto } from "../nfs/ipsec/crypto/portable.js";
import { hmacSha1, hmacStates } from "../nfs/ipsec/crypto/sha1.js";
import { ESP, KEYS, OP } from "../nfs/ipsec/layout.js";
import { Arena, DATA_OFFSET, PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { freshSeed, Random, setParams, verdictOf } from "./ipsec-support.js";
import { skipUnless } from "./skip.js";

const hex = (text: string) => Buffer.from(text, "hex");
const library = loadIpsecMb();
const data = process.env.WINGBEAT_DATA ?? join("..", "shared", "data");

const makers: [string, (arena: Arena, keys: Uint32Array) => EspCrypto][] = [
  ["portable", (arena, keys) => new PortableCrypto(arena, keys)],
];
if (typeof library === "string") console.log(`skipped: back end ipsec-mb, ${library} (apt-get install libipsec-mb1)`);
else makers.push(["ipsec-mb", (arena, keys) => new IpsecMbCrypto(library, arena, keys)]);

/** One back end with one SA, and slot 0 to work on. */
class Rig {
  readonly arena = Arena.create(1);
  readonly crypto: EspCrypto;
  readonly slots = Uint32Array.of(0);

  constructor(make: (arena: Arena, keys: Uint32Array) => EspCrypto, cipherKey: Uint8Array, authKey: Uint8Array) {
    const keys = new Uint32Array(KEYS.WORDS);
    expandKey(cipherKey, keys, KEYS.ENCRYPT);
    invertKey(keys, KEYS.ENCRYPT, keys, KEYS.DECRYPT);
    hmacStates(authKey, keys, KEYS.INNER);
    this.crypto = make(this.arena, keys);
  }

  /** Encrypts or decrypts as the ciphertext of an ESP packet. */
  cipher(direction: "encrypt" | "decrypt", iv: Uint8Array, text: Uint8Array): Buffer {
    const at = DATA_OFFSET + ESP.CIPHER;
    this.arena.u8.set(iv, DATA_OFFSET + ESP.IV);
    this.arena.u8.set(text, at);
    setParams(this.arena, 0, { op: OP.NONE, esp: DATA_OFFSET, cipherBytes: text.length });
    this.crypto[direction](this.slots, 1);
    return Buffer.from(this.arena.u8.subarray(at, at + text.length));
  }

  /** Whether `tag` (12 bytes) is taken for the ICV of `message`, which is at least ESP header and IV long. */
  verify(message: Uint8Array, tag: Uint8Array): boolean {
    this.arena.u8.set(message, DATA_OFFSET);
    this.arena.u8.set(tag, DATA_OFFSET + message.length);
    setParams(this.arena, 0, { op: OP.VERIFY, esp: DATA_OFFSET, cipherBytes: message.length - ESP.CIPHER });
    this.crypto.transform(this.slots, 1);
    return verdictOf(this.arena, 0) === 1;
  }

  close(): void {
    this.crypto.close();
    this.arena.free();
  }
}

/** RFC 3602 section 4, cases 1 to 4: key, IV, plaintext, ciphertext. */
const RFC3602 = [
  [
    "06a9214036b8a15b512e03d534120006",
    "3dafba429d9eb430b422da802c9fac41",
    Buffer.from("Single block msg").toString("hex"),
    "e353779c1079aeb82708942dbe77181a",
  ],
  [
    "c286696d887c9aa0611bbb3e2025a45a",
    "562e17996d093d28ddb3ba695a2e6f58",
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
  ],
  [
    "6c3ea0477630ce21a2ce334aa746c2cd",
    "c782dc4c098c66cbd9cd27d825682c81",
    Buffer.from("This is a 48-byte message (exactly 3 AES blocks)").toString("hex"),
    "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684",
  ],
  [
    "56e47a38c5598974bc46903dba290349",
    "8ce82eefbea0da3c44699ed7db51b7d9",
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
    "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
  ],
] as const;

/** RFC 2202 section 3: key, data, digest. */
const RFC2202 = [
  ["0b".repeat(20), Buffer.from("Hi There").toString("hex"), "b617318655057264e28bc0b6fb378c8ef146be00"],
  [
    Buffer.from("Jefe").toString("hex"),
    Buffer.from("what do ya want for nothing?").toString("hex"),
    "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
  ],
  ["aa".repeat(20), "dd".repeat(50), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"],
  ["0102030405060708090a0b0c0d0e0f10111213141516171819", "cd".repeat(50), "4c9007f4026250c6bc8414f9bf50c86c2d7235da"],
  ["0c".repeat(20), Buffer.from("Test With Truncation").toString("hex"), "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"],
  [
    "aa".repeat(80),
    Buffer.from("Test Using Larger Than Block-Size Key - Hash Key First").toString("hex"),
    "aa4ae5e15272d00e95705637ce8a3b55ed402112",
  ],
  [
    "aa".repeat(80),
    Buffer.from("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data").toString("hex"),
    "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
  ],
] as const;

function hmac(key: Uint8Array, message: Uint8Array): Buffer {
  const states = new Uint32Array(10);
  hmacStates(key, states, 0);
  const digest = new Uint32Array(5);
  hmacSha1(new DataView(Uint8Array.from(message).buffer), 0, message.length, states, 0, digest);
  const out = Buffer.alloc(20);
  digest.forEach((word, i) => {
    out.writeUInt32BE(word, 4 * i);
  });
  return out;
}

test("HMAC-SHA1 in TypeScript: RFC 2202", () => {
  for (const [key, text, digest] of RFC2202) assert.is(hmac(hex(key), hex(text)).toString("hex"), digest);
});

test("HMAC-SHA1 in TypeScript: every length around block boundaries, as node:crypto", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  for (let length = 0; length < 260; length++) {
    const key = random.bytes(1 + random.below(100));
    const message = random.bytes(length);
    const expected = createHmac("sha1", key).update(message).digest("hex");
    assert.is(hmac(key, message).toString("hex"), expected, `TEST_SEED=${seed}, ${length} bytes`);
  }
});

for (const [name, make] of makers) {
  test(`${name}: RFC 3602`, () => {
    for (const [key, iv, plain, cipher] of RFC3602) {
      const rig = new Rig(make, hex(key), Buffer.alloc(20));
      assert.is(rig.cipher("encrypt", hex(iv), hex(plain)).toString("hex"), cipher);
      assert.is(rig.cipher("decrypt", hex(iv), hex(cipher)).toString("hex"), plain);
      rig.close();
    }
  });

  test(`${name}: RFC 2202, messages as long as an ESP header, truncated to 96 bits`, () => {
    for (const [key, text, digest] of RFC2202) {
      if (text.length / 2 < ESP.CIPHER) continue;
      const rig = new Rig(make, Buffer.alloc(16), hex(key));
      const tag = hex(digest).subarray(0, ESP.ICV_BYTES);
      assert.ok(rig.verify(hex(text), tag));
      for (let bit = 0; bit < 96; bit++) {
        const wrong = Buffer.from(tag);
        wrong[bit >> 3]! ^= 1 << (bit & 7);
        assert.not.ok(rig.verify(hex(text), wrong), `bit ${bit} of the ICV changed`);
      }
      rig.close();
    }
  });
}

interface Vector {
  readonly tcId: number;
  readonly key: string;
  readonly msg: string;
  readonly result: string;
  readonly iv?: string;
  readonly ct?: string;
  readonly tag?: string;
  readonly flags: readonly string[];
}

function vectors(file: string): Vector[] | undefined {
  const path = join(data, "vectors", file);
  if (skipUnless(existsSync(path), `${path} is not there: set WINGBEAT_DATA to a folder that holds vectors/${file}`)) {
    return undefined;
  }
  const { testGroups } = JSON.parse(readFileSync(path, "utf8")) as { testGroups: { tests: Vector[] }[] };
  return testGroups.flatMap((group) => group.tests);
}

/** PKCS #5 padding, which the Wycheproof vectors have and ESP has not. */
function pkcs5(message: Buffer): Buffer {
  const pad = 16 - (message.length % 16);
  return Buffer.concat([message, Buffer.alloc(pad, pad)]);
}

function pkcs5Good(plain: Buffer): boolean {
  const pad = plain.at(-1) ?? 0;
  return pad >= 1 && pad <= 16 && plain.length >= pad && plain.subarray(-pad).every((byte) => byte === pad);
}

for (const file of [
  "wycheproof_testvectors_v1_aes_cbc_pkcs5_test.json",
  "intel-ipsec-mb_test_kat-app_vectors_cbc_test.json",
]) {
  const all = vectors(file)?.filter((vector) => vector.key.length === 32 && vector.ct !== "");
  if (all === undefined) continue;
  const padded = file.startsWith("wycheproof");
  for (const [name, make] of makers) {
    test(`${name}: ${all.length} AES-128 vectors of ${file}`, () => {
      assert.ok(all.length > 0);
      for (const { tcId, key, iv, msg, ct, result } of all) {
        const rig = new Rig(make, hex(key), Buffer.alloc(20));
        const plain = rig.cipher("decrypt", hex(iv!), hex(ct!));
        assert.is(rig.cipher("encrypt", hex(iv!), plain).toString("hex"), ct, `test ${tcId}: back to the ciphertext`);
        if (result === "valid") {
          const text = padded ? pkcs5(hex(msg)) : hex(msg);
          assert.is(plain.toString("hex"), text.toString("hex"), `test ${tcId}`);
        } else {
          assert.not.ok(pkcs5Good(plain), `test ${tcId}: bad padding`);
        }
        rig.close();
      }
    });
  }
}

for (const file of [
  "wycheproof_testvectors_v1_hmac_sha1_test.json",
  "intel-ipsec-mb_test_kat-app_vectors_hmac_sha1_test.json",
]) {
  const all = vectors(file);
  if (all === undefined) continue;
  test(`${all.length} vectors of ${file} in TypeScript`, () => {
    for (const { tcId, key, msg, tag, result } of all) {
      const bytes = tag!.length / 2;
      const same = hmac(hex(key), hex(msg)).subarray(0, bytes).toString("hex") === tag;
      assert.is(same, result === "valid", `test ${tcId}`);
    }
  });
  for (const [name, make] of makers) {
    const fitting = all.filter(({ msg, tag }) => msg.length / 2 >= ESP.CIPHER && tag!.length / 2 >= ESP.ICV_BYTES);
    test(`${name}: ${fitting.length} vectors of ${file} as ICVs`, () => {
      assert.ok(fitting.length > 0);
      for (const { tcId, key, msg, tag } of fitting) {
        const rig = new Rig(make, Buffer.alloc(16), hex(key));
        const icv = hex(tag!).subarray(0, ESP.ICV_BYTES);
        // A tag may be wrong behind the 96 bits that ESP carries; then what is left of it is right.
        const right = createHmac("sha1", hex(key)).update(hex(msg)).digest().subarray(0, ESP.ICV_BYTES).equals(icv);
        assert.is(rig.verify(hex(msg), icv), right, `test ${tcId}`);
        rig.close();
      }
    });
  }
}

test("ipsec-mb: upper halves of addresses written job by job give the same bytes", () => {
  const native = makers.find(([name]) => name === "ipsec-mb")?.[1];
  if (skipUnless(native !== undefined, "back end ipsec-mb is not there: apt-get install libipsec-mb1")) return;
  const random = new Random(freshSeed());
  const key = random.bytes(20);
  const rig = new Rig(native!, random.bytes(16), key);
  const text = random.bytes(64);
  const iv = random.bytes(16);
  const message = random.bytes(100);
  const before = rig.cipher("encrypt", iv, text);
  const { memory } = rig.crypto as unknown as { memory: { acrossBoundary: boolean; words: Uint32Array } };
  memory.acrossBoundary = true;
  assert.is(rig.cipher("encrypt", iv, text).toString("hex"), before.toString("hex"));
  assert.is(rig.cipher("decrypt", iv, before).toString("hex"), text.toString("hex"));
  assert.ok(rig.verify(message, createHmac("sha1", key).update(message).digest().subarray(0, 12)));
  rig.close();
});

test("slots and params the rig relies on", () => {
  assert.is(SLOT_SIZE % 4, 0);
  assert.is(PARAM_WORDS, 8);
});

test.run();
