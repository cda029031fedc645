// Writes examples/chain.schema.json from the compiled schemas. Run after a change of a schema; a test holds the copy against them.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chainJsonSchema } from "../dist/runtime/chain/json-schema.js";

const file = fileURLToPath(new URL("../examples/chain.schema.json", import.meta.url));
writeFileSync(file, `${JSON.stringify(await chainJsonSchema(), null, 2)}\n`);
