/** The other thread of test/arena.test.ts: attaches to the arena, checks what the test wrote, and writes something else. */
import { parentPort, workerData } from "node:worker_threads";
import { Arena, type ArenaHandle } from "../../runtime/packet/arena.js";
import { checkPattern, writePattern } from "./arena-pattern.js";

const arena = Arena.attach((workerData as { handle: ArenaHandle }).handle);
const found = checkPattern(arena, 1);
writePattern(arena, 2);
parentPort?.postMessage({ found, address: arena.address });
