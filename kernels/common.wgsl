// What all kernels share: the bindings, and packet bytes in words. The constants WB_* come from runtime/device/queue.ts and
// runtime/packet/arena.ts; see README.md for what a kernel is given.
//
// Storage is u32 words, byte 0 of a word in its lowest bits: that of the arena on every machine WebGPU runs on.

// Packet bytes, WB_SLOT_SIZE / 4 words a slot.
@group(0) @binding(0) var<storage, read_write> slots: array<u32>;
// WB_PARAM_WORDS words a slot.
@group(0) @binding(1) var<storage, read_write> params: array<u32>;
// Header and entries of each row, as in the queue.
@group(0) @binding(2) var<storage, read> rows: array<u32>;
// Tables of all NFs.
@group(0) @binding(3) var<storage, read> tables: array<u32>;

// Of a packet that goes on to another NF on the device: its type, WB_FLAG_* bits, and where it has what, in bytes from the start of its slot.
// l3: IP header; l3_end: first byte behind the packet; l4: first byte behind the IP header and its extensions; payload, payload_end: what L4
// carries. As in runtime/packet/arena.ts.
struct WbPacket { kind: u32, flags: u32, l3: u32, l3_end: u32, l4: u32, payload: u32, payload_end: u32 }

// What an NF's enter answers: the packet does not go on there by itself; its kernel is needed; it is not, and the params say what the NF answers.
const WB_STAYS_OUT: u32 = 0u;
const WB_SERVE: u32 = 1u;
const WB_SKIPS: u32 = 2u;
// What an NF's outcome answers where the CPU has to decide.
const WB_UNDECIDED: u32 = 0xffffffffu;

// Native word to big-endian value and back.
fn wb_swap32(value: u32) -> u32 {
  let swapped = ((value & 0x00ff00ffu) << 8u) | ((value >> 8u) & 0x00ff00ffu);
  return (swapped << 16u) | (swapped >> 16u);
}

fn wb_rotl(value: u32, bits: u32) -> u32 {
  return (value << bits) | (value >> (32u - bits));
}
