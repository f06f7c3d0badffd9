/**
 * A hook that looks at what was asked and answered, once, when the job's record is closed. What it says is a flag in the record and nothing else: no
 * answer is held back for it. It gets texts, and gives codes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { OutputChoice } from "../schemas/JobRecord.ts"
import type { Outage } from "./Outage.ts"

export interface Moderated {
  /** The body as the runtime got it; null: it is not known any more. */
  readonly request: Schema.Json
  readonly choices: ReadonlyArray<OutputChoice>
}

export interface Driver {
  /** Codes of what was found, such as `violence`. */
  readonly flags: (moderated: Moderated) => Effect.Effect<ReadonlyArray<string>, Outage>
}

export class Moderation extends Context.Service<Moderation, Driver>()("resultity/layers/Moderation") {}

export const FLAGS_MAX = 20
const CODE = /^[a-z][a-z0-9_]{0,63}$/
/** A job's record waits so long for its flags, and no longer. */
const ANSWER_MAX = "1 second"

/** In order, each once, bounded, codes only. One that hangs or breaks finds nothing, and says so in the log: a job ends without it. */
export const make = (driver: Driver): Moderation["Service"] =>
  Moderation.of({
    flags: (moderated) =>
      driver.flags(moderated).pipe(
        Effect.map((found) =>
          [...new Set(found)]
            .filter((flag) => CODE.test(flag))
            .toSorted()
            .slice(0, FLAGS_MAX)
        ),
        Effect.timeoutOrElse({
          duration: ANSWER_MAX,
          orElse: () => Effect.as(Effect.logWarning("moderation did not answer"), [])
        }),
        Effect.catchTag("Outage", ({ during }) => Effect.as(Effect.logWarning("moderation is out", { during }), []))
      )
  })
