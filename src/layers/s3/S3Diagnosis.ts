/** What stands in the way of cold storage in this bucket. Writes one small object, always the same, and reads it back. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { failure, type Finding, judgeSkew, looked, ok } from "../Diagnosis.ts"
import { make, type S3Config } from "./S3Client.ts"

const SUBJECT = "S3"
const TEXT = "resultity doctor\n"

export const diagnose = (config: S3Config): Effect.Effect<ReadonlyArray<Finding>> =>
  looked(
    SUBJECT,
    "Check S3_URL, S3_BUCKET (it has to be there), S3_REGION and the keys, and that they may write and list.",
    Effect.gen(function* () {
      const client = make({ ...config, retries: 0 })
      const key = `${config.prefix}/doctor.txt`
      yield* client.send({ method: "PUT", key, body: new Uint8Array(Buffer.from(TEXT)) })
      const { bytes, headers } = yield* client.send({ method: "GET", key })
      const now = yield* Clock.currentTimeMillis
      const date = DateTime.make(headers.get("date") ?? "")
      return [
        Buffer.from(bytes).toString() === TEXT
          ? ok(SUBJECT, `an object in ${config.bucket} comes back as it was written`)
          : failure(
              SUBJECT,
              `an object in ${config.bucket} comes back changed`,
              "Look at what stands between: a proxy, an encryption."
            ),
        // The header has whole seconds.
        ...(Option.isNone(date) ? [] : [judgeSkew(SUBJECT, date.value.epochMilliseconds + 500 - now)])
      ]
    })
  )
