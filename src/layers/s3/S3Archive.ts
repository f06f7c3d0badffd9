/**
 * Segments as objects in one bucket of any S3-compatible storage. S3 shows an object once all its bytes are there, and the hash that travels
 * with them is checked over there; what the server does not confirm is read back. Keys and bucket are tried at the start: wrong ones end it
 * with a sentence, a server that is away does not, because nothing but old jobs waits for it.
 */
import { createHash } from "node:crypto"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Archive from "../Archive.ts"
import { make as makeClient, S3Failed, type S3Answer, type S3Client, type S3Config } from "./S3Client.ts"
import { readList } from "./S3Xml.ts"

export { S3Failed, type S3Config } from "./S3Client.ts"

/** Cold storage that will not work however long one waits. */
export class S3Misused extends Data.TaggedError("S3Misused")<{ readonly message: string }> {}

/** Folders and a file of plain characters: a name is a path and needs no escaping. */
const NAME = /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/
const PREFIX = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*\/?)?$/
const REGION = /^[a-z0-9-]{1,64}$/
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
/** Of one page of a list; S3 gives no more. */
const PAGE = 1000

const folderOf = ({ prefix }: S3Config): string => (prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`)

const keyOf = (config: S3Config, name: string): Effect.Effect<string> =>
  NAME.test(name)
    ? Effect.succeed(`${folderOf(config)}${name}`)
    : Effect.die(new Error(`"${name}" is no name of a blob`))

const digest = (algorithm: "sha256" | "md5", bytes: Uint8Array) => createHash(algorithm).update(bytes).digest()

const getOrNull = (client: S3Client, key: string) =>
  Effect.map(client.send({ method: "GET", key }), ({ bytes }) => bytes).pipe(
    // A bucket that is gone answers 404 too, and so does the page of a proxy: neither is the absence of one blob.
    Effect.catchIf(
      ({ code }) => code === "NoSuchKey",
      () => Effect.succeed(null)
    )
  )

/** A server need not say whether there was one. */
const removeObject = (client: S3Client, key: string) =>
  Effect.catchIf(
    Effect.asVoid(client.send({ method: "DELETE", key })),
    ({ code }) => code === "NoSuchKey",
    () => Effect.void
  )

/** The server's word that it has exactly these bytes. Not every server gives it, and an ETag need not be an MD5. */
const confirms = ({ headers }: S3Answer, sha256: Buffer, bytes: Uint8Array): boolean =>
  headers.get("x-amz-checksum-sha256") === sha256.toString("base64") ||
  headers.get("etag")?.replaceAll('"', "") === digest("md5", bytes).toString("hex")

const putWhole = Effect.fnUntraced(function* (client: S3Client, key: string, bytes: Uint8Array) {
  const sha256 = digest("sha256", bytes)
  const answer = yield* client.send({
    method: "PUT",
    key,
    body: Uint8Array.from(bytes),
    headers: {
      "content-type": key.endsWith(".json") ? "application/json" : "application/octet-stream",
      // Signed: the server refuses a body that hashes to anything else.
      "x-amz-content-sha256": sha256.toString("hex"),
      "x-amz-checksum-sha256": sha256.toString("base64")
    }
  })
  if (confirms(answer, sha256, bytes)) return
  const stored = yield* getOrNull(client, key)
  if (stored !== null && digest("sha256", stored).equals(sha256)) return
  const what = stored === null ? "nothing" : `${stored.byteLength} other bytes`
  return yield* broken(`the S3 server took ${bytes.byteLength} bytes for ${key} and gave back ${what}`)
})

const broken = (message: string) => new S3Failed({ message, passing: false, status: null, code: null })

const listPage = Effect.fnUntraced(function* (client: S3Client, prefix: string, from: string | null, max: number) {
  const { bytes } = yield* client.send({
    method: "GET",
    key: null,
    query: {
      "list-type": "2",
      prefix,
      "max-keys": String(max),
      ...(from === null ? {} : { "continuation-token": from })
    }
  })
  const page = readList(Buffer.from(bytes).toString("utf8"))
  return page ?? (yield* broken("the S3 server answered a list with something else"))
})

const listNames = Effect.fnUntraced(function* (client: S3Client, prefix: string) {
  const folder = folderOf(client.config)
  const names: Array<string> = []
  const seen = new Set<string>()
  let from: string | null = null
  do {
    const page: { readonly keys: ReadonlyArray<string>; readonly next: string | null } = yield* listPage(
      client,
      `${folder}${prefix}`,
      from,
      PAGE
    )
    for (const key of page.keys) names.push(key.slice(folder.length))
    from = page.next
    if (from !== null && seen.has(from)) return yield* broken("the S3 server lists the same page again and again")
    if (from !== null) seen.add(from)
  } while (from !== null)
  return names.toSorted()
})

const attempt = <A>(during: string, effect: Effect.Effect<A, S3Failed>) =>
  Effect.mapError(effect, Archive.outage(during))

export const driver = (client: S3Client): Archive.Driver => ({
  put: (name, bytes) =>
    Effect.flatMap(keyOf(client.config, name), (key) => attempt("put", putWhole(client, key, bytes))),
  get: (name) => Effect.flatMap(keyOf(client.config, name), (key) => attempt("get", getOrNull(client, key))),
  remove: (name) => Effect.flatMap(keyOf(client.config, name), (key) => attempt("remove", removeObject(client, key))),
  names: (prefix) => attempt("names", listNames(client, prefix))
})

/** Asked before the first request: a sentence of what cannot be right, or null. */
const wrongIn = ({ url, bucket, region, prefix }: S3Config): string | null => {
  if (!URL.canParse(url)) return `"${url}" is not the URL of an S3 server`
  if (!BUCKET.test(bucket)) return `"${bucket}" cannot be the name of a bucket`
  if (!REGION.test(region)) return `"${region}" cannot be the name of a region`
  return PREFIX.test(prefix) ? null : `"${prefix}" cannot be a folder of a bucket`
}

const createBucket = ({ config, send }: S3Client) => {
  const body =
    config.region === "us-east-1"
      ? undefined
      : `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${config.region}</LocationConstraint></CreateBucketConfiguration>`
  return Effect.catchIf(
    Effect.asVoid(
      send({ method: "PUT", key: null, ...(body === undefined ? {} : { body: Uint8Array.from(Buffer.from(body)) }) })
    ),
    // Another daemon was faster.
    ({ code }) => code === "BucketAlreadyOwnedByYou",
    () => Effect.void
  )
}

const look = (client: S3Client) => Effect.asVoid(listPage(client, folderOf(client.config), null, 1))

/** Tries the keys on the bucket, and makes it if that is wished. */
const open = (client: S3Client) => {
  const ready =
    client.config.createBucket === true
      ? Effect.catchIf(
          look(client),
          ({ code }) => code === "NoSuchBucket",
          () => createBucket(client)
        )
      : look(client)
  return Effect.catch(ready, (failed) =>
    failed.passing
      ? Effect.logWarning("cold storage is away; the daemon starts without it", { why: failed.message })
      : Effect.fail(new S3Misused({ message: failed.message }))
  )
}

const clientOf = (config: S3Config): Effect.Effect<S3Client, S3Misused> => {
  const wrong = wrongIn(config)
  return wrong === null ? Effect.sync(() => makeClient(config)) : Effect.fail(new S3Misused({ message: wrong }))
}

/** For whoever cannot go on without it: the blobs of a bucket that has answered. */
export const reach = Effect.fnUntraced(function* (config: S3Config) {
  const client = yield* clientOf(config)
  yield* look(client)
  return driver(client)
})

export const layer = (config: S3Config) =>
  Layer.effect(
    Archive.Archive,
    Effect.gen(function* () {
      const client = yield* clientOf(config)
      yield* open(client)
      return Archive.make(driver(client))
    })
  )
