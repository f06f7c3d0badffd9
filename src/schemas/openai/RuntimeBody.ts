/**
 * What of an accepted request travels to a runtime: the body as the client wrote it, without our extension, without how the answer travels
 * to the client, and without what tells who asks. A node learns no end user.
 */
import type * as Schema from "effect/Schema"

const NOT_FOR_NODES: ReadonlySet<string> = new Set([
  "resultity",
  "stream",
  "stream_options",
  "user",
  "metadata",
  "store",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key"
])

/** Null means "not said", so it is left out too. */
export const runtimeBody = (request: Schema.JsonObject): Schema.JsonObject => {
  const kept: Record<string, Schema.Json> = {}
  for (const [field, value] of Object.entries(request)) {
    if (value !== null && !NOT_FOR_NODES.has(field)) kept[field] = value
  }
  return kept
}
