/**
 * I8: one sweeper at a time: the broker lets one daemon stand, each lead has a newer epoch, and only the newest may save. Nothing is pruned that does not
 * stand whole in a verified segment, and at the end archived + live = created, each job once and word for word.
 */
import { createHash } from "node:crypto"
import { gunzipSync } from "node:zlib"
import type * as MemoryRecords from "../../../src/layers/memory/MemoryRecords.ts"
import type { SweeperState } from "../../../src/layers/SweeperStates.ts"
import type { Call, Checker, Scene } from "../support/History.ts"
import { lineOf, withoutReceipt } from "../support/Upkeep.ts"

export const makeI08 = (): Checker => {
  const epochs = new Map<string, number>()
  return {
    name: "I08",
    points: ["SweeperStates.lead", "SweeperStates.save", "RecordRetention.prune", "Transport.lead"],
    during: (call, scene) => {
      switch (call.point) {
        case "SweeperStates.lead":
          return onLead(call, epochs)
        case "SweeperStates.save":
          return onSave(call, scene)
        case "RecordRetention.prune":
          return Number(call.result) > 0 ? (losses(scene)[0] ?? null) : null
        default:
          return onStanding(call)
      }
    },
    atEnd: (scene) => [...losses(scene), ...leftovers(scene)]
  }
}

const onLead = ({ result, daemon }: Call, epochs: Map<string, number>) => {
  const { name, epoch } = result as SweeperState
  const before = epochs.get(name) ?? 0
  epochs.set(name, epoch)
  return epoch > before ? null : `${daemon} leads ${name} with epoch ${epoch}, ${before} was taken`
}

const onSave = ({ args, result, daemon }: Call, { state }: Scene) => {
  if (result !== true) return null
  const [name, epoch] = args as readonly [string, number]
  const { leader, epoch: newest } = state.sweepers.get(name) ?? { leader: null, epoch: 0 }
  if (epoch !== newest) return `${daemon} saved ${name} with epoch ${epoch}, ${newest} is the newest`
  return leader === daemon ? null : `${daemon} saved ${name}, which ${leader} leads`
}

/** Daemons that hold a candidacy of one sweeper which the broker counts as theirs. */
const onStanding = ({ args, result }: Call) => {
  const standing = result as ReadonlyArray<string>
  return standing.length > 1 ? `${standing.join(" and ")} lead ${String(args[0])} at once` : null
}

/** Lines of every segment that is as its manifest says, by job. */
const archivedIn = ({ blobs }: MemoryRecords.State): ReadonlyMap<string, ReadonlyArray<string>> => {
  const lines = new Map<string, Array<string>>()
  for (const [name, bytes] of blobs) {
    const id = /^segments\/(.+)\.ndjson\.gz$/.exec(name)?.[1]
    const manifest = blobs.get(`segments/${id}.manifest.json`)
    if (id === undefined || manifest === undefined) continue
    const { sha256 } = JSON.parse(Buffer.from(manifest).toString("utf8")) as {
      readonly sha256: string
    }
    if (createHash("sha256").update(bytes).digest("hex") !== sha256) continue
    for (const line of gunzipSync(bytes).toString("utf8").split("\n")) {
      if (line === "") continue
      const { record } = JSON.parse(line) as { readonly record: { readonly jobId: string } }
      lines.set(record.jobId, [...(lines.get(record.jobId) ?? []), withoutReceipt(line)])
    }
  }
  return lines
}

const losses = ({ history, records }: Scene): ReadonlyArray<string> => {
  if (history.kept.size === 0) return []
  const archived = archivedIn(records)
  const found: Array<string> = []
  for (const [jobId, line] of history.kept) {
    const stored = records.records.get(jobId)
    const lines = archived.get(jobId) ?? []
    if (stored === undefined && lines.length === 0) found.push(`${jobId} was pruned and stands in no whole segment`)
    if (stored === undefined && lines.length > 1) found.push(`${jobId} stands in ${lines.length} segments`)
    if (stored === undefined && lines.some((one) => one !== line)) found.push(`${jobId} was archived as something else`)
    if (stored === undefined && !history.aged.has(jobId)) found.push(`${jobId} was let go before its time`)
    // Of what is on its way out, all that counts stands in the segment already.
    const isKept = stored === undefined || (stored.mark !== null && lines.includes(line))
    if (!isKept && lineOf(records, stored) !== line) found.push(`${jobId} was changed while it was kept`)
  }
  return found
}

/** What is in a segment is not live as well once the sweeper has come by without trouble. */
const leftovers = ({ history, records, keepsForEver }: Scene): ReadonlyArray<string> => {
  if (history.kept.size === 0 || keepsForEver) return []
  return [...history.aged].flatMap((jobId) =>
    records.records.has(jobId) ? [`${jobId} is past its retention and still live`] : []
  )
}
