/** A hash that says nothing of a short text to whoever does not know the salt. */
import type * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { canonicalJson } from "./CanonicalJson.ts"

/** SHA-256 over the salt, a line feed and the canonical JSON of `value`. */
export const saltedSha256 = (salt: string, value: Schema.Json): string =>
  createHash("sha256")
    .update(`${salt}\n${canonicalJson(value)}`, "utf8")
    .digest("hex")
