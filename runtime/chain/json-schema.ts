import { z } from "zod";
import { importNf, nfTypes } from "./modules.js";
import { chainSchema } from "./schema.js";

/**
 * The JSON Schema (draft 2020-12) of chain files, with the configuration of every NF type there is; editors complete from it. The
 * shipped copy is examples/chain.schema.json, written by `npm run schema`.
 */
export async function chainJsonSchema(): Promise<Record<string, unknown>> {
  const options = { io: "input", unrepresentable: "any" } as const;
  const schema = z.toJSONSchema(chainSchema, options) as unknown as {
    properties: { nfs: { additionalProperties: Record<string, unknown> } };
  };
  const variants = [];
  for (const type of nfTypes()) {
    const { $schema: _, ...config } = z.toJSONSchema((await importNf(type, type)).schema, options);
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    variants.push({ if: { properties: { type: { const: type } } }, then: { properties: { config } } });
  }
  const nf = schema.properties.nfs.additionalProperties as { properties: Record<string, unknown> };
  nf.properties.type = {
    anyOf: [{ enum: nfTypes() }, { type: "string", pattern: "^\\.{0,2}/.*\\.m?js$" }],
    description: "folder under nfs/, or ./FILE.mjs: an NF of your own",
  };
  schema.properties.nfs.additionalProperties = { ...nf, allOf: variants };
  return { title: "wingbeat chain", ...schema };
}
