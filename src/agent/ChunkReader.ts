/**
 * Reads what an OpenAI-compatible runtime streams: server-sent events with one JSON object each, put together from text
 * in any cut. A stream that ends without `[DONE]` is whole when every choice that spoke has finished, and broken
 * otherwise; a reader that took the end of the connection for the end of the answer would sell half an answer as a
 * whole one.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as Pull from "effect/Pull"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { FinishReason } from "../schemas/TokenEvent.ts"
import { fieldsOf, listOf, parsed } from "./JsonFields.ts"
import { type Delta, type RuntimeChunk, RuntimeFailed } from "./Runtime.ts"

/** Longest single event, in characters. */
const EVENT_MAX = 4 * 1024 * 1024

/** The chunks in a runtime's event stream, in the batches they came in; closes the source after `[DONE]`. */
export const readEvents = (texts: Stream.Stream<string, RuntimeFailed>): Stream.Stream<RuntimeChunk, RuntimeFailed> =>
  Stream.transformPull(texts, (upstream) =>
    Effect.sync(() => {
      const reader = makeReader()
      const pump = upstream.pipe(
        Effect.map((batch) => batch.forEach(reader.feed)),
        Pull.catchDone(() => Effect.sync(reader.end))
      )
      const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<RuntimeChunk>, RuntimeFailed> = Effect.suspend(() => {
        const chunks = reader.take()
        if (Arr.isReadonlyArrayNonEmpty(chunks)) return Effect.succeed(chunks)
        const outcome = reader.outcome()
        if (outcome === "open") return Effect.flatMap(pump, () => pull)
        return outcome === "whole" ? Cause.done() : Effect.fail(outcome)
      })
      return pull
    })
  )

/** The chunks in an answer that came in one piece, from a runtime that does not stream. */
export const readWhole = (answer: Schema.Json): ReadonlyArray<RuntimeChunk> | RuntimeFailed => {
  const reader = makeReader()
  reader.object(answer)
  reader.end()
  const outcome = reader.outcome()
  return outcome === "open" || outcome === "whole" ? reader.take() : outcome
}

interface Reader {
  readonly feed: (text: string) => void
  readonly object: (value: Schema.Json) => void
  readonly end: () => void
  /** What was read since the last call. */
  readonly take: () => ReadonlyArray<RuntimeChunk>
  readonly outcome: () => "open" | "whole" | RuntimeFailed
}

const makeReader = (): Reader => {
  let chunks: Array<RuntimeChunk> = []
  let outcome: "open" | "whole" | RuntimeFailed = "open"
  /** Whether each choice that spoke has finished. */
  const finished = new Map<number, boolean>()

  const object = (value: Schema.Json): void => {
    if (outcome !== "open") return
    const fields = fieldsOf(value)
    if (fields === null) return void (outcome = badAnswer)
    if (fields["error"] !== undefined && fields["error"] !== null) return void (outcome = failureIn(fields["error"]))
    for (const choice of listOf(fields["choices"])) {
      const delta = deltaOf(choice)
      if (delta instanceof RuntimeFailed) return void (outcome = delta)
      // Some send an empty piece after the last one, with the usage.
      if (delta === null || finished.get(delta.choice) === true) continue
      chunks.push(delta)
      finished.set(delta.choice, delta.finish !== undefined)
    }
    const usage = usageOf(fields["usage"])
    if (usage !== null) chunks.push(usage)
  }
  const event = ({ data }: Sse.Event): void => {
    if (outcome !== "open") return
    if (data.trim() === "[DONE]") return done()
    const value = parsed(data)
    if (value === undefined) outcome = badAnswer
    else object(value)
  }
  // A runtime that says [DONE] has said all, also one that gives no reason for a choice's end.
  const done = (): void => {
    for (const [choice, over] of finished) {
      if (!over) chunks.push({ _tag: "Delta", choice, text: "", finish: "stop" })
    }
    outcome = finished.size === 0 ? new RuntimeFailed({ code: "runtime_empty", fault: "node" }) : "whole"
  }
  const parser = Sse.makeParser((found) => (found._tag === "Event" ? event(found) : undefined), {
    maxEventSize: EVENT_MAX
  })
  const feed = (text: string): void => {
    if (outcome === "open" && parser.feed(text) !== undefined) outcome = badAnswer
  }
  return {
    feed,
    object,
    // The blank line dispatches a last event that its runtime did not end.
    end: () => {
      feed("\n\n")
      if (outcome !== "open") return
      const whole = finished.size > 0 && [...finished.values()].every((over) => over)
      outcome = whole ? "whole" : new RuntimeFailed({ code: "runtime_cut", fault: "node" })
    },
    take: () => {
      const taken = chunks
      chunks = []
      return taken
    },
    outcome: () => outcome
  }
}

const badAnswer = new RuntimeFailed({ code: "runtime_bad_answer", fault: "node" })

/** Fields of a delta that are not passed through: `role` says nothing new, `content` is the text. */
const NOT_EXTRA: ReadonlySet<string> = new Set(["role", "content"])

const FINISHES: ReadonlySet<string> = new Set<FinishReason>([
  "stop",
  "length",
  "tool_calls",
  "content_filter",
  "function_call"
])

const isFinish = (reason: string): reason is FinishReason => FINISHES.has(reason)

/** What this choice says, or null for a chunk without news, such as the one that only names the role. */
const deltaOf = (value: Schema.Json): Delta | RuntimeFailed | null => {
  const choice = fieldsOf(value)
  if (choice === null) return badAnswer
  const index = choice["index"] ?? 0
  if (typeof index !== "number" || !Number.isInteger(index) || index < 0) return badAnswer
  const said = fieldsOf(choice["delta"] ?? choice["message"]) ?? {}
  const text = said["content"] ?? choice["text"] ?? ""
  if (typeof text !== "string") return badAnswer
  const extra: Record<string, Schema.Json> = {}
  for (const [key, news] of Object.entries(said)) {
    if (!NOT_EXTRA.has(key) && news !== null && !(Array.isArray(news) && news.length === 0)) extra[key] = news
  }
  const logprobs = choice["logprobs"]
  if (logprobs !== undefined && logprobs !== null) extra["logprobs"] = logprobs
  const reason = choice["finish_reason"]
  if (reason === "error" || reason === "abort") return new RuntimeFailed({ code: "runtime_aborted", fault: "node" })
  const hasExtra = Object.keys(extra).length > 0
  const ends = typeof reason === "string" && reason !== ""
  if (text === "" && !hasExtra && !ends) return null
  return {
    _tag: "Delta",
    choice: index,
    text,
    ...(hasExtra ? { extra } : {}),
    ...(ends ? { finish: isFinish(reason) ? reason : ("stop" as const) } : {})
  }
}

export const usageOf = (value: Schema.Json | undefined): RuntimeChunk | null => {
  const usage = fieldsOf(value)
  if (usage === null) return null
  return {
    _tag: "Usage",
    promptTokens: natural(usage["prompt_tokens"]),
    outputTokens: natural(usage["completion_tokens"])
  }
}

const natural = (value: Schema.Json | undefined): number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0

/** An error told within the stream: the request's fault when its code is one that a bad body gets. */
const failureIn = (error: Schema.Json): RuntimeFailed => {
  const code = Number(fieldsOf(error)?.["code"])
  return statusFailure(Number.isInteger(code) ? code : 500)
}

/** Statuses by which a runtime says that the body is wrong; other 4xx speak of its own set-up or load. */
const BODY_STATUSES: ReadonlySet<number> = new Set([400, 413, 415, 422])

export const statusFailure = (status: number): RuntimeFailed =>
  new RuntimeFailed({ code: `runtime_${status}`, fault: BODY_STATUSES.has(status) ? "job" : "node" })
