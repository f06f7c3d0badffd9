/**
 * The named points of a job's road at which a run may be disturbed: each call of a contract, each delivery, each frame between daemon and
 * agent. A fault is drawn before the run as (point, how many crossings from the start, what happens there).
 */

/** What may happen at one crossing of a point. */
export type FaultKind =
  /** An Outage, and nothing was done. */
  | "fail"
  /** It was done, and the answer is an Outage. */
  | "loseReply"
  /** An Outage now, and it is done later all the same. */
  | "late"
  /** Held up before it is done. */
  | "slowBefore"
  /** Done, and the answer is held up. */
  | "slowAfter"
  /** Done twice, one right after the other. */
  | "repeat"
  | "crashBefore"
  | "crashAfter"
  /** The whole daemon stands still for a while, then goes on as if nothing had happened. */
  | "freezeBefore"
  | "freezeAfter"
  /** The session breaks at this frame, which is lost with all that is under way. */
  | "cut"
  /** One frame is lost, and the session goes on. */
  | "drop"
  /** It comes after the next one. */
  | "swap"

const CRASHES = ["crashBefore", "crashAfter", "freezeBefore", "freezeAfter"] as const
const CALL: ReadonlyArray<FaultKind> = ["fail", "loseReply", "slowBefore", "slowAfter", ...CRASHES]
const WRITE: ReadonlyArray<FaultKind> = [...CALL, "repeat", "late"]
const DELIVERY: ReadonlyArray<FaultKind> = ["slowBefore", "slowAfter", ...CRASHES]
/** What is told once and in order, and is lost or not. */
const SENT: ReadonlyArray<FaultKind> = ["fail", "loseReply", "slowBefore", "repeat", ...CRASHES]
const TO_AGENT: ReadonlyArray<FaultKind> = ["cut", "slowBefore", "crashBefore", "crashAfter"]
const FROM_AGENT: ReadonlyArray<FaultKind> = [
  "cut",
  "drop",
  "swap",
  "repeat",
  "slowBefore",
  "crashBefore",
  "crashAfter"
]

export interface Point {
  readonly kinds: ReadonlyArray<FaultKind>
  /** About as often as it is crossed in a run: where the n is drawn from. */
  readonly often: number
}

const at = (kinds: ReadonlyArray<FaultKind>, often: number): Point => ({ kinds, often })

/** In the order of the road. */
export const POINTS: Readonly<Record<string, Point>> = {
  "Catalog.get": at(CALL, 2),
  "LiveNodes.models": at(CALL, 20),
  "JobRecords.open": at(WRITE, 20),
  "JobStore.admit": at(WRITE, 20),
  "JobRecords.discard": at(WRITE, 2),
  "Transport.publish": at(WRITE, 60),
  "Outbox.sent": at(WRITE, 30),
  "Outbox.pending": at(CALL, 30),
  "Outbox.add": at(WRITE, 3),
  "Transport.consume": at(CALL, 14),
  "Transport.take": at(["fail", ...DELIVERY], 40),
  "Transport.ack": at(DELIVERY, 40),
  "Transport.nack": at(DELIVERY, 2),
  "JobStore.get": at(CALL, 60),
  "JobRecords.get": at(CALL, 30),
  "Traces.fence": at(WRITE, 8),
  "Namespaces.get": at(CALL, 3),
  "Leases.candidates": at(CALL, 30),
  "Leases.take": at(WRITE, 25),
  "Leases.capacity": at(CALL, 2),
  "JobStore.claim": at(WRITE, 25),
  "Frame.Assign": at(TO_AGENT, 25),
  "Frame.Accept": at(FROM_AGENT, 25),
  "JobRecords.patch": at(WRITE, 45),
  "Frame.Pieces": at(FROM_AGENT, 80),
  "Traces.append": at(WRITE, 80),
  "Frame.Reject": at(FROM_AGENT, 2),
  "Frame.Fail": at(FROM_AGENT, 2),
  "Frame.Cancel": at(TO_AGENT, 4),
  "Frame.Resume": at(TO_AGENT, 4),
  "Frame.Holding": at(FROM_AGENT, 8),
  "Frame.Result": at(FROM_AGENT, 20),
  "Logs.append": at(WRITE, 20),
  "JobStore.finish": at(WRITE, 20),
  "Leases.release": at(WRITE, 25),
  "Frame.Settled": at(TO_AGENT, 20),
  "JobStore.release": at(WRITE, 2),
  "Traces.read": at(CALL, 8),
  "Frame.Authenticate": at(FROM_AGENT, 8),
  "NodeRegistry.register": at(CALL, 6),
  "NodeRegistry.get": at(CALL, 8),
  "NodeRegistry.setLifecycle": at(WRITE, 3),
  "LiveNodes.announce": at(WRITE, 8),
  "LiveNodes.refresh": at(WRITE, 30),
  "LiveNodes.withdraw": at(WRITE, 3),
  "Daemons.join": at(["slowBefore", "slowAfter", "crashBefore", "crashAfter"], 3),
  "Daemons.beat": at(WRITE, 30),
  "Daemons.bury": at(WRITE, 20),
  "JobSurvey.due": at(CALL, 30),
  "JobSurvey.orphans": at(CALL, 15),
  "JobSurvey.waiting": at(CALL, 3),
  "JobSurvey.lanes": at(CALL, 15),
  "JobRecords.unfinished": at(CALL, 2),
  "Relay.send": at(SENT, 20),
  "SweeperStates.lead": at(WRITE, 5),
  "SweeperStates.save": at(WRITE, 10),
  "RecordRetention.mark": at(WRITE, 1),
  "RecordRetention.read": at(CALL, 1),
  "Archive.write": at(WRITE, 1),
  "Archive.verify": at(CALL, 1),
  "RecordRetention.prune": at(WRITE, 1)
}

/** What retention crosses. */
export const UPKEEP: ReadonlyArray<string> = [
  "RecordRetention.mark",
  "RecordRetention.read",
  "Archive.write",
  "Archive.verify",
  "RecordRetention.prune",
  "SweeperStates.lead",
  "SweeperStates.save"
]

/** Points that the brief of the road names: each of them must be disturbed before and after it happened. */
export const ROAD: ReadonlyArray<string> = [
  "JobRecords.open",
  "JobStore.admit",
  "Transport.publish",
  "Outbox.sent",
  "Transport.take",
  "Leases.take",
  "JobStore.claim",
  "Transport.ack",
  "Frame.Assign",
  "Frame.Pieces",
  "Traces.append",
  "Frame.Result",
  "JobRecords.patch",
  "JobStore.finish",
  "Frame.Settled"
]
