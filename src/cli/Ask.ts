/** The two ways in which nearly every command works: get a thing and show it, or post a change with its reason and show what came of it. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { CliFailed } from "./CliFailed.ts"
import { type Command, type Input, reasonOf } from "./Command.ts"
import { Control, type Query } from "./Control.ts"
import type { Output, PipeClosed } from "./Output.ts"

type View = (input: Input, answer: Schema.Json) => Effect.Effect<void, CliFailed | PipeClosed, Output>
type Path = (input: Input) => string

const NONE = () => ({})

export const gets =
  (path: Path, view: View, query: (input: Input) => Query = NONE): Command["run"] =>
  (input) =>
    Effect.gen(function* () {
      const control = yield* Control
      return yield* view(input, yield* control.get(path(input), query(input)))
    })

export const posts =
  (
    path: Path,
    view: View,
    body: (input: Input) => Schema.JsonObject = NONE,
    query: (input: Input) => Query = NONE
  ): Command["run"] =>
  (input) =>
    Effect.gen(function* () {
      const control = yield* Control
      const order = { ...body(input), reason: reasonOf(input) }
      return yield* view(input, yield* control.post(path(input), order, query(input)))
    })
