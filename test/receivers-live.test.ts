/** Several receiving cores on virtual wires with four queues: nothing is lost, every flow stays in order, in every form of `--cores`. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { byFlow, COUNT, capture, checkLedger, coresOpen, traffic, wiresTest } from "./support/live.js";

/** Where it comes from and goes to, queues of the way out, cores asked for, and what becomes of them: receivers, and the name of the form. */
const FORMS = [
  ["xdp:a", "xdp:b", 4, "d2", 2, "d2"],
  ["xdp:a,mode=skb", "xdp:b", 4, "d4", 4, "d4"],
  ["xdp:a", "xdp:b", 1, "d3", 2, "d3"],
  ["packet:a", "packet:b", 1, "d2", 2, "d2"],
  ["mmsg:a", "xdp:b", 1, "d4", 3, "d4"],
  ["auto:a", "mmsg:b", 1, "d2", 2, "d2"],
] as const;

for (const [input, output, queues, cores, receivers, name] of FORMS) {
  wiresTest(`${cores} from ${input} to ${output} with ${queues} queues`, async (space, cwd) => {
    space.wire("a", 4);
    space.wire("b", queues);
    const file = traffic(cwd);
    const dump = await capture(space, cwd, "bp");
    const wing = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", output, "--cores", cores);
    await coresOpen(wing, receivers);
    await wing.says(/port out: b by/);
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", file);
    await space.until("a", COUNT);
    const result = await wing.finish();
    checkLedger(result, wing.output);
    assert.is(result.cores, name);
    assert.equal([result.packets.rx, result.packets.tx], [COUNT, COUNT], wing.output);
    assert.equal(result.order, { mode: "flow", reordered: 0, flow_reordered: 0 });
    assert.not(space.attached("a"), "the program is taken off");
    await dump.end();
    assert.equal(byFlow(join(cwd, "out.pcap")), byFlow(file));
  });
}

test.run();
