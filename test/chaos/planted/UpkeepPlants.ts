/** Bugs in the upkeep: jobs that are let go of too early, unarchived or unverified, and leaders that do not know that they are none. */
import { Context, Effect } from "effect"
import { Archive } from "../../../src/layers/Archive.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { SweeperStates } from "../../../src/layers/SweeperStates.ts"
import type { SegmentManifest } from "../../../src/schemas/Archive.ts"
import type { Plant } from "../support/Plant.ts"

type Write = Archive["Service"]["write"]

const inArchive = (name: string, write: (archive: Archive["Service"]) => Write): Plant => ({
  name,
  stores: (stores) => {
    const archive = Context.get(stores, Archive)
    const promised = new Map<string, SegmentManifest>()
    return Context.add(stores, Archive, {
      ...archive,
      write: (segment) =>
        Effect.tap(write(archive)(segment), (manifest) =>
          Effect.sync(() => void promised.set(segment.id, { ...manifest, count: segment.lines.length }))
        ),
      verify: (id) =>
        Effect.suspend(() => {
          const manifest = promised.get(id)
          return manifest === undefined ? archive.verify(id) : Effect.succeed(manifest)
        })
    })
  }
})

/** Said to be written, and nothing is. */
export const archiveNothing = inArchive(
  "prune what was not archived",
  () => (segment) => Effect.succeed({ ...segment, count: 0, bytes: 0, sha256: "", compression: "gzip" })
)

/** Written, and what comes of it on the disk is taken on trust. */
export const verifyNothing = inArchive("prune what was not verified", (archive) => archive.write)

export const lineLeftOut = inArchive(
  "leave a job out of its segment",
  (archive) => (segment) => archive.write({ ...segment, lines: segment.lines.slice(1) })
)

export const traceLeftOut: Plant = {
  name: "archive a job without its trace",
  stores: (stores) => {
    const retention = Context.get(stores, RecordRetention)
    const read: typeof retention.read = (segmentId) =>
      Effect.map(retention.read(segmentId), (jobs) => jobs.map((job) => ({ ...job, traces: [] })))
    return Context.add(stores, RecordRetention, { ...retention, read })
  }
}

export const youngOnesToo: Plant = {
  name: "let go of jobs before their time",
  stores: (stores) => {
    const retention = Context.get(stores, RecordRetention)
    const expired: typeof retention.expired = (namespaceId, _before, limit) =>
      retention.expired(namespaceId, Number.MAX_SAFE_INTEGER, limit)
    return Context.add(stores, RecordRetention, { ...retention, expired })
  }
}

/** A leader that was overtaken moves the watermark all the same. */
export const saveAnyEpoch: Plant = {
  name: "no epoch check for sweepers",
  stores: (stores, { shared }) => {
    const states = Context.get(stores, SweeperStates)
    const save: typeof states.save = (name, epoch, pass) =>
      Effect.suspend(() => states.save(name, shared.state.sweepers.get(name)?.epoch ?? epoch, pass))
    return Context.add(stores, SweeperStates, { ...states, save })
  }
}

/** Whoever leads gets the epoch that there was. */
export const leadWithoutEpoch: Plant = {
  name: "lead without a new epoch",
  stores: (stores, { shared }) => {
    const states = Context.get(stores, SweeperStates)
    const lead: typeof states.lead = (name, daemonId) =>
      Effect.suspend(() => {
        const known = shared.state.sweepers.get(name)
        if (known === undefined) return states.lead(name, daemonId)
        const led = { ...known, leader: daemonId }
        shared.state.sweepers.set(name, led)
        return Effect.succeed(led)
      })
    return Context.add(stores, SweeperStates, { ...states, lead })
  }
}
