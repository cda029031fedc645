// ipsec: ESP with AES-128-CBC and HMAC-SHA1-96 (RFC 4303, 3602, 2404), one packet per thread, both directions; what ipsec.cl does.
//
// SEAL encrypts in place and writes the ICV. OPEN computes the ICV, compares all of it, says in VERDICT whether it is good, and only then
// decrypts in place: bytes of a packet that is not authentic stay as they are. With extended sequence numbers SEQ_HIGH is part of what the
// ICV covers, but is never written.
//
// params and key table as in nfs/ipsec/layout.ts. WB_PARAM_PLACE: first byte of the ESP header, and bytes up to the end of the ICV. No
// other bytes change; those that share a word with the last are written back as they were.
//
// AES is four look-up tables per direction in workgroup memory (a table is the one before, rotated). Addresses of look-ups depend on the key,
// which can tell it to others on the same device (see aes.ts). The MAC is a pass of its own over the ciphertext, so that packets that are
// sealed and packets that are opened walk through it side by side.
//
// Measured on SwiftShader, 1,024 packets, against this: look-ups in constants 1.1 of the speed at 64 bytes, 0.8 at 1472; one table and
// rotations 0.75 to 0.9; SHA-1 with 80 steps unrolled 0.75 to 1.05, with all of them in one loop over an array of 16 words 0.85 to 0.9.

// Words of params, and TASK's parts: PARAM, OP, ESN_BIT, SA_SHIFT of layout.ts.
const IPSEC_TASK: u32 = 0u;
const IPSEC_SEQ_HIGH: u32 = 3u;
const IPSEC_VERDICT: u32 = 4u;
const IPSEC_OP_MASK: u32 = 7u;
const IPSEC_SEAL: u32 = 1u;
const IPSEC_OPEN: u32 = 4u;
const IPSEC_ESN_SHIFT: u32 = 3u;
const IPSEC_SA_SHIFT: u32 = 4u;

// Words of an SA in the key table: KEYS of layout.ts.
const IPSEC_KEYS_DECRYPT: u32 = 44u;
const IPSEC_KEYS_INNER: u32 = 88u;
const IPSEC_KEYS_OUTER: u32 = 93u;
const IPSEC_KEYS_WORDS: u32 = 98u;

// Words of ESP header and IV, in front of the ciphertext; bytes of them and of the ICV.
const IPSEC_CIPHER_WORD: u32 = 6u;
const IPSEC_AROUND_BYTES: u32 = 36u;

// The four of each direction, 256 words one behind the other.
var<workgroup> ipsec_te: array<u32, 1024>;
var<workgroup> ipsec_td: array<u32, 1024>;
var<workgroup> ipsec_box: array<u32, 256>;

fn nf_ipsec_init(thread: u32, threads: u32) {
  for (var x = thread; x < 256u; x += threads) {
    let e = IPSEC_TE[x];
    let d = IPSEC_TD[x];
    ipsec_te[x] = e;
    ipsec_td[x] = d;
    for (var k = 1u; k < 4u; k++) {
      ipsec_te[256u * k + x] = wb_rotl(e, 32u - 8u * k);
      ipsec_td[256u * k + x] = wb_rotl(d, 32u - 8u * k);
    }
    ipsec_box[x] = (d ^ (d >> 8u) ^ (d >> 16u) ^ (d >> 24u)) & 0xffu;
  }
}

// A column of the next state, but for the key; a to d from its own row 0 down to row 3.
fn ipsec_column(a: u32, b: u32, c: u32, d: u32) -> u32 {
  return ipsec_te[a >> 24u] ^ ipsec_te[256u + ((b >> 16u) & 0xffu)] ^ ipsec_te[512u + ((c >> 8u) & 0xffu)] ^
      ipsec_te[768u + (d & 0xffu)];
}
fn ipsec_inverse_column(a: u32, b: u32, c: u32, d: u32) -> u32 {
  return ipsec_td[a >> 24u] ^ ipsec_td[256u + ((b >> 16u) & 0xffu)] ^ ipsec_td[512u + ((c >> 8u) & 0xffu)] ^
      ipsec_td[768u + (d & 0xffu)];
}

// Last rounds have no MixColumns. S stands in TE words, so in each of them at the place where it is wanted.
fn ipsec_last_column(a: u32, b: u32, c: u32, d: u32) -> u32 {
  return (ipsec_te[512u + (a >> 24u)] & 0xff000000u) | (ipsec_te[768u + ((b >> 16u) & 0xffu)] & 0x00ff0000u) |
      (ipsec_te[(c >> 8u) & 0xffu] & 0x0000ff00u) | (ipsec_te[256u + (d & 0xffu)] & 0x000000ffu);
}
fn ipsec_inverse_last_column(a: u32, b: u32, c: u32, d: u32) -> u32 {
  return (ipsec_box[a >> 24u] << 24u) | (ipsec_box[(b >> 16u) & 0xffu] << 16u) | (ipsec_box[(c >> 8u) & 0xffu] << 8u) |
      ipsec_box[d & 0xffu];
}

fn ipsec_key(at: u32) -> vec4u {
  return vec4u(tables[at], tables[at + 1u], tables[at + 2u], tables[at + 3u]);
}

fn ipsec_encrypt_block(block: vec4u, key: u32) -> vec4u {
  var s = block ^ ipsec_key(key);
  for (var k = 4u; k < 40u; k += 4u) {
    s = ipsec_key(key + k) ^ vec4u(ipsec_column(s.x, s.y, s.z, s.w), ipsec_column(s.y, s.z, s.w, s.x),
                                   ipsec_column(s.z, s.w, s.x, s.y), ipsec_column(s.w, s.x, s.y, s.z));
  }
  return ipsec_key(key + 40u) ^ vec4u(ipsec_last_column(s.x, s.y, s.z, s.w), ipsec_last_column(s.y, s.z, s.w, s.x),
                                      ipsec_last_column(s.z, s.w, s.x, s.y), ipsec_last_column(s.w, s.x, s.y, s.z));
}

fn ipsec_decrypt_block(block: vec4u, key: u32) -> vec4u {
  var s = block ^ ipsec_key(key);
  for (var k = 4u; k < 40u; k += 4u) {
    s = ipsec_key(key + k) ^ vec4u(ipsec_inverse_column(s.x, s.w, s.z, s.y), ipsec_inverse_column(s.y, s.x, s.w, s.z),
                                   ipsec_inverse_column(s.z, s.y, s.x, s.w), ipsec_inverse_column(s.w, s.z, s.y, s.x));
  }
  return ipsec_key(key + 40u) ^
      vec4u(ipsec_inverse_last_column(s.x, s.w, s.z, s.y), ipsec_inverse_last_column(s.y, s.x, s.w, s.z),
            ipsec_inverse_last_column(s.z, s.y, s.x, s.w), ipsec_inverse_last_column(s.w, s.z, s.y, s.x));
}

// Packet bytes begin anywhere in a word, storage is read and written in whole words: `shift` bits (0, 8, 16, 24) into one. Of the words that
// begin there, the next is the rest of one word of storage and the beginning of the one behind it.
fn ipsec_funnel(first: u32, second: u32, shift: u32) -> u32 {
  return (first >> shift) | ((second << (31u - shift)) << 1u); // shift by 32 is none in WGSL
}
fn ipsec_funnel4(first: u32, rest: vec4u, shift: u32) -> vec4u {
  return (vec4u(first, rest.xyz) >> vec4u(shift)) | ((rest << vec4u(31u - shift)) << vec4u(1u));
}
// The other way: what of `word` belongs into the word of storage behind the one it begins in.
fn ipsec_over(word: u32, shift: u32) -> u32 {
  return (word >> (31u - shift)) >> 1u;
}

fn ipsec_words(at: u32) -> vec4u {
  return vec4u(slots[at], slots[at + 1u], slots[at + 2u], slots[at + 3u]);
}

fn ipsec_write(at: u32, words: vec4u) {
  slots[at] = words.x;
  slots[at + 1u] = words.y;
  slots[at + 2u] = words.z;
  slots[at + 3u] = words.w;
}

fn ipsec_swap(words: vec4u) -> vec4u {
  let swapped = ((words & vec4u(0x00ff00ffu)) << vec4u(8u)) | ((words >> vec4u(8u)) & vec4u(0x00ff00ffu));
  return (swapped << vec4u(16u)) | (swapped >> vec4u(16u));
}

// CBC in place, both ways. `iv`: word of storage in which the IV begins, `shift` bits into it; the blocks follow.
fn ipsec_cbc(iv: u32, shift: u32, blocks: u32, key: u32, seals: bool) {
  let below = (1u << shift) - 1u;
  var at = iv + 4u;
  var next = slots[at];
  var chain = ipsec_swap(ipsec_funnel4(slots[iv], vec4u(slots[iv + 1u], slots[iv + 2u], slots[iv + 3u], next), shift));
  var done = next & below; // of the word at `at`, the bytes that are as they shall be
  for (var block = 0u; block < blocks; block++) {
    let read = ipsec_words(at + 1u);
    let given = ipsec_swap(ipsec_funnel4(next, read, shift));
    next = read.w;
    var made: vec4u;
    if (seals) {
      made = ipsec_encrypt_block(given ^ chain, key);
      chain = made;
    } else {
      made = ipsec_decrypt_block(given, key) ^ chain;
      chain = given;
    }
    made = ipsec_swap(made);
    let over = vec4u(ipsec_over(made.x, shift), ipsec_over(made.y, shift), ipsec_over(made.z, shift), ipsec_over(made.w, shift));
    ipsec_write(at, (made << vec4u(shift)) | vec4u(done, over.xyz));
    done = over.w;
    at += 4u;
  }
  slots[at] = (next & ~below) | done;
}

// FIPS 180-4 section 6.1.2.
struct IpsecHash { a: u32, b: u32, c: u32, d: u32, e: u32 }

fn ipsec_choose(s: IpsecHash, w: u32) -> IpsecHash {
  return IpsecHash(wb_rotl(s.a, 5u) + (s.d ^ (s.b & (s.c ^ s.d))) + s.e + w, s.a, wb_rotl(s.b, 30u), s.c, s.d);
}
fn ipsec_parity(s: IpsecHash, w: u32) -> IpsecHash {
  return IpsecHash(wb_rotl(s.a, 5u) + (s.b ^ s.c ^ s.d) + s.e + w, s.a, wb_rotl(s.b, 30u), s.c, s.d);
}
fn ipsec_majority(s: IpsecHash, w: u32) -> IpsecHash {
  return IpsecHash(wb_rotl(s.a, 5u) + ((s.b & s.c) | (s.d & (s.b | s.c))) + s.e + w, s.a, wb_rotl(s.b, 30u), s.c, s.d);
}

// The schedule's last 16 words.
struct IpsecWindow { a: vec4u, b: vec4u, c: vec4u, d: vec4u }

// Moves it on by four words, which follow from the 16. The last needs the first of the four.
fn ipsec_schedule(w: IpsecWindow) -> IpsecWindow {
  let x = vec4u(w.a.zw, w.b.xy) ^ w.a ^ w.c ^ vec4u(w.d.yzw, 0u);
  var next = (x << vec4u(1u)) | (x >> vec4u(31u));
  next.w ^= wb_rotl(next.x, 1u);
  return IpsecWindow(w.b, w.c, w.d, next);
}

fn ipsec_compress(h: IpsecHash, block: IpsecWindow) -> IpsecHash {
  var w = block;
  var s = h;
  for (var t = 0u; t < 20u; t += 4u) {
    let k = w.a + vec4u(0x5a827999u);
    s = ipsec_choose(ipsec_choose(ipsec_choose(ipsec_choose(s, k.x), k.y), k.z), k.w);
    w = ipsec_schedule(w);
  }
  for (var t = 0u; t < 20u; t += 4u) {
    let k = w.a + vec4u(0x6ed9eba1u);
    s = ipsec_parity(ipsec_parity(ipsec_parity(ipsec_parity(s, k.x), k.y), k.z), k.w);
    w = ipsec_schedule(w);
  }
  for (var t = 0u; t < 20u; t += 4u) {
    let k = w.a + vec4u(0x8f1bbcdcu);
    s = ipsec_majority(ipsec_majority(ipsec_majority(ipsec_majority(s, k.x), k.y), k.z), k.w);
    w = ipsec_schedule(w);
  }
  for (var t = 0u; t < 20u; t += 4u) {
    let k = w.a + vec4u(0xca62c1d6u);
    s = ipsec_parity(ipsec_parity(ipsec_parity(ipsec_parity(s, k.x), k.y), k.z), k.w);
    w = ipsec_schedule(w);
  }
  return IpsecHash(h.a + s.a, h.b + s.b, h.c + s.c, h.d + s.d, h.e + s.e);
}

fn ipsec_hash_at(key: u32) -> IpsecHash {
  return IpsecHash(tables[key], tables[key + 1u], tables[key + 2u], tables[key + 3u], tables[key + 4u]);
}

// Four words of the message, as the MAC covers it: `packet` words of the packet, SEQ_HIGH with ESN, then padding (a bit, zeros, length in
// bits) up to `all`, whole SHA-1 blocks. word: the first of the four; at: where it stands, `shift` bits into that word.
struct IpsecMessage { packet: u32, words: u32, all: u32, high: u32, shift: u32 }

fn ipsec_beyond(m: IpsecMessage, word: u32) -> u32 {
  if (word == m.words) {
    return 0x80000000u;
  }
  if (word == m.all - 1u) {
    return (64u + 4u * m.words) * 8u;
  }
  return select(0u, m.high, word < m.words);
}

fn ipsec_message(m: IpsecMessage, word: u32, at: u32) -> vec4u {
  if (word + 4u <= m.packet) {
    return ipsec_swap(ipsec_funnel4(slots[at], ipsec_words(at + 1u), m.shift));
  }
  var four: vec4u;
  four.x = ipsec_beyond(m, word);
  four.y = ipsec_beyond(m, word + 1u);
  four.z = ipsec_beyond(m, word + 2u);
  four.w = ipsec_beyond(m, word + 3u);
  if (word < m.packet) { // the header's six words leave two of the last four
    four.x = wb_swap32(ipsec_funnel(slots[at], slots[at + 1u], m.shift));
    four.y = wb_swap32(ipsec_funnel(slots[at + 1u], slots[at + 2u], m.shift));
  }
  return four;
}

fn ipsec_mac(esp: u32, m: IpsecMessage, key: u32) -> IpsecHash {
  var h = ipsec_hash_at(key + IPSEC_KEYS_INNER);
  for (var word = 0u; word < m.all; word += 16u) {
    let at = esp + word;
    h = ipsec_compress(h, IpsecWindow(ipsec_message(m, word, at), ipsec_message(m, word + 4u, at + 4u),
                                      ipsec_message(m, word + 8u, at + 8u), ipsec_message(m, word + 12u, at + 12u)));
  }
  // RFC 2104: the outer hash, of the inner one's digest.
  return ipsec_compress(ipsec_hash_at(key + IPSEC_KEYS_OUTER),
                        IpsecWindow(vec4u(h.a, h.b, h.c, h.d), vec4u(h.e, 0x80000000u, 0u, 0u), vec4u(),
                                    vec4u(0u, 0u, 0u, (64u + 20u) * 8u)));
}

fn nf_ipsec(slot: u32, params_at: u32, table: u32) {
  let task = params[params_at + IPSEC_TASK];
  let op = task & IPSEC_OP_MASK;
  if (op != IPSEC_SEAL && op != IPSEC_OPEN) {
    return;
  }
  let place = params[params_at + WB_PARAM_PLACE];
  let bytes = (place >> 16u) - IPSEC_AROUND_BYTES;
  let key = table + (task >> IPSEC_SA_SHIFT) * IPSEC_KEYS_WORDS;
  let esp = slot + ((place & 0xffffu) >> 2u);
  let shift = (place & 3u) * 8u;
  if (op == IPSEC_SEAL) {
    ipsec_cbc(esp + 2u, shift, bytes / 16u, key, true);
  }

  let packet = IPSEC_CIPHER_WORD + bytes / 4u;
  let words = packet + ((task >> IPSEC_ESN_SHIFT) & 1u);
  let high = params[params_at + IPSEC_SEQ_HIGH];
  let mac = ipsec_mac(esp, IpsecMessage(packet, words, (words + 3u + 15u) & ~15u, high, shift), key);

  let icv = ipsec_swap(vec4u(mac.a, mac.b, mac.c, 0u));
  let at = esp + packet;
  let below = (1u << shift) - 1u;
  let over = vec3u(ipsec_over(icv.x, shift), ipsec_over(icv.y, shift), ipsec_over(icv.z, shift));
  if (op == IPSEC_SEAL) {
    slots[at] = (slots[at] & below) | (icv.x << shift);
    slots[at + 1u] = over.x | (icv.y << shift);
    slots[at + 2u] = over.y | (icv.z << shift);
    if (shift != 0u) {
      slots[at + 3u] = over.z | (slots[at + 3u] & ~below);
    }
  } else {
    let read = vec3u(slots[at], slots[at + 1u], slots[at + 2u]);
    var differs = ((read.x & ~below) ^ (icv.x << shift)) | (read.y ^ (over.x | (icv.y << shift))) | (read.z ^ (over.y | (icv.z << shift)));
    if (shift != 0u) {
      differs |= (slots[at + 3u] & below) ^ over.z;
    }
    params[params_at + IPSEC_VERDICT] = select(0u, 1u, differs == 0u);
    if (differs == 0u) {
      ipsec_cbc(esp + 2u, shift, bytes / 16u, key + IPSEC_KEYS_DECRYPT, false);
    }
  }
}

// What is sealed is protected; what is opened the CPU looks at.
fn nf_ipsec_outcome(params_at: u32) -> u32 {
  return select(WB_UNDECIDED, 0u, (params[params_at + IPSEC_TASK] & IPSEC_OP_MASK) == IPSEC_SEAL);
}
