/** Long work of a daemon, from the order until its end: how far it is stands on stderr, and ctrl-C leaves it running. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CliFailed, EXIT } from "../CliFailed.ts"
import type { Flag, Input } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { document, reading } from "../Show.ts"
import { lineOf } from "./Progress.ts"

export const Work = Schema.Struct({
  id: Schema.String,
  kind: Schema.String,
  by: Schema.String,
  state: Schema.String,
  startedAt: Schema.Finite,
  endedAt: Schema.NullOr(Schema.Finite),
  progress: Schema.Struct({
    done: Schema.Finite,
    total: Schema.NullOr(Schema.Finite),
    unit: Schema.String,
    bytes: Schema.Finite
  }),
  perSecond: Schema.Finite,
  leftMs: Schema.NullOr(Schema.Finite),
  result: Schema.NullOr(Schema.Json),
  error: Schema.NullOr(Schema.String)
})

const read = reading(Schema.Struct({ work: Work }))

export const NO_WAIT: Flag = { name: "no-wait", help: "only begin it" }

const LOOK_EVERY = "200 millis"

/** What the work made; with `--no-wait` only that it began, as null. */
export const follow = Effect.fnUntraced(function* (input: Input, answer: Schema.Json) {
  const [control, { status, note, write }] = [yield* Control, yield* Output]
  let { work } = yield* read(answer)
  if (input.flags.has("no-wait")) {
    yield* input.json ? document(answer) : write(`${work.id} runs. How far it is: resultity works list\n`)
    return null
  }
  const look = Effect.gen(function* () {
    while (work.state === "running") {
      yield* status(lineOf({ ...work.progress, perSecond: work.perSecond, leftMs: work.leftMs }))
      yield* Effect.sleep(LOOK_EVERY)
      work = (yield* read(yield* control.get(at("works", work.id)))).work
    }
  })
  yield* look.pipe(
    Effect.onInterrupt(() => note(`${work.id} goes on. To end it: resultity works cancel ${work.id}`)),
    Effect.ensuring(status(null))
  )
  if (work.state === "done") return work.result
  const code = work.state === "cancelled" ? "cancelled" : "failed"
  const message = work.error ?? `${work.id} was cancelled.`
  return yield* new CliFailed({ code, message, exit: EXIT.failed })
})
