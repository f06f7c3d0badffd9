/**
 * An answer as the caller wants it: with `--json` exactly what the daemon said, as one document; otherwise the few things a person looks for.
 * A command decodes only what it shows, so a daemon may say more.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { badAnswer, type CliFailed } from "./CliFailed.ts"
import type { Input } from "./Command.ts"
import { Output, type PipeClosed } from "./Output.ts"

/** The fields of an answer that a command needs. */
export const reading = <A, E>(schema: Schema.Codec<A, E>): ((answer: unknown) => Effect.Effect<A, CliFailed>) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (answer) =>
    Effect.mapError(decode(answer), () => badAnswer("The daemon's answer lacks fields. Is it of another version?"))
}

/** One JSON document on stdout. */
export const document = (value: Schema.Json): Effect.Effect<void, PipeClosed, Output> =>
  Effect.flatMap(Output, ({ write, isTerminal }) => write(`${JSON.stringify(value, null, isTerminal ? 2 : 0)}\n`))

export const show = <A, E>(schema: Schema.Codec<A, E>, text: (view: A) => string) => {
  const read = reading(schema)
  return Effect.fnUntraced(function* (input: Input, answer: Schema.Json) {
    if (input.json) return yield* document(answer)
    const view = yield* read(answer)
    return yield* (yield* Output).write(text(view))
  })
}
