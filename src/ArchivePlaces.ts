/**
 * Where segments stand, for whoever has no daemon: a folder, or a bucket as the daemon's own S3 options name it. Opening changes nothing there;
 * a place that is none, or that does not answer, is told in one sentence.
 */
import { readdir, stat } from "node:fs/promises"
import { join, resolve } from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { readOptions } from "./DaemonOptions.ts"
import type { Driver } from "./layers/Archive.ts"
import * as FileArchive from "./layers/files/FileArchive.ts"
import type { Outage } from "./layers/Outage.ts"
import * as S3Archive from "./layers/s3/S3Archive.ts"

export interface Place {
  /** As a person would say it; two places of one name are the same. */
  readonly name: string
  readonly driver: Driver
}

export class PlaceFailed extends Data.TaggedError("PlaceFailed")<{
  /** unclear: what was asked for cannot be. missing: there is nothing. wrong: there is something else. away: another try may succeed. */
  readonly reason: "unclear" | "missing" | "wrong" | "away"
  readonly message: string
}> {}

/** Options of the daemon that lead to its bucket; the words are those of its command line, `--s3-url=…`. */
export interface S3Words {
  readonly words: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string | undefined>>
}

const S3 = "s3://"
/** Nothing else of the surroundings matters here, and a mistake in it is the daemon's business. */
const VARIABLES = [
  "S3_URL",
  "S3_BUCKET",
  "S3_REGION",
  "S3_ACCESS_KEY",
  "S3_SECRET_KEY",
  "RESULTITY_INSTALLATION"
] as const

/** `s3://` is the daemon's own bucket and prefix, `s3://BUCKET/PREFIX` another one on its server; everything else is a folder. */
export const open = (text: string, s3: S3Words, use: "read" | "write"): Effect.Effect<Place, PlaceFailed> =>
  text.startsWith(S3) ? openBucket(text.slice(S3.length), s3) : openFolder(resolve(text), use)

/** Whether another blob may still be had when this one could not. */
export const isOfOneBlob = ({ cause }: Outage): boolean => !(cause instanceof S3Archive.S3Failed && cause.passing)

/** Why, in a few words. */
export const said = ({ cause }: Outage): string => (cause instanceof Error ? cause.message : String(cause))

const fail = (reason: PlaceFailed["reason"], message: string) => Effect.fail(new PlaceFailed({ reason, message }))

const openBucket = (path: string, { words, env }: S3Words): Effect.Effect<Place, PlaceFailed> =>
  Effect.gen(function* () {
    const own = Object.fromEntries(VARIABLES.map((name) => [name, env[name]]))
    const options = readOptions(words, own)
    if (Result.isFailure(options)) return yield* fail("unclear", options.failure)
    if (options.success === "help" || options.success.s3Url === null) {
      return yield* fail("unclear", `${S3}${path} needs the server's address: --s3-url (S3_URL)`)
    }
    const { s3Url, s3Bucket, s3Region, s3AccessKey, s3SecretKey, installation } = options.success
    const [bucket = "", ...folders] = path === "" ? [s3Bucket, installation] : path.split("/")
    const prefix = folders.join("/").replace(/\/+$/, "")
    const driver = yield* S3Archive.reach({
      url: s3Url,
      bucket,
      region: s3Region,
      accessKey: s3AccessKey ?? "",
      secretKey: Redacted.make(s3SecretKey ?? ""),
      prefix
    }).pipe(
      Effect.catchTags({
        S3Misused: ({ message }) => fail("unclear", message),
        S3Failed: ({ message, passing }) => fail(passing ? "away" : "wrong", message)
      })
    )
    return { name: `${S3}${bucket}/${prefix} at ${s3Url}`, driver }
  })

const openFolder = (root: string, use: "read" | "write"): Effect.Effect<Place, PlaceFailed> =>
  Effect.tryPromise({
    try: () => look(root),
    catch: (cause) => new PlaceFailed({ reason: "wrong", message: cause instanceof Error ? cause.message : root })
  }).pipe(
    Effect.flatMap((found) => {
      const place = { name: root, driver: FileArchive.driver(root) }
      if (found === "archive" || found === "empty") return Effect.succeed(place)
      if (found === null) {
        return use === "write" ? Effect.succeed(place) : fail("missing", `there is no folder ${root}`)
      }
      return fail("wrong", `${root} is no archive: it holds no folder "segments"${found.hint}`)
    })
  )

type Found = "archive" | "empty" | { readonly hint: string } | null

const look = async (root: string): Promise<Found> => {
  const kind = await kindOf(root)
  if (kind === null) return null
  if (kind === "file") return { hint: "; it is a file" }
  const names = await readdir(root)
  for (const folder of ["segments", "snapshots"]) {
    if ((await kindOf(join(root, folder))) === "folder") return "archive"
  }
  if (names.some((name) => /^seg_.*\.(?:manifest\.json|ndjson\.gz)$/.test(name)))
    return { hint: "; name the one above" }
  if (names.includes("archive")) return { hint: `; is it ${join(root, "archive")}?` }
  return names.length === 0 ? "empty" : { hint: "" }
}

const kindOf = async (path: string): Promise<"folder" | "file" | null> => {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file"
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
    throw cause
  }
}
