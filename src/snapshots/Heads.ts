/** The heads of snapshots in cold storage: how many there are, and what each says of itself. A head is a note for finding; what counts is in the blocks. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CID } from "multiformats/cid"
import type { Driver } from "../layers/Archive.ts"
import type { Outage } from "../layers/Outage.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { refuse } from "../schemas/Refusal.ts"
import { SnapshotHead } from "../schemas/Snapshot.ts"
import { BrokenSnapshot } from "./Blocks.ts"

const FOLDER = "snapshots/"
const NAME = /^snapshots\/([1-9][0-9]{0,8})\.json$/

export const headName = (number: number): string => `${FOLDER}${number}.json`

export const snapshotNotFound = refuse("not_found", "There is no such snapshot.")

/** Ascending. */
export const numbers = (blobs: Driver): Effect.Effect<ReadonlyArray<number>, Outage> =>
  Effect.map(blobs.names(FOLDER), (names) =>
    names.flatMap((name) => Number(NAME.exec(name)?.[1] ?? 0) || []).toSorted((one, other) => one - other)
  )

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(SnapshotHead))

/** null: there is no such snapshot. */
export const read = (blobs: Driver, number: number): Effect.Effect<SnapshotHead | null, BrokenSnapshot | Outage> =>
  Effect.flatMap(blobs.get(headName(number)), (bytes) => {
    if (bytes === null) return Effect.succeed(null)
    const head = decode(Buffer.from(bytes).toString("utf8"))
    if (Result.isSuccess(head) && head.success.number === number) return Effect.succeed(head.success)
    return Effect.fail(new BrokenSnapshot({ block: null, table: headName(number), why: "is not as it was written" }))
  })

export const write = (blobs: Driver, head: SnapshotHead): Effect.Effect<void, Outage> =>
  blobs.put(headName(head.number), Buffer.from(`${canonicalJson({ ...head })}\n`))

export const cidIn = (text: string): CID => CID.parse(text)
