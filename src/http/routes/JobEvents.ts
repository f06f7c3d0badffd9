/**
 * A job's pieces as events from any position, also after its end. Leaving does not touch the job. The last event says how it ended, or
 * that this reader fell behind and where to go on.
 */
import * as Effect from "effect/Effect"
import { JobStreams, type JobSignal } from "../../actors/job/JobStreams.ts"
import type { Scope } from "../../layers/JobRecords.ts"
import { waitOut } from "../../layers/Outage.ts"
import { toDecimal } from "../../schemas/Credits.ts"
import type { JobId } from "../../schemas/Ids.ts"
import type { JobRow } from "../../schemas/JobState.ts"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import { type Refusal, refuse } from "../../schemas/Refusal.ts"
import { type Call, header, type KeyedCall, scopeOf } from "../Call.ts"
import * as EventStream from "../EventStream.ts"
import { errorOf } from "../JobOutcome.ts"
import { readQuery } from "../Query.ts"
import { keyed } from "../Route.ts"
import { rowOf } from "./Jobs.ts"

export const jobEvents = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const { job } = yield* rowOf(call)
    return yield* streamEvents(call, scopeOf(call), job.id)
  })
)

/** For both listeners; the caller has made sure that the scope sees the job. */
export const streamEvents = Effect.fnUntraced(function* (call: Call, scope: Scope, jobId: JobId) {
  let position = yield* positionOf(call)
  const streams = yield* JobStreams
  const stream = yield* EventStream.make(call)
  // Whatever is out with the first subscription is an ordinary answer: no such position, archived.
  const read = Effect.gen(function* () {
    const { take } = yield* streams.subscribe(scope, jobId, position)
    yield* stream.write(": following\n\n")
    while (true) {
      const signals = yield* take
      const last = signals.at(-1)
      for (const signal of signals) if (signal._tag === "Tokens") position = signal.events.at(-1)?.seq ?? position
      const text = signals.map(eventOf).join("")
      if (last?._tag === "Ended" || last?._tag === "Behind") return text
      yield* stream.write(text)
    }
  })
  return yield* stream.end(yield* waitOut(Effect.scoped(read)))
})

const positionOf = (call: Call): Effect.Effect<number, Refusal> =>
  Effect.gen(function* () {
    const { after } = yield* readQuery(call.query, ["after"])
    const given = header(call, "last-event-id") ?? after ?? "0"
    return /^\d{1,15}$/.test(given)
      ? Number(given)
      : yield* refuse("invalid_request", "Last-Event-ID and after must be the number of a piece.", { param: "after" })
  })

const eventOf = (signal: JobSignal): string => {
  switch (signal._tag) {
    case "Tokens": {
      const last = signal.events.at(-1)
      if (last === undefined) return ""
      return `event: tokens\nid: ${last.seq}\ndata: ${JSON.stringify(signal.events.map(pieceOf))}\n\n`
    }
    case "Ended":
      return `event: ended\ndata: ${JSON.stringify(endOf(signal.row))}\n\n`
    case "Behind":
      return `event: behind\ndata: {"last_seq":${signal.lastSeq}}\n\n`
  }
}

const pieceOf = ({ seq, choice, text, extra, finish }: TokenEvent) => ({ seq, choice, text, extra, finish })

const endOf = (row: JobRow) => ({
  state: row.state,
  usage: {
    prompt_tokens: row.usage.promptTokens,
    output_tokens: row.usage.outputTokens,
    total_tokens: row.usage.promptTokens + row.usage.outputTokens
  },
  cost: toDecimal(row.charged),
  error: errorOf(row)
})
