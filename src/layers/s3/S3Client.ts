/**
 * Signed requests to one bucket, path-style: so many at a time, each with a time limit, tried again when the server may only be busy. What is
 * answered in the end is given as it is; a server that answers nothing useful is an `S3Failed`, whose message an operator can act on.
 * Signing needs the real time whatever clock the program runs on, so the signer takes it itself.
 */
import { AwsClient } from "aws4fetch"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { readErrorCode } from "./S3Xml.ts"

export interface S3Config {
  /** `https://s3.eu-central-1.amazonaws.com`, `http://minio:9000`. */
  readonly url: string
  readonly bucket: string
  readonly region: string
  readonly accessKey: string
  readonly secretKey: Redacted.Redacted
  /** Folder within the bucket; empty: the bucket is ours alone. */
  readonly prefix: string
  /** Makes the bucket when it is not there. Otherwise that is an error of whoever set the archive up. */
  readonly createBucket?: boolean
  /** Patience with one request, answer included. */
  readonly requestMs?: number
  /** Further tries of a request that found the server busy or away. */
  readonly retries?: number
}

export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE"
  /** Below the bucket; null: the bucket itself. */
  readonly key: string | null
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
}

export interface S3Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array
}

/** Why a request came to nothing. */
export class S3Failed extends Data.TaggedError("S3Failed")<{
  readonly message: string
  /** Another try a moment later may succeed. Otherwise the server said what is wrong with how it is used: keys, bucket, region. */
  readonly passing: boolean
  /** Of the answer; null: there was none. */
  readonly status: number | null
  /** S3's word for it: `NoSuchKey`. */
  readonly code: string | null
  readonly cause?: unknown
}> {}

export interface S3Client {
  readonly config: S3Config
  /** Answers of 2xx only. */
  readonly send: (request: S3Request) => Effect.Effect<S3Answer, S3Failed>
}

/** Requests under way at a time. */
const REQUESTS_MAX = 8
const REQUEST_MS = 30_000
const RETRIES = 3

const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")]).pipe(Schedule.jittered)

export const make = (config: S3Config): S3Client => {
  const client = new AwsClient({
    accessKeyId: config.accessKey,
    secretAccessKey: Redacted.value(config.secretKey),
    service: "s3",
    region: config.region,
    retries: 0
  })
  const permits = Semaphore.makeUnsafe(REQUESTS_MAX)
  const requestMs = config.requestMs ?? REQUEST_MS
  const send = (request: S3Request) =>
    Effect.tryPromise({
      try: (signal) => exchange(client, config, request, signal),
      catch: (cause) => unanswered(config, cause)
    }).pipe(
      Effect.timeoutOrElse({
        duration: requestMs,
        orElse: () => Effect.fail(unanswered(config, new Error(`no answer within ${requestMs} ms`)))
      }),
      Effect.filterOrFail(isGood, (answer) => refused(config, answer)),
      Semaphore.withPermit(permits),
      Effect.retry({ schedule: backoff, times: config.retries ?? RETRIES, while: ({ passing }) => passing })
    )
  return { config, send }
}

const isGood = ({ status }: S3Answer): boolean => status >= 200 && status < 300

const urlOf = ({ url, bucket }: S3Config, { key, query }: S3Request): string => {
  const target = new URL(`${url.replace(/\/+$/, "")}/${bucket}${key === null ? "" : `/${key}`}`)
  for (const [name, value] of Object.entries(query ?? {})) target.searchParams.set(name, value)
  return target.href
}

const exchange = async (
  client: AwsClient,
  config: S3Config,
  request: S3Request,
  signal: AbortSignal
): Promise<S3Answer> => {
  const response = await client.fetch(urlOf(config, request), {
    method: request.method,
    headers: { ...request.headers },
    signal,
    // A redirect names another region's server, for which the signature is wrong.
    redirect: "manual",
    ...(request.body === undefined ? {} : { body: request.body })
  })
  return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) }
}

const unanswered = ({ url }: S3Config, cause: unknown): S3Failed =>
  new S3Failed({
    message: `the S3 server at ${url} does not answer: ${reasonOf(cause)}`,
    passing: true,
    status: null,
    code: null,
    cause
  })

/** `fetch failed` says nothing; what it wraps does. */
const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause instanceof Error ? reasonOf(cause.cause) : cause.message
}

const KEYS = new Set([
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "AccessDenied",
  "InvalidToken",
  "XAdminUserNotFound"
])
const REGION = new Set(["AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect"])
/** Some of these come with a 400. */
const BUSY = new Set(["RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted"])

const refused = (config: S3Config, { status, bytes }: S3Answer): S3Failed => {
  const code = readErrorCode(Buffer.from(bytes.subarray(0, 65_536)).toString("utf8"))
  const passing = status >= 500 || status === 429 || status === 408 || (code !== null && BUSY.has(code))
  const explained = (passing ? null : explain(config, status, code)) ?? `the S3 server at ${config.url} refuses`
  return new S3Failed({
    message: `${explained} (${status}${code === null ? "" : ` ${code}`})`,
    passing,
    status,
    code
  })
}

const explain = ({ url, bucket, region }: S3Config, status: number, code: string | null): string | null => {
  if (code === "NoSuchBucket") return `there is no bucket "${bucket}" at ${url}: create it, or name another (S3_BUCKET)`
  if (status >= 300 && status < 400) return `the bucket "${bucket}" is not in region ${region} (S3_REGION) of ${url}`
  if (code !== null && REGION.has(code))
    return `the bucket "${bucket}" is not in region ${region} (S3_REGION) of ${url}`
  if (code === "RequestTimeTooSkewed") return `the clock of this machine and that of ${url} differ too much`
  if (status === 401 || status === 403 || (code !== null && KEYS.has(code))) {
    return `the S3 server at ${url} refuses the keys (S3_ACCESS_KEY, S3_SECRET_KEY) for the bucket "${bucket}"`
  }
  return null
}
