/**
 * Which program answers at the runtime's URL, told by what it says of itself. Only the way in which an answer is
 * continued hangs on it, so a runtime that nobody recognises still works, and just does not take over half-said
 * answers.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Continuation } from "./Continuation.ts"
import { fieldsOf, listOf } from "./JsonFields.ts"

export type RuntimeKind = "vllm" | "llama.cpp" | "ollama" | "openai"

export const CONTINUATIONS: Readonly<Record<RuntimeKind, Continuation>> = {
  vllm: "vllm",
  "llama.cpp": "trailing",
  ollama: "trailing",
  openai: "none"
}

const OWNERS: Readonly<Record<string, RuntimeKind>> = { vllm: "vllm", llamacpp: "llama.cpp", library: "ollama" }

/** What the list of models and its `server` header tell; null when that is not enough. */
export const kindOfListing = (listing: Schema.Json, server: string): RuntimeKind | null => {
  if (/llama\.cpp/i.test(server)) return "llama.cpp"
  for (const model of listOf(fieldsOf(listing)?.["data"])) {
    const owner = fieldsOf(model)?.["owned_by"]
    const kind = typeof owner === "string" ? OWNERS[owner] : undefined
    if (kind !== undefined) return kind
  }
  return null
}

/** A GET of a path below the server's root: the JSON there, or null. */
export type Look = (path: string) => Effect.Effect<Schema.Json>

/** Asks for the pages that only one of the programs has. */
export const kindByPages = (look: Look): Effect.Effect<RuntimeKind> =>
  Effect.gen(function* () {
    // Ollama first: a proxy in front of it may answer /version too.
    if (fieldsOf(yield* look("/api/version"))?.["version"] !== undefined) return "ollama"
    if (fieldsOf(yield* look("/version"))?.["version"] !== undefined) return "vllm"
    if (fieldsOf(yield* look("/props"))?.["default_generation_settings"] !== undefined) return "llama.cpp"
    return "openai"
  })
