// broken, for tests of devices: does not compile, and the message has to say where.
fn nf_broken(slot: u32, params_at: u32, table: u32) {
  params[params_at] = no_such_variable;
}
