/**
 * I7: what an owner that was replaced or declared dead writes changes neither row, nor trace, nor record; and a job is taken from an owner that lives only
 * by a daemon that this owner sent it to, or that the job's node came back to.
 */
import type { Claim, Claimed, Finish, Guarded, Release } from "../../../src/layers/JobStore.ts"
import type { Change } from "../../../src/layers/JobRecords.ts"
import { isAlive } from "../../../src/layers/memory/MemoryState.ts"
import type { TraceBatch } from "../../../src/layers/Traces.ts"
import type { Target } from "../../../src/layers/Transport.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import type { JobEvent } from "../../../src/schemas/JobEvent.ts"
import type { DaemonId, JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { AgentFrameOf, Call, Checker, Scene } from "../support/History.ts"

export const makeI07 = (): Checker => {
  const invited = new Set<string>()
  const fenced = new Map<string, number>()
  return { name: "I07", points: POINTS, during: (call, scene) => look(call, scene, invited, fenced) }
}

const POINTS = [
  "JobStore.claim",
  "JobStore.release",
  "JobStore.finish",
  "Traces.append",
  "Traces.fence",
  "JobRecords.patch",
  "Transport.publish",
  "Frame.Holding"
]

const look = (call: Call, scene: Scene, invited: Set<string>, fenced: Map<string, number>): string | null => {
  switch (call.point) {
    case "Transport.publish":
      return onPublish(call.args[0] as Target, call.args[1] as Envelope, invited)
    case "Frame.Holding":
      return onHolding(call, invited)
    case "JobStore.claim":
      return onClaim(call.args[0] as Claim, call.result as Claimed, scene, invited)
    case "JobStore.release":
    case "JobStore.finish":
      return onGuarded(call.args[0] as Finish | Release, call.result as Guarded, scene)
    case "Traces.append":
      return call.result === true ? onAppend(call.daemon, call.args[0] as TraceBatch, scene, fenced) : null
    case "Traces.fence":
      return onFence(call.args[0] as JobId, call.args[1] as number, fenced)
    case "JobRecords.patch":
      return call.result === "done" ? onPatch(call.args[0] as Change, scene) : null
    default:
      return null
  }
}

const invitation = (jobId: string, to: string) => `${jobId} to ${to}`

/** The owner sends a job to another daemon, or a node that came back says where its job is to go. */
const onPublish = (target: Target, { message }: Envelope, invited: Set<string>): null => {
  if (target._tag !== "Inbox") return null
  if (message._tag === "TakeJob") invited.add(invitation(message.jobId, target.daemonId))
  return null
}

/** Its node says at this daemon that it holds the job: from then on it may be taken here. */
const onHolding = ({ daemon, args }: Call, invited: Set<string>): null => {
  for (const { jobId } of (args[1] as AgentFrameOf<"Holding">).attempts) invited.add(invitation(jobId, daemon))
  return null
}

/** The history as it stood before the event that this call wrote. */
const before = ({ state }: Scene, jobId: JobId): JobEvent | undefined => state.jobs.get(jobId)?.events.at(-2)

const onClaim = (asked: Claim, claimed: Claimed, scene: Scene, invited: ReadonlySet<string>) => {
  if (claimed._tag !== "Claimed") return null
  const { jobId, daemonId, epochSeen, from } = asked
  const last = before(scene, jobId)
  if (last === undefined) return null
  if (isTerminal(last.to)) return `${daemonId} claimed ${jobId}, which is over`
  if (last.epoch !== epochSeen) return `${daemonId} claimed ${jobId} at epoch ${last.epoch}, having seen ${epochSeen}`
  if (!isAlive(scene.state, daemonId)) return `${daemonId} claimed ${jobId} and is dead`
  const owner = last.to === "active" ? last.daemonId : null
  const isTaken = owner !== null && owner !== daemonId && isAlive(scene.state, owner)
  if (!isTaken) return null
  if (owner !== from) return `${daemonId} claimed ${jobId} from ${owner}, who lives`
  return invited.has(invitation(jobId, daemonId))
    ? null
    : `${daemonId} took ${jobId} from ${owner}, who lives and did not ask for it`
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

/**
 * Whoever takes a job over has read nothing yet that a late piece could contradict, until he fences; from then on none of an earlier epoch is stored.
 * An actor that claims its own job anew goes on with the same pieces: what it still had under way is no other's.
 */
const onAppend = (
  daemon: string,
  { jobId, epoch, events }: TraceBatch,
  { state }: Scene,
  fenced: ReadonlyMap<string, number>
) => {
  const by = fenced.get(jobId) ?? 0
  if (events.length === 0 || epoch >= by) return null
  return state.jobs.get(jobId)?.events.at(-1)?.daemonId === daemon
    ? null
    : `${jobId}: pieces of epoch ${epoch} were stored after epoch ${by} had fenced them off`
}

const onFence = (jobId: JobId, epoch: number, fenced: Map<string, number>): null => {
  fenced.set(jobId, Math.max(epoch, fenced.get(jobId) ?? 0))
  return null
}

/** A record follows its row: nothing of an epoch that the row has left behind. */
const onPatch = ({ jobId, epoch }: Change, { records }: Scene) => {
  const stored = records.records.get(jobId)
  return stored !== undefined && epoch < stored.epoch
    ? `${jobId}: a change of epoch ${epoch} took effect on a record of epoch ${stored.epoch}`
    : null
}
