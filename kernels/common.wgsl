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

// Native word to big-endian value and back.
fn wb_swap32(value: u32) -> u32 {
  let swapped = ((value & 0x00ff00ffu) << 8u) | ((value >> 8u) & 0x00ff00ffu);
  return (swapped << 16u) | (swapped >> 16u);
}

fn wb_rotl(value: u32, bits: u32) -> u32 {
  return (value << bits) | (value >> (32u - bits));
}
