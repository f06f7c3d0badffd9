/**
 * `jobs tail`: what a job says, as it says it, until it ended. A connection that breaks is taken up again behind the last piece that was
 * shown, so nothing comes twice and nothing is left out. Leaving does not touch the job.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Sse from "effect/encoding/Sse"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { CliFailed, EXIT, type Exit, unreachable } from "../CliFailed.ts"
import { argument, type Command, type Input } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { counted } from "../Plain.ts"
import { reading } from "../Show.ts"
import { make as makeSpeech, type Speech } from "./Speech.ts"

const Pieces = Schema.fromJsonString(
  Schema.Array(
    Schema.Struct({
      seq: Schema.Finite,
      choice: Schema.Finite,
      text: Schema.String,
      extra: Schema.optionalKey(Schema.Json),
      finish: Schema.optionalKey(Schema.Json)
    })
  )
)
const End = Schema.Struct({
  state: Schema.String,
  usage: Schema.Struct({ prompt_tokens: Schema.Finite, output_tokens: Schema.Finite, total_tokens: Schema.Finite }),
  cost: Schema.String,
  error: Schema.NullOr(Schema.Struct({ code: Schema.String, message: Schema.String }))
})
type End = typeof End.Type

const readPieces = reading(Pieces)
const readEnd = reading(Schema.fromJsonString(End))

/** Broken connections in a row without news after which the daemon counts as gone: about half a minute. */
const BREAKS_MAX = 10
/** A connection that held this long was good, even if the job said nothing. */
const HELD_MS = 5_000
const PAUSE_MS = 100
const PAUSE_MAX_MS = 5_000

const pauseAfter = (breaks: number) => Duration.millis(Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** breaks))

/** Worth another connection: nobody there just now, or nobody who could answer. */
const mayPass = ({ exit }: CliFailed): boolean => exit === EXIT.unreachable || exit === EXIT.unavailable

class Tail {
  seq: number
  /** A connection stood: from then on a break is waited out. */
  met = false
  end: End | null = null
  readonly #speech: Speech

  constructor(after: number, speech: Speech) {
    this.seq = after
    this.#speech = speech
  }

  /** Until the job's end, or that of the connection. */
  follow(path: string) {
    return Effect.flatMap(Control, (control) =>
      control.events(path, this.seq).pipe(
        Stream.takeUntil(({ event }) => event === "ended" || event === "behind"),
        Stream.runForEach((event) => this.#hear(event))
      )
    )
  }

  readonly #hear = Effect.fnUntraced(function* (this: Tail, { event, data }: Sse.Event) {
    this.met = true
    if (event === "tokens") {
      const fresh = (yield* readPieces(data)).filter(({ seq }) => seq > this.seq)
      yield* this.#speech.say(fresh)
      this.seq = fresh.at(-1)?.seq ?? this.seq
    } else if (event === "ended") {
      this.end = yield* readEnd(data)
    }
  })
}

const tail = Effect.fnUntraced(function* (input: Input) {
  const out = yield* Output
  const speech = makeSpeech(out, input.json)
  const tail = new Tail(Number(input.flags.get("after") ?? 0), speech)
  const path = at("jobs", argument(input, 0), "events")
  let breaks = 0
  while (tail.end === null) {
    const [seqBefore, since] = [tail.seq, yield* Clock.currentTimeMillis]
    const failure = yield* tail.follow(path).pipe(
      Effect.as(null),
      Effect.catchTag("CliFailed", (failed) => Effect.succeed(failed))
    )
    if (tail.end !== null) break
    if (failure !== null && !(mayPass(failure) && tail.met)) return yield* failure
    tail.met = true
    const held = (yield* Clock.currentTimeMillis) - since >= HELD_MS
    breaks = held || tail.seq > seqBefore ? 0 : breaks + 1
    if (breaks > BREAKS_MAX) return yield* failure ?? unreachable("The daemon ends the connection again and again.")
    if (breaks === 1) yield* out.note("The connection is lost; trying to go on …")
    yield* Effect.sleep(pauseAfter(breaks))
  }
  yield* speech.end(tail.end)
  return yield* outcome(tail.end)
})

const EXITS: Readonly<Record<string, Exit>> = {
  cancelled: EXIT.conflict,
  timed_out: EXIT.unavailable,
  expired: EXIT.unavailable
}

/** Completed: a remark on what it cost. Otherwise the command fails with the job's code. */
const outcome = ({ state, usage, cost, error }: End): Effect.Effect<void, CliFailed, Output> =>
  state === "completed"
    ? Effect.flatMap(Output, ({ note }) =>
        note(
          `completed: ${counted(usage.prompt_tokens, "prompt token")}, ${counted(usage.output_tokens, "output token")}, ${cost} credits`
        )
      )
    : Effect.fail(
        new CliFailed({
          code: error?.code ?? state,
          message: error?.message ?? `The job ended as ${state}.`,
          exit: EXITS[state] ?? EXIT.failed
        })
      )

const isNumber = (text: string): string | null =>
  /^\d{1,15}$/.test(text) ? null : "has to be the number of a piece, 0 for all"

export const jobTail: Command = {
  path: ["jobs", "tail"],
  args: [{ name: "ID", help: "the job" }],
  flags: [{ name: "after", value: "N", help: "begin behind this piece; 0", check: isNumber }],
  summary: "a job's output as it comes, until it ended",
  notes: `With --json one line for each piece and a last one with "event":"ended". Exit code: 0 completed, 1 failed, 5 cancelled,
6 timed out or expired. Of several answers each stands behind its number: [1].`,
  examples: [
    "resultity jobs tail job_01j0example",
    "resultity jobs tail job_01j0example --json | jq -r 'select(.event == \"tokens\").text'"
  ],
  run: tail
}
