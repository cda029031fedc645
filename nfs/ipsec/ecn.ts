/**
 * Congestion marks through a tunnel (RFC 6040). The ECN field is the low two bits of TOS or traffic class.
 */
export const ECN_MASK = 3;
const NOT_ECT = 0;
const ECT_1 = 1;
const ECT_0 = 2;
const CE = 3;
/** The packet must be dropped: congestion happened, and the inner transport could not be told. */
export const ECN_DROP = 0xff;

/**
 * The ECN field of the packet that leaves the tunnel: RFC 6040 section 4.2, Figure 4. Index: inner field x 4 + outer
 * field. On the way in the field is copied (section 4.1, normal mode).
 */
export const ECN_DECAPSULATED = new Uint8Array(16);
for (const [inner, row] of [
  [NOT_ECT, { [NOT_ECT]: NOT_ECT, [ECT_0]: NOT_ECT, [ECT_1]: NOT_ECT, [CE]: ECN_DROP }],
  [ECT_0, { [NOT_ECT]: ECT_0, [ECT_0]: ECT_0, [ECT_1]: ECT_1, [CE]: CE }],
  [ECT_1, { [NOT_ECT]: ECT_1, [ECT_0]: ECT_1, [ECT_1]: ECT_1, [CE]: CE }],
  [CE, { [NOT_ECT]: CE, [ECT_0]: CE, [ECT_1]: CE, [CE]: CE }],
] as const) {
  for (const outer of [NOT_ECT, ECT_0, ECT_1, CE] as const) ECN_DECAPSULATED[inner * 4 + outer] = row[outer];
}
