// As rounds.wgsl, and a thread goes on with its packet: where the kernel's answer is final and the policy sends the packet to another NF of the
// device, that NF's kernel serves it next, WB_HOPS times at most (runtime/device/forward.ts). The host finds the answers of the NFs behind
// by slot when it gets there; whatever it does not find, it publishes.
//
// An entry has params for the NF behind that it is at, from WB_AHEAD on. What the host wants to have of them is kept from WB_KEPT on, WB_KEPT_WORDS for
// each hop of each entry; a word for each entry at WB_PATHS says which NFs those are.

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

@compute @workgroup_size(WB_WORKGROUP_SIZE)
fn rounds(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  wb_init(thread, WB_WORKGROUP_SIZE);
  let row = group.x * (WB_ROW_HEADER + WB_WORKGROUP_SIZE);
  let place = rows[row + WB_ROW_HEADER + thread];
  if (place == WB_DUMMY) {
    return;
  }
  let entry = group.x * WB_WORKGROUP_SIZE + thread;
  let slot = place * (WB_PACKED / 4u);
  var nf = rows[row + WB_ROW_NF];
  let goes_on = tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_SOURCE] != 0u;
  var packet: WbPacket;
  if (goes_on) {
    packet = wb_packet(entry);
  }
  var program = rows[row + WB_ROW_PROGRAM];
  var table = rows[row + WB_ROW_TABLE];
  var at = entry * WB_PARAM_WORDS;
  var path = nf + 1u;
  var hops = 0u;
  var enters = WB_SERVE;
  loop {
    if (enters == WB_SERVE) {
      wb_serve(program, slot, at, table);
      if (hops != 0u) {
        wb_keep(tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_KEEPS], at, WB_KEPT + (entry * WB_HOPS + hops - 1u) * WB_KEPT_WORDS);
      }
    }
    if (!goes_on || hops == WB_HOPS || (packet.flags & (WB_FLAG_IPV4 | WB_FLAG_IPV6)) == 0u) {
      break;
    }
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
    table = tables[WB_ROUTES + nf * WB_ROUTE_WORDS + WB_ROUTE_TABLE];
    at = WB_AHEAD + entry * WB_PARAM_WORDS;
    enters = wb_enter(program, slot, at, table, packet);
    if (enters == WB_STAYS_OUT) {
      break;
    }
    if (enters == WB_SKIPS) {
      path |= 1u << (WB_PATH_SKIPS + hops);
    }
    hops++;
    path |= next << (WB_PATH_BITS * hops);
  }
  if (goes_on) {
    params[WB_PATHS + entry] = select(path, 0u, hops == 0u);
  }
}
