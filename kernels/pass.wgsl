// pass: touches nothing. For measuring the way of a row by itself (bench), and for tests of devices.

fn nf_pass(slot: u32, params_at: u32, table: u32) {}
