/** I7: what an owner that was replaced or declared dead writes changes neither row nor trace. Records know no epoch; I6 compares them with the rows. */
import type { Claim, Claimed, Finish, Guarded, Release } from "../../../src/layers/JobStore.ts"
import { isAlive } from "../../../src/layers/memory/MemoryState.ts"
import type { TraceBatch } from "../../../src/layers/Traces.ts"
import type { JobEvent } from "../../../src/schemas/JobEvent.ts"
import type { DaemonId, JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { Checker, Scene } from "../support/History.ts"

export const I07: Checker = {
  name: "I07",
  during: (call, scene) => {
    switch (call.point) {
      case "JobStore.claim":
        return onClaim(call.args[0] as Claim, call.result as Claimed, scene)
      case "JobStore.release":
      case "JobStore.finish":
        return onGuarded(call.args[0] as Finish | Release, call.result as Guarded, scene)
      case "Traces.append":
        return call.result === true ? onAppend(call.daemon, call.args[0] as TraceBatch, scene) : null
      default:
        return null
    }
  }
}

/** The history as it stood before the event that this call wrote. */
const before = ({ state }: Scene, jobId: JobId): JobEvent | undefined => state.jobs.get(jobId)?.events.at(-2)

const onClaim = (asked: Claim, claimed: Claimed, scene: Scene) => {
  if (claimed._tag !== "Claimed") return null
  const { jobId, daemonId, epochSeen, from } = asked
  const last = before(scene, jobId)
  if (last === undefined) return null
  if (isTerminal(last.to)) return `${daemonId} claimed ${jobId}, which is over`
  if (last.epoch !== epochSeen) return `${daemonId} claimed ${jobId} at epoch ${last.epoch}, having seen ${epochSeen}`
  if (!isAlive(scene.state, daemonId)) return `${daemonId} claimed ${jobId} and is dead`
  const owner = last.to === "active" ? last.daemonId : null
  const isTaken = owner !== null && owner !== daemonId && owner !== from && isAlive(scene.state, owner)
  return isTaken ? `${daemonId} claimed ${jobId} from ${owner}, who lives` : null
}

const onGuarded = (asked: Finish | Release, guarded: Guarded, scene: Scene) => {
  if (guarded._tag !== "Done") return null
  const { jobId, daemonId, epoch } = asked
  const last = before(scene, jobId)
  if (last === undefined) return null
  if (last.epoch !== epoch) return `${jobId}: a write of epoch ${epoch} took effect at epoch ${last.epoch}`
  if (last.to === "queued") return daemonId === null ? null : `${daemonId} wrote ${jobId}, which nobody owns`
  if (last.daemonId !== daemonId) return `${daemonId} wrote ${jobId}, which is ${last.daemonId}'s`
  return isAlive(scene.state, daemonId as DaemonId) ? null : `${daemonId} wrote ${jobId} and is dead`
}

/** An actor that claims its own job anew goes on with the same pieces: what it still had under way is no other's. */
const onAppend = (daemon: string, { jobId, epoch, events }: TraceBatch, { state }: Scene) => {
  const stored = state.jobs.get(jobId)
  if (stored === undefined || events.length === 0 || epoch >= stored.row.epoch) return null
  return stored.events.at(-1)?.daemonId === daemon
    ? null
    : `${jobId}: pieces of epoch ${epoch} were stored at epoch ${stored.row.epoch}`
}
