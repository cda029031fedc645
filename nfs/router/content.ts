/** The bytes of a file that may be gzip. */
import { createReadStream } from "node:fs";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";

const READ_BYTES = 1 << 20;
/** RFC 1952 section 2.3.1. */
const GZIP_MAGIC = [0x1f, 0x8b];

/** Streams a file, unpacked where its first two bytes are those of gzip, whatever its name. Throws what the streams throw. */
export async function* fileContent(file: string): AsyncGenerator<Buffer> {
  const source = createReadStream(file, { highWaterMark: READ_BYTES });
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  const first = await chunks.next();
  if (first.done) return;
  const all = async function* () {
    yield first.value;
    for (;;) {
      const next = await chunks.next();
      if (next.done) return;
      yield next.value;
    }
  };
  try {
    if (GZIP_MAGIC.every((byte, i) => first.value[i] === byte)) {
      const gunzip = createGunzip({ chunkSize: READ_BYTES });
      // An error of either stream destroys gunzip with it, so this loop throws it.
      pipeline(Readable.from(all()), gunzip, () => {});
      yield* gunzip as AsyncIterable<Buffer>;
    } else {
      yield* all();
    }
  } finally {
    source.destroy();
  }
}
