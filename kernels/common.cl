/*
 * What all kernels share. The macros WB_* come from runtime/device/queue.ts and runtime/packet/arena.ts; see kernels/README.md for what a
 * kernel is given.
 */

#if defined(__opencl_c_atomic_scope_all_devices) || (__OPENCL_C_VERSION__ == 200)
#define WB_SCOPE memory_scope_all_svm_devices
#else
/* PoCL: the device is the host. */
#define WB_SCOPE memory_scope_device
#endif

/* Big-endian word of packet bytes, at any alignment. */
static inline uint wb_load_be32(__global const uchar *p) {
  return ((uint)p[0] << 24) | ((uint)p[1] << 16) | ((uint)p[2] << 8) | (uint)p[3];
}

static inline void wb_store_be32(__global uchar *p, uint value) {
  p[0] = (uchar)(value >> 24);
  p[1] = (uchar)(value >> 16);
  p[2] = (uchar)(value >> 8);
  p[3] = (uchar)value;
}

/* Native u32 (little-endian on every device there is) to big-endian value and back. */
static inline uint wb_swap32(uint value) {
  return as_uint(as_uchar4(value).wzyx);
}
