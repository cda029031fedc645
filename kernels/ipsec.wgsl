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

// FIPS 197: SubBytes and MixColumns of one byte, as aes.ts computes them: 2S, S, S, 3S from the highest byte on.
const IPSEC_TE = array<u32, 256>(
  0xc66363a5u, 0xf87c7c84u, 0xee777799u, 0xf67b7b8du, 0xfff2f20du, 0xd66b6bbdu, 0xde6f6fb1u, 0x91c5c554u, 0x60303050u, 0x02010103u,
  0xce6767a9u, 0x562b2b7du, 0xe7fefe19u, 0xb5d7d762u, 0x4dababe6u, 0xec76769au, 0x8fcaca45u, 0x1f82829du, 0x89c9c940u, 0xfa7d7d87u,
  0xeffafa15u, 0xb25959ebu, 0x8e4747c9u, 0xfbf0f00bu, 0x41adadecu, 0xb3d4d467u, 0x5fa2a2fdu, 0x45afafeau, 0x239c9cbfu, 0x53a4a4f7u,
  0xe4727296u, 0x9bc0c05bu, 0x75b7b7c2u, 0xe1fdfd1cu, 0x3d9393aeu, 0x4c26266au, 0x6c36365au, 0x7e3f3f41u, 0xf5f7f702u, 0x83cccc4fu,
  0x6834345cu, 0x51a5a5f4u, 0xd1e5e534u, 0xf9f1f108u, 0xe2717193u, 0xabd8d873u, 0x62313153u, 0x2a15153fu, 0x0804040cu, 0x95c7c752u,
  0x46232365u, 0x9dc3c35eu, 0x30181828u, 0x379696a1u, 0x0a05050fu, 0x2f9a9ab5u, 0x0e070709u, 0x24121236u, 0x1b80809bu, 0xdfe2e23du,
  0xcdebeb26u, 0x4e272769u, 0x7fb2b2cdu, 0xea75759fu, 0x1209091bu, 0x1d83839eu, 0x582c2c74u, 0x341a1a2eu, 0x361b1b2du, 0xdc6e6eb2u,
  0xb45a5aeeu, 0x5ba0a0fbu, 0xa45252f6u, 0x763b3b4du, 0xb7d6d661u, 0x7db3b3ceu, 0x5229297bu, 0xdde3e33eu, 0x5e2f2f71u, 0x13848497u,
  0xa65353f5u, 0xb9d1d168u, 0x00000000u, 0xc1eded2cu, 0x40202060u, 0xe3fcfc1fu, 0x79b1b1c8u, 0xb65b5bedu, 0xd46a6abeu, 0x8dcbcb46u,
  0x67bebed9u, 0x7239394bu, 0x944a4adeu, 0x984c4cd4u, 0xb05858e8u, 0x85cfcf4au, 0xbbd0d06bu, 0xc5efef2au, 0x4faaaae5u, 0xedfbfb16u,
  0x864343c5u, 0x9a4d4dd7u, 0x66333355u, 0x11858594u, 0x8a4545cfu, 0xe9f9f910u, 0x04020206u, 0xfe7f7f81u, 0xa05050f0u, 0x783c3c44u,
  0x259f9fbau, 0x4ba8a8e3u, 0xa25151f3u, 0x5da3a3feu, 0x804040c0u, 0x058f8f8au, 0x3f9292adu, 0x219d9dbcu, 0x70383848u, 0xf1f5f504u,
  0x63bcbcdfu, 0x77b6b6c1u, 0xafdada75u, 0x42212163u, 0x20101030u, 0xe5ffff1au, 0xfdf3f30eu, 0xbfd2d26du, 0x81cdcd4cu, 0x180c0c14u,
  0x26131335u, 0xc3ecec2fu, 0xbe5f5fe1u, 0x359797a2u, 0x884444ccu, 0x2e171739u, 0x93c4c457u, 0x55a7a7f2u, 0xfc7e7e82u, 0x7a3d3d47u,
  0xc86464acu, 0xba5d5de7u, 0x3219192bu, 0xe6737395u, 0xc06060a0u, 0x19818198u, 0x9e4f4fd1u, 0xa3dcdc7fu, 0x44222266u, 0x542a2a7eu,
  0x3b9090abu, 0x0b888883u, 0x8c4646cau, 0xc7eeee29u, 0x6bb8b8d3u, 0x2814143cu, 0xa7dede79u, 0xbc5e5ee2u, 0x160b0b1du, 0xaddbdb76u,
  0xdbe0e03bu, 0x64323256u, 0x743a3a4eu, 0x140a0a1eu, 0x924949dbu, 0x0c06060au, 0x4824246cu, 0xb85c5ce4u, 0x9fc2c25du, 0xbdd3d36eu,
  0x43acacefu, 0xc46262a6u, 0x399191a8u, 0x319595a4u, 0xd3e4e437u, 0xf279798bu, 0xd5e7e732u, 0x8bc8c843u, 0x6e373759u, 0xda6d6db7u,
  0x018d8d8cu, 0xb1d5d564u, 0x9c4e4ed2u, 0x49a9a9e0u, 0xd86c6cb4u, 0xac5656fau, 0xf3f4f407u, 0xcfeaea25u, 0xca6565afu, 0xf47a7a8eu,
  0x47aeaee9u, 0x10080818u, 0x6fbabad5u, 0xf0787888u, 0x4a25256fu, 0x5c2e2e72u, 0x381c1c24u, 0x57a6a6f1u, 0x73b4b4c7u, 0x97c6c651u,
  0xcbe8e823u, 0xa1dddd7cu, 0xe874749cu, 0x3e1f1f21u, 0x964b4bddu, 0x61bdbddcu, 0x0d8b8b86u, 0x0f8a8a85u, 0xe0707090u, 0x7c3e3e42u,
  0x71b5b5c4u, 0xcc6666aau, 0x904848d8u, 0x06030305u, 0xf7f6f601u, 0x1c0e0e12u, 0xc26161a3u, 0x6a35355fu, 0xae5757f9u, 0x69b9b9d0u,
  0x17868691u, 0x99c1c158u, 0x3a1d1d27u, 0x279e9eb9u, 0xd9e1e138u, 0xebf8f813u, 0x2b9898b3u, 0x22111133u, 0xd26969bbu, 0xa9d9d970u,
  0x078e8e89u, 0x339494a7u, 0x2d9b9bb6u, 0x3c1e1e22u, 0x15878792u, 0xc9e9e920u, 0x87cece49u, 0xaa5555ffu, 0x50282878u, 0xa5dfdf7au,
  0x038c8c8fu, 0x59a1a1f8u, 0x09898980u, 0x1a0d0d17u, 0x65bfbfdau, 0xd7e6e631u, 0x844242c6u, 0xd06868b8u, 0x824141c3u, 0x299999b0u,
  0x5a2d2d77u, 0x1e0f0f11u, 0x7bb0b0cbu, 0xa85454fcu, 0x6dbbbbd6u, 0x2c16163au,
);
// The inverse, of the inverse S-box I: 14I, 9I, 13I, 11I. Their exclusive or is I.
const IPSEC_TD = array<u32, 256>(
  0x51f4a750u, 0x7e416553u, 0x1a17a4c3u, 0x3a275e96u, 0x3bab6bcbu, 0x1f9d45f1u, 0xacfa58abu, 0x4be30393u, 0x2030fa55u, 0xad766df6u,
  0x88cc7691u, 0xf5024c25u, 0x4fe5d7fcu, 0xc52acbd7u, 0x26354480u, 0xb562a38fu, 0xdeb15a49u, 0x25ba1b67u, 0x45ea0e98u, 0x5dfec0e1u,
  0xc32f7502u, 0x814cf012u, 0x8d4697a3u, 0x6bd3f9c6u, 0x038f5fe7u, 0x15929c95u, 0xbf6d7aebu, 0x955259dau, 0xd4be832du, 0x587421d3u,
  0x49e06929u, 0x8ec9c844u, 0x75c2896au, 0xf48e7978u, 0x99583e6bu, 0x27b971ddu, 0xbee14fb6u, 0xf088ad17u, 0xc920ac66u, 0x7dce3ab4u,
  0x63df4a18u, 0xe51a3182u, 0x97513360u, 0x62537f45u, 0xb16477e0u, 0xbb6bae84u, 0xfe81a01cu, 0xf9082b94u, 0x70486858u, 0x8f45fd19u,
  0x94de6c87u, 0x527bf8b7u, 0xab73d323u, 0x724b02e2u, 0xe31f8f57u, 0x6655ab2au, 0xb2eb2807u, 0x2fb5c203u, 0x86c57b9au, 0xd33708a5u,
  0x302887f2u, 0x23bfa5b2u, 0x02036abau, 0xed16825cu, 0x8acf1c2bu, 0xa779b492u, 0xf307f2f0u, 0x4e69e2a1u, 0x65daf4cdu, 0x0605bed5u,
  0xd134621fu, 0xc4a6fe8au, 0x342e539du, 0xa2f355a0u, 0x058ae132u, 0xa4f6eb75u, 0x0b83ec39u, 0x4060efaau, 0x5e719f06u, 0xbd6e1051u,
  0x3e218af9u, 0x96dd063du, 0xdd3e05aeu, 0x4de6bd46u, 0x91548db5u, 0x71c45d05u, 0x0406d46fu, 0x605015ffu, 0x1998fb24u, 0xd6bde997u,
  0x894043ccu, 0x67d99e77u, 0xb0e842bdu, 0x07898b88u, 0xe7195b38u, 0x79c8eedbu, 0xa17c0a47u, 0x7c420fe9u, 0xf8841ec9u, 0x00000000u,
  0x09808683u, 0x322bed48u, 0x1e1170acu, 0x6c5a724eu, 0xfd0efffbu, 0x0f853856u, 0x3daed51eu, 0x362d3927u, 0x0a0fd964u, 0x685ca621u,
  0x9b5b54d1u, 0x24362e3au, 0x0c0a67b1u, 0x9357e70fu, 0xb4ee96d2u, 0x1b9b919eu, 0x80c0c54fu, 0x61dc20a2u, 0x5a774b69u, 0x1c121a16u,
  0xe293ba0au, 0xc0a02ae5u, 0x3c22e043u, 0x121b171du, 0x0e090d0bu, 0xf28bc7adu, 0x2db6a8b9u, 0x141ea9c8u, 0x57f11985u, 0xaf75074cu,
  0xee99ddbbu, 0xa37f60fdu, 0xf701269fu, 0x5c72f5bcu, 0x44663bc5u, 0x5bfb7e34u, 0x8b432976u, 0xcb23c6dcu, 0xb6edfc68u, 0xb8e4f163u,
  0xd731dccau, 0x42638510u, 0x13972240u, 0x84c61120u, 0x854a247du, 0xd2bb3df8u, 0xaef93211u, 0xc729a16du, 0x1d9e2f4bu, 0xdcb230f3u,
  0x0d8652ecu, 0x77c1e3d0u, 0x2bb3166cu, 0xa970b999u, 0x119448fau, 0x47e96422u, 0xa8fc8cc4u, 0xa0f03f1au, 0x567d2cd8u, 0x223390efu,
  0x87494ec7u, 0xd938d1c1u, 0x8ccaa2feu, 0x98d40b36u, 0xa6f581cfu, 0xa57ade28u, 0xdab78e26u, 0x3fadbfa4u, 0x2c3a9de4u, 0x5078920du,
  0x6a5fcc9bu, 0x547e4662u, 0xf68d13c2u, 0x90d8b8e8u, 0x2e39f75eu, 0x82c3aff5u, 0x9f5d80beu, 0x69d0937cu, 0x6fd52da9u, 0xcf2512b3u,
  0xc8ac993bu, 0x10187da7u, 0xe89c636eu, 0xdb3bbb7bu, 0xcd267809u, 0x6e5918f4u, 0xec9ab701u, 0x834f9aa8u, 0xe6956e65u, 0xaaffe67eu,
  0x21bccf08u, 0xef15e8e6u, 0xbae79bd9u, 0x4a6f36ceu, 0xea9f09d4u, 0x29b07cd6u, 0x31a4b2afu, 0x2a3f2331u, 0xc6a59430u, 0x35a266c0u,
  0x744ebc37u, 0xfc82caa6u, 0xe090d0b0u, 0x33a7d815u, 0xf104984au, 0x41ecdaf7u, 0x7fcd500eu, 0x1791f62fu, 0x764dd68du, 0x43efb04du,
  0xccaa4d54u, 0xe49604dfu, 0x9ed1b5e3u, 0x4c6a881bu, 0xc12c1fb8u, 0x4665517fu, 0x9d5eea04u, 0x018c355du, 0xfa877473u, 0xfb0b412eu,
  0xb3671d5au, 0x92dbd252u, 0xe9105633u, 0x6dd64713u, 0x9ad7618cu, 0x37a10c7au, 0x59f8148eu, 0xeb133c89u, 0xcea927eeu, 0xb761c935u,
  0xe11ce5edu, 0x7a47b13cu, 0x9cd2df59u, 0x55f2733fu, 0x1814ce79u, 0x73c737bfu, 0x53f7cdeau, 0x5ffdaa5bu, 0xdf3d6f14u, 0x7844db86u,
  0xcaaff381u, 0xb968c43eu, 0x3824342cu, 0xc2a3405fu, 0x161dc372u, 0xbce2250cu, 0x283c498bu, 0xff0d9541u, 0x39a80171u, 0x080cb3deu,
  0xd8b4e49cu, 0x6456c190u, 0x7bcb8461u, 0xd532b670u, 0x486c5c74u, 0xd0b85742u,
);

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

// The schedule's next four words, from the 16 before them. The last needs the first of the four.
fn ipsec_schedule(w0: vec4u, w1: vec4u, w2: vec4u, w3: vec4u) -> vec4u {
  let x = vec4u(w0.zw, w1.xy) ^ w0 ^ w2 ^ vec4u(w3.yzw, 0u);
  var next = (x << vec4u(1u)) | (x >> vec4u(31u));
  next.w ^= wb_rotl(next.x, 1u);
  return next;
}

fn ipsec_compress(h: IpsecHash, block0: vec4u, block1: vec4u, block2: vec4u, block3: vec4u) -> IpsecHash {
  var w0 = block0;
  var w1 = block1;
  var w2 = block2;
  var w3 = block3;
  var s = h;
  for (var t = 0u; t < 20u; t += 4u) {
    let w = w0 + vec4u(0x5a827999u);
    s = ipsec_choose(ipsec_choose(ipsec_choose(ipsec_choose(s, w.x), w.y), w.z), w.w);
    let next = ipsec_schedule(w0, w1, w2, w3);
    w0 = w1;
    w1 = w2;
    w2 = w3;
    w3 = next;
  }
  for (var t = 0u; t < 20u; t += 4u) {
    let w = w0 + vec4u(0x6ed9eba1u);
    s = ipsec_parity(ipsec_parity(ipsec_parity(ipsec_parity(s, w.x), w.y), w.z), w.w);
    let next = ipsec_schedule(w0, w1, w2, w3);
    w0 = w1;
    w1 = w2;
    w2 = w3;
    w3 = next;
  }
  for (var t = 0u; t < 20u; t += 4u) {
    let w = w0 + vec4u(0x8f1bbcdcu);
    s = ipsec_majority(ipsec_majority(ipsec_majority(ipsec_majority(s, w.x), w.y), w.z), w.w);
    let next = ipsec_schedule(w0, w1, w2, w3);
    w0 = w1;
    w1 = w2;
    w2 = w3;
    w3 = next;
  }
  for (var t = 0u; t < 20u; t += 4u) {
    let w = w0 + vec4u(0xca62c1d6u);
    s = ipsec_parity(ipsec_parity(ipsec_parity(ipsec_parity(s, w.x), w.y), w.z), w.w);
    let next = ipsec_schedule(w0, w1, w2, w3);
    w0 = w1;
    w1 = w2;
    w2 = w3;
    w3 = next;
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
    h = ipsec_compress(h, ipsec_message(m, word, at), ipsec_message(m, word + 4u, at + 4u),
                       ipsec_message(m, word + 8u, at + 8u), ipsec_message(m, word + 12u, at + 12u));
  }
  // RFC 2104: the outer hash, of the inner one's digest.
  return ipsec_compress(ipsec_hash_at(key + IPSEC_KEYS_OUTER), vec4u(h.a, h.b, h.c, h.d), vec4u(h.e, 0x80000000u, 0u, 0u),
                        vec4u(), vec4u(0u, 0u, 0u, (64u + 20u) * 8u));
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
