/**
 * I4: nothing is published before its admission is durable, nothing leaves the outbox before the broker has it, no delivery is acknowledged
 * while its job still waits for one, and no result is settled on a node before its record and its settlement are durable.
 */
import type { OutboxRow } from "../../../src/layers/Outbox.ts"
import type { Envelope } from "../../../src/schemas/Envelope.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { Call, Checker, DaemonFrameOf, Scene } from "../support/History.ts"

export const makeI04 = (): Checker => {
  const confirmed = new Set<string>()
  return {
    name: "I04",
    points: ["Transport.publish", "Outbox.sent", "Transport.ack", "Frame.Settled"],
    during: (call, scene) => {
      switch (call.point) {
        case "Transport.publish":
          return onPublish(call, scene, confirmed)
        case "Outbox.sent":
          return onSent(call.args[0] as ReadonlyArray<OutboxRow["id"]>, confirmed)
        case "Transport.ack":
          return onAck(call, scene)
        case "Frame.Settled":
          return onSettled(call, scene)
        default:
          return null
      }
    }
  }
}

const onPublish = ({ args, result }: Call, { state }: Scene, confirmed: Set<string>) => {
  const { id, message } = args[1] as Envelope
  if (result === true) confirmed.add(id)
  if (message._tag === "JobQueued" && !state.jobs.has(message.jobId))
    return `${message.jobId} was published and not admitted`
  if (message._tag !== "JobFinished") return null
  const row = state.jobs.get(message.jobId)?.row
  return row !== undefined && isTerminal(row.state) ? null : `${message.jobId} was said to be over and is ${row?.state}`
}

const onSent = (ids: ReadonlyArray<string>, confirmed: ReadonlySet<string>) => {
  const early = ids.find((id) => !confirmed.has(id))
  return early === undefined ? null : `${early} left the outbox before the broker had it`
}

const onAck = ({ daemon, args }: Call, { state, outstanding }: Scene) => {
  const { message } = args[0] as Envelope
  if (message._tag !== "JobQueued") return null
  const { jobId } = message
  const row = state.jobs.get(jobId)?.row
  if (row === undefined || row.state !== "queued" || outstanding(jobId) > 0) return null
  const waits = [...state.outbox.values()].some(({ row: { envelope } }) => {
    return envelope.message._tag === "JobQueued" && envelope.message.jobId === jobId
  })
  return waits ? null : `${daemon} acknowledged ${jobId}, which is still queued and has no other message`
}

const onSettled = ({ args }: Call, { state, records }: Scene) => {
  const { jobId, status } = args[1] as DaemonFrameOf<"Settled">
  const row = state.jobs.get(jobId)?.row
  if (status !== "accepted" || row === undefined) return null
  if (!isTerminal(row.state)) return `the result of ${jobId} was settled while it is ${row.state}`
  const record = records.records.get(jobId)?.record
  return record?.completeness === "open" ? `the result of ${jobId} was settled before its record was closed` : null
}
