/**
 * Reads a request's body as JSON within bounds. Depth and number of values are counted on the bytes before anything is parsed, so a
 * body made to be slow costs one pass; text that is no Unicode (broken UTF-8, lone surrogates) is refused, because it would
 * come back from a store as something else; a `__proto__` key is left out.
 */
import { isUtf8 } from "node:buffer"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import type { Call } from "./Call.ts"

export const BODY_BYTES_MAX = 8 * 1024 * 1024
export const DEPTH_MAX = 64
export const VALUES_MAX = 100_000

const tooLarge = refuse("request_too_large", `The body is larger than ${BODY_BYTES_MAX} bytes. Send less at once.`)
const invalid = (message: string) => refuse("invalid_request", message)

/** The whole body; interrupted when the client leaves. */
const readBytes = (call: Call): Effect.Effect<Buffer, Refusal> =>
  Effect.callback((resume) => {
    const { incoming } = call
    const chunks: Array<Buffer> = []
    let size = 0
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size <= BODY_BYTES_MAX) return void chunks.push(chunk)
      stop()
      incoming.pause()
      call.answerHeaders["connection"] = "close"
      resume(Effect.fail(tooLarge))
    }
    const onEnd = () => {
      stop()
      resume(Effect.succeed(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)))
    }
    // The end of the connection interrupts the call; the listener only keeps Node from throwing the error.
    const onError = () => {}
    const stop = () => void incoming.off("data", onData).off("end", onEnd)
    incoming.on("data", onData).on("end", onEnd).on("error", onError)
    return Effect.sync(stop)
  })

/** An empty body reads as `undefined`. */
export const readJson = (call: Call): Effect.Effect<Schema.Json | undefined, Refusal> =>
  Effect.flatMap(readBytes(call), (bytes) => {
    if (bytes.length === 0) return Effect.succeed(undefined)
    const read = parseJson(bytes)
    return "problem" in read ? Effect.fail(invalid(read.problem)) : Effect.succeed(read.value)
  })

export const parseJson = (bytes: Buffer): { readonly value: Schema.Json } | { readonly problem: string } => {
  if (!isUtf8(bytes)) return { problem: "The body is not valid UTF-8." }
  const bounds = boundsProblem(bytes)
  if (bounds !== null) return { problem: bounds }
  const text = bytes.toString("utf8")
  try {
    const value: Schema.Json = JSON.parse(text)
    // Only an escape can bring in a lone surrogate or hide the key's name.
    const suspicious = text.includes("\\u") || text.includes("__proto__")
    return !suspicious || clean(value) ? { value } : { problem: "The body holds text that is not valid Unicode." }
  } catch {
    return { problem: "The body is not valid JSON." }
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN = new Set([0x5b, 0x7b])
const CLOSE = new Set([0x5d, 0x7d])

const boundsProblem = (bytes: Buffer): string | null => {
  let depth = 0
  let values = 1
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === QUOTE) {
      at = endOfString(bytes, at)
      if (at === -1) return "The body is not valid JSON."
    } else if (byte === COMMA) {
      if (++values > VALUES_MAX) return `The body holds more than ${VALUES_MAX} values.`
    } else if (OPEN.has(byte)) {
      if (++depth > DEPTH_MAX) return `The body is nested deeper than ${DEPTH_MAX} levels.`
      values += 1
    } else if (CLOSE.has(byte)) depth -= 1
  }
  return values > VALUES_MAX ? `The body holds more than ${VALUES_MAX} values.` : null
}

/** Position of the quote that ends the string begun at `start`, or -1. */
const endOfString = (bytes: Buffer, start: number): number => {
  let quote = bytes.indexOf(QUOTE, start + 1)
  while (quote !== -1) {
    let slashes = 0
    while (bytes[quote - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return quote
    quote = bytes.indexOf(QUOTE, quote + 1)
  }
  return -1
}

/** False when a string is no Unicode. Takes `__proto__` keys out of every object. */
const clean = (value: Schema.Json): boolean => {
  if (typeof value === "string") return value.isWellFormed()
  if (typeof value !== "object" || value === null) return true
  if (Array.isArray(value)) return value.every(clean)
  if (Object.hasOwn(value, "__proto__")) Reflect.deleteProperty(value, "__proto__")
  return Object.entries(value).every(([key, member]) => key.isWellFormed() && clean(member))
}
