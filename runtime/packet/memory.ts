/**
 * Shared memory that native libraries, NIC rings and every worker see at one address.
 *
 * A Buffer known to native code only by its address can be garbage-collected under it, so everything native code touches
 * lives in anonymous mappings made here, never in Node buffers.
 */
import koffi from "koffi";
import { RunError } from "../errors.js";

/** A mapping by address: plain numbers, so that it can be posted to workers, which attach with {@link attachRegion}. */
export interface RegionHandle {
  /** Virtual address of the first byte (below 2^47, hence exact as a number). */
  readonly address: number;
  /** Length in bytes. */
  readonly size: number;
  /** True where 2 MiB huge pages back it. */
  readonly hugePages: boolean;
}

export interface Region extends RegionHandle {
  readonly buffer: ArrayBuffer;
}

const PROT_READ_WRITE = 0x3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_HUGETLB = 0x40000;
/**
 * Below 2 GiB, where an instruction of x86-64 can name an address in its 32 bits (mmap(2), MAP_32BIT). V8 compiles the addresses of
 * constant arrays into its code (ownCode), and each that is longer takes an instruction of ten bytes of its own, for every access. There
 * is 1 GiB of such addresses, so it may be refused.
 */
export const MAP_LOW = process.arch === "x64" ? 0x40 : 0;
const MADV_HUGEPAGE = 14;
/** madvise wants whole pages. */
const PAGE_MASK = 4095n;
const HUGE_PAGE = 2 * 1024 * 1024;

const libc = koffi.load("libc.so.6");
const mmap = libc.func("void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)");
const munmap = libc.func("int munmap(void *addr, size_t length)");
const madvise = libc.func("int madvise(void *addr, size_t length, int advice)");

/**
 * memcpy between mappings, by address. A call costs about 45 ns, so copy few bytes in a loop; but no view has to be made, as for
 * TypedArray.set.
 */
export const copyMemory = libc.func("void memcpy(uintptr_t to, uintptr_t from, size_t bytes)") as (
  to: number,
  from: number,
  bytes: number,
) => void;

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

const map = (size: number, flags: number) =>
  mmap(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS | flags, -1, 0) as bigint;

/** Maps at least `bytes` of zeroed memory: reserved huge pages when there are any, else transparent ones where they pay. */
export function mapRegion(bytes: number): Region {
  const size = Math.ceil(bytes / HUGE_PAGE) * HUGE_PAGE;
  let hugePages = true;
  let address = map(size, MAP_LOW | MAP_HUGETLB);
  // Reserved pages are worth more than short addresses: nobody else gets them, and whoever reserved them meant this.
  if (address === MAP_FAILED) address = map(size, MAP_HUGETLB);
  if (address === MAP_FAILED) {
    hugePages = false;
    address = map(size, MAP_LOW);
    if (address === MAP_FAILED) address = map(size, 0);
    if (address === MAP_FAILED) {
      throw new RunError("arena", `cannot map ${size} bytes of memory`, "free memory or use fewer slots");
    }
    madvise(address, size, MADV_HUGEPAGE);
  }
  return attachRegion({ address: Number(address), size, hugePages });
}

/** Views a mapping another thread of this process made. */
export function attachRegion(handle: RegionHandle): Region {
  const buffer = koffi.view(BigInt(handle.address), handle.size) as ArrayBuffer;
  return { address: handle.address, size: handle.size, hugePages: handle.hugePages, buffer };
}

/** Unmaps. No view of the region may be touched afterwards, in any thread. */
export function unmapRegion(region: RegionHandle): void {
  munmap(BigInt(region.address), region.size);
}

/**
 * Asks for transparent huge pages under a big table that is read at random; call it before the first write. A processor's TLB
 * covers a few MiB of small pages only. Where the kernel has none to give, nothing changes.
 */
export function adviseHugePages(buffer: SharedArrayBuffer): void {
  adviseHugePagesAt(koffi.address(new Uint8Array(buffer)), buffer.byteLength);
}

/** The same for `size` bytes at an address. */
export function adviseHugePagesAt(start: bigint, size: number): void {
  const first = (start + PAGE_MASK) & ~PAGE_MASK;
  const bytes = Number(((start + BigInt(size)) & ~PAGE_MASK) - first);
  if (bytes >= HUGE_PAGE) madvise(first, bytes, MADV_HUGEPAGE);
}
