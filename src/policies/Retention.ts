/**
 * Which finished jobs leave the live records, and what the segment is called that they leave in.
 * A segment's id follows from the jobs in it: a pass that is repeated after a crash writes the same segment again.
 */
import { createHash } from "node:crypto"
import { SegmentId } from "../schemas/Archive.ts"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import type { JobId, NamespaceId } from "../schemas/Ids.ts"
import type { NamespaceRules } from "../schemas/Namespace.ts"

const DAY_MS = 86_400_000

/** Jobs that ended before this instant may leave. With no days kept, everything that has ended. */
export const finishedBefore = (now: number, rules: Pick<NamespaceRules, "retentionDays">): number =>
  now - rules.retentionDays * DAY_MS

/** The order of the ids does not matter. There is no empty segment. */
export const segmentIdOf = (namespaceId: NamespaceId, jobIds: ReadonlyArray<JobId>): SegmentId => {
  if (jobIds.length === 0) throw new Error("a segment holds at least one job")
  const named = canonicalJson({ dataClass: "jobs", namespaceId, jobIds: jobIds.toSorted() })
  return SegmentId.make(`seg_${createHash("sha256").update(named).digest("hex").slice(0, 32)}`)
}
