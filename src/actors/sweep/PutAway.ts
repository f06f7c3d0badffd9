/**
 * A batch into the archive, so that it may be let go: written if it is not there yet, read back, and never written again from what is left of a batch that
 * was let go in part. A segment that is broken stops everything and becomes an incident.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Archive, BrokenSegment, NewSegment } from "../../layers/Archive.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import { Outage } from "../../layers/Outage.ts"
import { IncidentId } from "../../schemas/Ids.ts"

export interface PutAwayHouse {
  readonly archive: Archive["Service"]
  readonly incidents: Incidents["Service"]
}

/** A segment that nobody wrote yet. Only after it was verified is anything of it deleted, so all of the batch is still there. */
const NEVER_WRITTEN = "has no manifest"

/**
 * @param isWhole all that the segment's name stands for is in `segment`: then a broken one is written again
 * Afterwards the segment is verified.
 */
export const putAway = (house: PutAwayHouse, segment: NewSegment, isWhole: boolean): Effect.Effect<void, Outage> =>
  Effect.gen(function* () {
    const { archive } = house
    const verify = archive.verify(segment.id)
    const write = Effect.andThen(archive.write(segment), verify)
    const kept = Effect.catchTag(verify, "BrokenSegment", (broken) =>
      broken.why === NEVER_WRITTEN ? write : Effect.fail(broken)
    )
    yield* (isWhole ? write : kept).pipe(
      // More than is left: a segment that holds less than the batch is none of it.
      Effect.flatMap(({ count }) =>
        count < segment.lines.length
          ? Effect.fail(
              new Outage({ of: "Archive", during: "verify", cause: `${count} of ${segment.lines.length} lines` })
            )
          : Effect.void
      ),
      Effect.catchTag("BrokenSegment", (broken) => stopFor(house, broken))
    )
  })

const DAY_MS = 86_400_000

/** Nothing is deleted on the strength of a broken segment; the next pass tries again. One segment is one incident a day, however many passes find it. */
const stopFor = ({ incidents }: PutAwayHouse, { segmentId, why }: BrokenSegment) =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    const incident = {
      id: IncidentId.make(`incident_${segmentId}_${Math.floor(at / DAY_MS)}`),
      kind: "warning" as const,
      type: "archive_broken",
      severity: "high" as const,
      subject: "sweeper/retention",
      stage: "verify",
      jobId: null,
      nodeId: null,
      namespaceId: null,
      observed: { segmentId, why },
      expected: null,
      at
    }
    yield* incidents.raise([incident])
    return yield* new Outage({ of: "Archive", during: "verify", cause: why })
  })
