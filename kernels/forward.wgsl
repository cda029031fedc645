// As rounds.wgsl, and packets go on: where the kernel's answer is final and the policy sends the packet to another NF of the device, that
// NF's kernel serves it next, in a dispatch of its own behind this one and in the same pass, WB_HOPS times at most
// (runtime/device/forward.ts). The host finds the answers of the NFs behind by slot when it gets there; whatever it does not find, it publishes.
//
// Two entries: `rounds` serves rows of WB_PROGRAM; `behind` those entries of rows that are on their way to an NF with WB_PROGRAM. So each pipeline
// holds the code of one kernel, and of others only what is to be done at them.
//
// An entry has params for the NF behind that it is at, from WB_AHEAD on. What the host wants to have of them is kept from WB_KEPT on, WB_KEPT_WORDS for
// each hop of each entry; a word for each entry at WB_PATHS says which NFs those are.

// In an entry's path: the NF it has come to last is still to serve it. The bit is the host's once the round is over, and 0 by then.
const WB_PATH_PENDING: u32 = 1u << WB_PATH_USED;

// Of the packet of an entry, what cannot be seen from its bytes (runtime/device/ahead-round.ts).
fn wb_packet(entry: u32) -> WbPacket {
  let at = WB_PACKETS + entry * WB_PACKET_WORDS;
  let kind = rows[at];
  let ip = rows[at + 1u];
  let l4 = rows[at + 2u];
  return WbPacket(kind & 0xffu, kind >> 8u, ip & 0xffffu, ip >> 16u, l4 & 0xffffu, l4 >> 16u, rows[at + 3u]);
}

// Keeps of the params at `params_at` those words that `mask` names, from `kept` on.
fn wb_keep(mask: u32, params_at: u32, kept: u32) {
  var at = kept;
  for (var word = 0u; (mask >> word) != 0u; word++) {
    if (((mask >> word) & 1u) != 0u) {
      params[at] = params[params_at + word];
      at++;
    }
  }
}

// Hands the packet of an entry on, to the next NF whose kernel is needed, and leaves its path. `hops` have been made, and `from_nf` has left its answer in
// the params at `answer_at`.
fn wb_go_on(entry: u32, slot: u32, from_nf: u32, from_path: u32, hops_made: u32, answer_at: u32) {
  var nf = from_nf;
  var program = tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_PROGRAM];
  var at = answer_at;
  var path = from_path;
  var hops = hops_made;
  if (hops != WB_HOPS) {
    let packet = wb_packet(entry);
    while (hops != WB_HOPS && (packet.flags & (WB_FLAG_IPV4 | WB_FLAG_IPV6)) != 0u) {
      let outcome = wb_outcome(program, at);
      if (outcome == WB_UNDECIDED) {
        break;
      }
      let next = tables[WB_POLICY + (packet.kind * WB_NFS + nf) * WB_OUTCOMES + outcome];
      if (next == 0u) {
        break;
      }
      nf = next - 1u;
      program = tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_PROGRAM];
      at = WB_AHEAD + entry * WB_PARAM_WORDS;
      let enters = wb_enter(program, slot, at, tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_TABLE], packet);
      if (enters == WB_STAYS_OUT) {
        break;
      }
      hops++;
      path |= next << (WB_PATH_BITS * hops);
      if (enters == WB_SERVE) {
        path |= WB_PATH_PENDING;
        break;
      }
      path |= 1u << (WB_PATH_SKIPS + hops - 1u);
    }
  }
  params[WB_PATHS + entry] = select(path, 0u, hops == 0u);
}

@compute @workgroup_size(WB_WORKGROUP_SIZE)
fn rounds(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  wb_init(thread, WB_WORKGROUP_SIZE);
  let number = wb_first_row + group.x;
  let row = number * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  let place = rows[row + WB_ROW_HEADER + thread];
  if (place == WB_DUMMY) {
    return;
  }
  let entry = number * WB_WORKGROUP_SIZE + thread;
  let slot = place * (WB_PACKED / 4u);
  let nf = rows[row + WB_ROW_NF];
  let at = entry * WB_PARAM_WORDS;
  wb_serve(WB_PROGRAM, slot, at, rows[row + WB_ROW_TABLE]);
  if (tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_SOURCE] != 0u) {
    wb_go_on(entry, slot, nf, nf + 1u, 0u, at);
  }
}

@compute @workgroup_size(WB_WORKGROUP_SIZE)
fn behind(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  wb_init(thread, WB_WORKGROUP_SIZE);
  let number = wb_first_row + group.x;
  let place = rows[number * (WB_ROW_HEADER + WB_WORKGROUP_SIZE) + WB_ROW_HEADER + thread];
  if (place == WB_DUMMY) {
    return;
  }
  let entry = number * WB_WORKGROUP_SIZE + thread;
  let path = params[WB_PATHS + entry];
  if ((path & WB_PATH_PENDING) == 0u) {
    return;
  }
  let nfs = path & (WB_PATH_PENDING - 1u);
  let hops = firstLeadingBit(nfs) / WB_PATH_BITS;
  let nf = (nfs >> (hops * WB_PATH_BITS)) - 1u;
  let route = WB_ROUTES + nf * WB_ROUTE_WORDS;
  if (tables[route + WB_ROUTE_PROGRAM] != WB_PROGRAM) {
    return;
  }
  let slot = place * (WB_PACKED / 4u);
  let at = WB_AHEAD + entry * WB_PARAM_WORDS;
  wb_serve(WB_PROGRAM, slot, at, tables[route + WB_ROUTE_TABLE]);
  wb_keep(tables[route + WB_ROUTE_KEEPS], at, WB_KEPT + (entry * WB_HOPS + hops - 1u) * WB_KEPT_WORDS);
  wb_go_on(entry, slot, nf, path & ~WB_PATH_PENDING, hops, at);
}
