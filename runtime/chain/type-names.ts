/** Names of packet types that are always there. Apart from the policy, whose reader threads that run NFs do not need. */
export const DEFAULT_TYPE = "default";
export const NON_IP_TYPE = "non-ip";
/** In a policy: any type but non-ip. */
export const ANY_TYPE = "*";
