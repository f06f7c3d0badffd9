/**
 * The paths that a campaign is there for, and how often each was taken. A path that was never taken was not tested, whatever the checkers say, so it
 * is said loudly. Read from what took effect, never from switches in what is shipped.
 */
import type { Claim, Claimed, Finish, Guarded } from "../../../src/layers/JobStore.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import type { Call, DaemonFrameOf, Scene } from "./History.ts"

type Told = (mark: Mark) => void

/** In the order of a job's life, then what daemons and sweepers do. */
export const MARKS = [
  "admission: repeated by its key",
  "admission: out of credits",
  "admission: shed",
  "claim: refused, somebody else has it",
  "claim: refused, it is over",
  "claim: refused, the claimer is dead",
  "claim: adopted after a death",
  "handover: sent to another daemon",
  "handover: taken",
  "handover: declined",
  "handover: a node came back elsewhere",
  "readers: follow another daemon",
  "readers: pieces relayed",
  "attempt: another one",
  "attempt: continued after the pieces shown",
  "attempt: resumed with its node",
  "attempt: declined by its node",
  "stale: finish refused",
  "stale: pieces refused",
  "stale: record refused",
  "stale: sweeper refused",
  "settle: said again",
  "settle: refused",
  "settle: before its record",
  "settle: its answer asked for afterwards",
  "end: completed",
  "end: failed",
  "end: cancelled",
  "end: timed_out",
  "end: expired",
  "end: poison",
  "delivery: again",
  "drain: handed back",
  "daemon: crashed",
  "daemon: left",
  "daemon: fenced",
  "daemon: declared dead",
  "node: fenced by a later session",
  "node: cooled down",
  "sweep: outbox relayed",
  "sweep: orphan published again",
  "sweep: lost row published again",
  "sweep: document discarded",
  "sweep: record repaired",
  "sweep: leader overtaken",
  "retention: pruned",
  "retention: another finished the batch",
  "retention: broken segment found"
] as const
export type Mark = (typeof MARKS)[number]

const WHY: Readonly<Record<string, Mark>> = {
  epoch: "claim: refused, somebody else has it",
  owned: "claim: refused, somebody else has it",
  ended: "claim: refused, it is over",
  dead: "claim: refused, the claimer is dead"
}

type Look = (call: Call, scene: Scene, told: Told) => void

const isMany = (result: unknown): boolean => Array.isArray(result) && result.length > 0

const whenMany =
  (mark: Mark): Look =>
  ({ result }, _, told) => {
    if (isMany(result)) told(mark)
  }

const onClaim: Look = ({ args, result }, _, told) => {
  const claimed = result as Claimed
  const { crashed } = args[0] as Claim
  if (claimed._tag === "Refused") {
    const why = WHY[claimed.why]
    if (why !== undefined) told(why)
  } else if (crashed) told("claim: adopted after a death")
}

const onFinish: Look = ({ args, result }, { records }, told) => {
  const asked = args[0] as Finish
  const guarded = result as Guarded
  if (guarded._tag !== "Done") return told("stale: finish refused")
  told(asked.code === "poison" ? "end: poison" : `end: ${asked.state}`)
  if (records.records.get(asked.jobId)?.record.completeness === "open") told("settle: before its record")
}

const MESSAGES: Readonly<Record<string, Mark>> = {
  TakeJob: "handover: sent to another daemon",
  FollowJob: "readers: follow another daemon"
}

const onPublish: Look = ({ args }, _, told) => {
  const { message } = args[1] as Envelope
  const mark = MESSAGES[message._tag]
  if (mark !== undefined) told(mark)
  if (message._tag === "JobTaken") told(message.taken ? "handover: taken" : "handover: declined")
}

const onAssign: Look = ({ args }, _, told) => {
  const { attempt, firstSeq } = args[1] as DaemonFrameOf<"Assign">
  if (attempt > 1) told("attempt: another one")
  if (firstSeq > 1) told("attempt: continued after the pieces shown")
}

const onPatch: Look = ({ args, result }, _, told) => {
  if (result === "stale") told("stale: record refused")
  const { patch } = args[0] as { readonly patch: { readonly truncatedReason?: string | null } }
  if (result === "done" && patch.truncatedReason === "record_lost") told("sweep: record repaired")
}

const LOOKS: Readonly<Record<string, Look>> = {
  "JobStore.admit": ({ result }, _, told) => {
    if ((result as { readonly created: boolean }).created === false) told("admission: repeated by its key")
  },
  "JobStore.claim": onClaim,
  "JobStore.finish": onFinish,
  "JobStore.release": ({ result }, _, told) => {
    if ((result as Guarded)._tag === "Done") told("drain: handed back")
  },
  "Transport.publish": onPublish,
  "Transport.take": ({ args }, _, told) => {
    if (Number(args[2]) > 0) told("delivery: again")
  },
  "Incidents.raise": ({ args }, _, told) => {
    if (JSON.stringify(args[0]).includes("archive_broken")) told("retention: broken segment found")
  },
  "Relay.send": (_call, _scene, told) => told("readers: pieces relayed"),
  "Traces.append": ({ result }, _, told) => {
    if (result === false) told("stale: pieces refused")
  },
  "JobRecords.patch": onPatch,
  "SweeperStates.save": ({ result }, _, told) => {
    if (result === false) told("stale: sweeper refused")
  },
  "SweeperStates.lead": ({ result }, _, told) => {
    if ((result as { readonly epoch: number }).epoch > 1) told("sweep: leader overtaken")
  },
  "Frame.Assign": onAssign,
  "Frame.Resume": ({ args }, { state }, told) => {
    const row = state.jobs.get((args[1] as DaemonFrameOf<"Resume">).jobId)?.row
    const isOver = row !== undefined && isTerminal(row.state)
    told(isOver ? "settle: its answer asked for afterwards" : "attempt: resumed with its node")
  },
  "Frame.Reject": (_call, _scene, told) => told("attempt: declined by its node"),
  "LiveNodes.announce": ({ result }, _, told) => {
    if (result === false) told("node: fenced by a later session")
  },
  "NodeRegistry.restrict": (_call, _scene, told) => told("node: cooled down"),
  "Daemons.bury": whenMany("daemon: declared dead"),
  "Outbox.pending": whenMany("sweep: outbox relayed"),
  "Outbox.add": (_call, _scene, told) => told("sweep: lost row published again"),
  "JobSurvey.orphans": whenMany("sweep: orphan published again"),
  "JobRecords.discard": (_call, _scene, told) => told("sweep: document discarded"),
  "RecordRetention.prune": ({ result }, _, told) =>
    told(Number(result) > 0 ? "retention: pruned" : "retention: another finished the batch")
}

export class Coverage {
  readonly counts = new Map<Mark, number>()
  private readonly settled = new Set<string>()
  /** Jobs that were sent to another daemon. */
  private readonly sent = new Set<JobId>()

  readonly mark = (mark: Mark): void => void this.counts.set(mark, (this.counts.get(mark) ?? 0) + 1)

  see(call: Call, scene: Scene): void {
    if (call.point === "Frame.Settled") this.onSettled(call, scene)
    if (call.point === "Transport.publish") this.onTake(call.args[1] as Envelope)
    if (call.point === "JobStore.claim") this.onTaken(call.args[0] as Claim, call.result as Claimed)
    LOOKS[call.point]?.(call, scene, this.mark)
  }

  private onTake({ message }: Envelope): void {
    if (message._tag === "TakeJob") this.sent.add(message.jobId)
  }

  /** Nobody sent it, so its node came back there. */
  private onTaken({ jobId, from }: Claim, claimed: Claimed): void {
    if (claimed._tag !== "Claimed" || from === null || this.sent.has(jobId)) return
    this.mark("handover: a node came back elsewhere")
  }

  private onSettled({ args }: Call, { state }: Scene): void {
    const { jobId, attempt, status } = args[1] as DaemonFrameOf<"Settled">
    const row = state.jobs.get(jobId)?.row
    if (status !== "accepted") this.mark("settle: refused")
    const key = `${jobId}/${attempt}`
    if (this.settled.has(key) && row !== undefined && isTerminal(row.state)) this.mark("settle: said again")
    this.settled.add(key)
  }
}
