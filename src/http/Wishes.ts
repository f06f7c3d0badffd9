/**
 * What a request wants beyond its OpenAI body, from the object `resultity` and from headers; the object wins. A name that is not known is
 * refused in both.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Constraints, Mode, OnNodeLoss, Priority } from "../schemas/Job.ts"
import type { WorkflowRef } from "../schemas/JobRecord.ts"
import { type AskedMode, Extension } from "../schemas/openai/Extension.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"
import { type Call, header } from "./Call.ts"
import { badField, decoder } from "./Decode.ts"

export interface Wishes {
  readonly mode: Mode
  readonly priority: Priority | null
  readonly deadlineMs: number | null
  readonly constraints: Constraints
  readonly onNodeLoss: OnNodeLoss | null
  readonly workflow: WorkflowRef | null
}

const PREFIX = "x-resultity-"
const HEADERS: Readonly<Record<string, "text" | "number">> = {
  priority: "text",
  "deadline-ms": "number",
  subcloud: "text",
  region: "text",
  gpu: "text",
  "vram-min-mib": "number",
  "on-node-loss": "text"
}

const decodeExtension = decoder(Extension, { strict: true, at: "resultity" })

/** @param stream what the body's own flag says */
export const readWishes = (
  call: Call,
  inBody: Schema.Json | undefined,
  stream: boolean
): Effect.Effect<Wishes, Refusal> =>
  Effect.gen(function* () {
    const inHeaders = yield* readHeaders(call)
    if (inBody !== undefined && !isFields(inBody)) return yield* badField("resultity", "must be an object")
    const asked = yield* decodeExtension({ ...inHeaders, ...inBody })
    return wishesOf(asked, yield* modeOf(asked.mode, stream, prefersPolling(call)))
  })

const readHeaders = (call: Call): Effect.Effect<Schema.JsonObject, Refusal> => {
  const found: Record<string, Schema.Json> = {}
  for (const name in call.incoming.headers) {
    if (!name.startsWith(PREFIX)) continue
    const wish = name.slice(PREFIX.length)
    const kind = Object.hasOwn(HEADERS, wish) ? HEADERS[wish] : undefined
    if (kind === undefined) return Effect.fail(badField(name, "is not a header of this API"))
    const text = header(call, name) ?? ""
    found[wish.replaceAll("-", "_")] = kind === "number" && /^-?\d{1,15}$/.test(text) ? Number(text) : text
  }
  return Effect.succeed(found)
}

const prefersPolling = (call: Call): boolean =>
  /(?:^|,)\s*respond-async\s*(?:,|;|$)/i.test(header(call, "prefer") ?? "")

/** `Prefer` is a wish that may be passed over; a mode is not. */
export const modeOf = (
  asked: AskedMode | undefined,
  stream: boolean,
  prefersPolling: boolean
): Effect.Effect<Mode, Refusal> => {
  switch (asked) {
    case undefined:
      if (stream) return Effect.succeed("stream")
      return Effect.succeed(prefersPolling ? "polling" : "sync")
    case "stream":
      return Effect.succeed("stream")
    case "sync":
    case "polling":
    case "async":
      if (stream) return Effect.fail(badField("resultity.mode", `${asked} does not go together with stream`))
      return Effect.succeed(asked === "sync" ? "sync" : "polling")
    default:
      return Effect.fail(
        refuse("not_available", `The mode ${asked} is planned and not available yet.`, { param: "mode" })
      )
  }
}

export const wishesOf = (asked: Extension, mode: Mode): Wishes => ({
  mode,
  priority: asked.priority ?? null,
  deadlineMs: asked.deadline_ms ?? null,
  constraints: constraintsOf(asked),
  onNodeLoss: asked.on_node_loss ?? null,
  workflow: asked.workflow ?? null
})

export const constraintsOf = (asked: Pick<Extension, "subcloud" | "region" | "gpu" | "vram_min_mib">): Constraints => ({
  ...(asked.subcloud === undefined ? {} : { subcloud: asked.subcloud }),
  ...(asked.region === undefined ? {} : { region: asked.region }),
  ...(asked.gpu === undefined ? {} : { gpu: asked.gpu }),
  ...(asked.vram_min_mib === undefined ? {} : { vramMinMiB: asked.vram_min_mib })
})

const isFields = (value: Schema.Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
