/** The options that name a place of segments, and the way from them to the place itself: every failure is what the command ends with. */
import * as Effect from "effect/Effect"
import { isOfOneBlob, open, type Place, type PlaceFailed, said } from "../../ArchivePlaces.ts"
import type { Outage } from "../../layers/Outage.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import type { Flag, Input } from "../Command.ts"
import { Env } from "../Env.ts"

export const FROM: Flag = {
  name: "from",
  value: "PLACE",
  help: "read this archive itself, without a daemon: a folder, or s3://[BUCKET/PREFIX]"
}

export const INTO: Flag = {
  name: "into",
  value: "PLACE",
  help: "the archive that gets them: a folder, made if need be, or s3://[BUCKET/PREFIX]; needed",
  needed: "the archive that gets the segments"
}

/** By the names of the daemon's own options, and by its variables. */
export const S3_FLAGS: ReadonlyArray<Flag> = [
  { name: "s3-url", value: "URL", help: "the server of s3://; S3_URL" },
  { name: "s3-bucket", value: "NAME", help: "the bucket of a bare s3://; S3_BUCKET, else resultity" },
  { name: "installation", value: "NAME", help: "its prefix; RESULTITY_INSTALLATION, else resultity" },
  { name: "s3-region", value: "NAME", help: "of the bucket; S3_REGION, else us-east-1" },
  { name: "s3-access-key", value: "KEY", help: "S3_ACCESS_KEY" },
  { name: "s3-secret-key", value: "KEY", help: "better in S3_SECRET_KEY, where other users see nothing" }
]

/** What a reader of the help would guess wrong about all of them. */
export const OFFLINE = `With --from no daemon and no database is asked: PLACE is a daemon's data/archive or a copy of it, or s3:// with the
daemon's S3 options. A segment of a later record version is refused.`

export const openPlace = (input: Input, flag: "from" | "into"): Effect.Effect<Place, CliFailed> =>
  Effect.gen(function* () {
    const env = yield* Env
    const words = S3_FLAGS.flatMap(({ name }) => {
      const value = input.flags.get(name)
      return value === undefined ? [] : [`--${name}=${value}`]
    })
    const use = flag === "from" ? "read" : "write"
    return yield* open(input.flags.get(flag) ?? "", { words, env }, use).pipe(
      Effect.mapError((failed) => closed(flag, failed))
    )
  })

const closed = (flag: string, { reason, message }: PlaceFailed): CliFailed => {
  const text = `--${flag}: ${message}`
  switch (reason) {
    case "unclear":
      return usage(text)
    case "missing":
      return new CliFailed({ code: "not_found", message: text, exit: EXIT.notFound })
    case "wrong":
      return new CliFailed({ code: "no_archive", message: text, exit: EXIT.failed })
    case "away":
      return new CliFailed({ code: "unavailable", message: `${text}. Try again.`, exit: EXIT.unavailable })
  }
}

/** When more than one blob cannot be read or written. */
export const out =
  ({ name }: Place) =>
  (outage: Outage): CliFailed =>
    isOfOneBlob(outage)
      ? new CliFailed({ code: "cannot_use", message: `${name}: ${said(outage)}`, exit: EXIT.failed })
      : new CliFailed({ code: "unavailable", message: `${name}: ${said(outage)}. Try again.`, exit: EXIT.unavailable })
