/**
 * What stands where a body was: the request and the answer of a job that left before its metadata. It says since when, why, and the hash of what stood
 * there, so that whoever holds a copy can show that it is the one, and nobody can read it here.
 */
import * as Schema from "effect/Schema"
import { canonicalJson } from "./CanonicalJson.ts"
import { JobId, NamespaceId } from "./Ids.ts"
import { SegmentId } from "./SegmentId.ts"

/** archived: it stands in `segmentId`. dropped: by the rule of its class. unkept: its namespace keeps no payloads. erased: somebody asked for it. */
export const TombstoneCause = Schema.Literals(["archived", "dropped", "unkept", "erased"])
export type TombstoneCause = typeof TombstoneCause.Type

const Sha256 = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))

export const Tombstone = Schema.Struct({
  at: Schema.Int,
  why: TombstoneCause,
  /** Over the canonical JSON of request, choices and workflow. */
  sha256: Sha256,
  segmentId: Schema.NullOr(SegmentId)
})
export type Tombstone = typeof Tombstone.Type

/** What is left of a job whose body was erased on request; signed, so that it proves the erasure after everything else is gone. */
export const ErasureStone = Schema.Struct({
  jobId: JobId,
  namespaceId: NamespaceId,
  finishedAt: Schema.Int,
  /** Of the body as it was found; null when none was left. */
  sha256: Schema.NullOr(Sha256),
  erasedAt: Schema.Int,
  /** Ed25519 public key, raw, hexadecimal. */
  key: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  /** Over the canonical JSON of the other fields, hexadecimal. */
  signature: Schema.String.check(Schema.isPattern(/^[0-9a-f]{128}$/))
})
export type ErasureStone = typeof ErasureStone.Type

/** The bytes that the signature of a stone is over. */
export const stoneBytes = ({
  jobId,
  namespaceId,
  finishedAt,
  sha256,
  erasedAt,
  key
}: Omit<ErasureStone, "signature">) =>
  Buffer.from(canonicalJson({ jobId, namespaceId, finishedAt, sha256, erasedAt, key }))
