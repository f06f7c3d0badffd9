/**
 * Examines a bucket as the archive would use it: puts one small object of its own, reads it back and takes it away again. Taking away is no part of a daemon's
 * work, so keys that may not are only told.
 */
import { randomBytes } from "node:crypto"
import { AwsClient } from "aws4fetch"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import {
  ask,
  bad,
  type Check,
  clock,
  examined,
  type Finding,
  good,
  speed,
  unanswered,
  type Unanswered,
  warning
} from "../Diagnosis.ts"
import { readErrorCode, readList } from "./S3Xml.ts"

export interface S3DiagnosisOptions {
  readonly url: string
  readonly bucket: string
  readonly region: string
  readonly accessKey: string
  readonly secretKey: Redacted.Redacted
  /** Folder within the bucket. */
  readonly prefix: string
}

const SERVER = "S3"
/** The date of an answer has whole seconds. */
const DATE_WITHIN_MS = 500

const CHECK_URL = "Check S3_URL, and that the server runs."

interface Answer {
  readonly status: number
  readonly text: string
  readonly date: string
}

type Send = (method: "GET" | "PUT" | "DELETE", path: string, body?: string) => Effect.Effect<Answer, Unanswered>

const sendTo = ({ url, bucket, region, accessKey, secretKey }: S3DiagnosisOptions): Send => {
  const client = new AwsClient({
    accessKeyId: accessKey,
    secretAccessKey: Redacted.value(secretKey),
    service: "s3",
    region,
    retries: 0
  })
  const base = `${url.replace(/\/+$/, "")}/${bucket}`
  return (method, path, body) =>
    ask(async (signal) => {
      const answer = await client.fetch(`${base}${path}`, {
        method,
        signal,
        redirect: "manual",
        ...(body === undefined ? {} : { body })
      })
      return { status: answer.status, text: await answer.text(), date: answer.headers.get("date") ?? "" }
    })
}

const isGood = ({ status }: Answer): boolean => status >= 200 && status < 300

const told = ({ status, text }: Answer): string => {
  const code = readErrorCode(text)
  return code === null ? `it answers ${status}` : `it answers ${status} ${code}`
}

export const diagnose = (options: S3DiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> => {
  const send = sendTo(options)
  const list = `?list-type=2&max-keys=1&prefix=${encodeURIComponent(`${options.prefix}/`)}`
  // Whatever it answers: what it says against the keys is the next check's.
  const first = send("GET", list)
  return examined(SERVER, { todo: CHECK_URL, open: first }, (answer) => [
    { what: "reachable", todo: CHECK_URL, verdict: speed(send("GET", list)) },
    { what: "clock", todo: CHECK_URL, verdict: clock(timeOf(send, list), DATE_WITHIN_MS) },
    { what: "bucket", todo: CHECK_URL, verdict: Effect.sync(() => bucket(options, answer)) },
    ...(isGood(answer) ? [object(send, options)] : [])
  ])
}

const timeOf = (send: Send, list: string) =>
  Effect.flatMap(send("GET", list), ({ date }) =>
    Option.match(DateTime.make(date), {
      onNone: () => Effect.fail(unanswered("its answers have no date")),
      onSome: (time) => Effect.succeed(DateTime.toEpochMillis(time) + DATE_WITHIN_MS)
    })
  )

const bucket = ({ bucket, region }: S3DiagnosisOptions, answer: Answer) => {
  if (isGood(answer)) {
    return readList(answer.text) === null
      ? bad(
          "it answers a list with something else",
          "S3_URL leads to something that is no S3 server: a proxy, a console."
        )
      : good(`${bucket} is there, and the keys may list it`)
  }
  const code = readErrorCode(answer.text)
  if (code === "NoSuchBucket") return bad(told(answer), `Create the bucket ${bucket}, or name another (S3_BUCKET).`)
  if (code === "RequestTimeTooSkewed")
    return bad(told(answer), "Set the clock that is wrong; requests are signed with the time.")
  if (answer.status === 401 || answer.status === 403) {
    return bad(told(answer), `Check S3_ACCESS_KEY and S3_SECRET_KEY, and that they may list, put and get in ${bucket}.`)
  }
  return bad(told(answer), `Check S3_BUCKET (${bucket}) and S3_REGION (${region}).`)
}

const object = (send: Send, { prefix, bucket }: S3DiagnosisOptions): Check => ({
  what: "object",
  todo: `Let the keys put and get objects in ${bucket}.`,
  verdict: Effect.gen(function* () {
    const word = randomBytes(8).toString("hex")
    const path = `/${prefix}/doctor-${word}`
    const todo = `Let the keys put and get objects under ${prefix}/ in ${bucket}.`
    const put = yield* send("PUT", path, word)
    if (!isGood(put)) return bad(`an object cannot be put: ${told(put)}`, todo)
    const got = yield* send("GET", path)
    const deleted = yield* send("DELETE", path)
    if (!isGood(got)) return bad(`an object cannot be read: ${told(got)}`, todo)
    if (got.text !== word) {
      return bad("an object comes back changed", "Look at what stands between: a proxy, a cache, an encryption.")
    }
    return isGood(deleted)
      ? good("one was put, read and deleted")
      : warning(
          `one was put and read, and stays: ${told(deleted)}`,
          `Delete ${prefix}/doctor-${word} yourself; daemons delete nothing there and do not need to.`
        )
  })
})
