/** Bugs in what several daemons owe each other: who may take a job, what is sent between them, what an old session may still say. */
import { Context, Effect } from "effect"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobStore } from "../../../src/layers/JobStore.ts"
import { Relay } from "../../../src/layers/Relay.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import { Transport } from "../../../src/layers/Transport.ts"
import type { Envelope, Message } from "../../../src/schemas/Envelope.ts"
import type { Plant } from "../support/Plant.ts"

/** An owner that was replaced writes the record all the same. */
export const patchAnyEpoch: Plant = {
  name: "change a record whatever the epoch",
  stores: (stores, { shared }) => {
    const records = Context.get(stores, JobRecords)
    const patch: typeof records.patch = (change) =>
      Effect.suspend(() =>
        records.patch({
          ...change,
          epoch: Math.max(change.epoch, shared.records.records.get(change.jobId)?.epoch ?? 0)
        })
      )
    return Context.add(stores, JobRecords, { ...records, patch })
  }
}

/** Whoever is delivered a job takes it, also from an owner that lives and sent it to nobody. */
export const takeFromAnyone: Plant = {
  name: "take a job from an owner that lives",
  stores: (stores, { shared }) => {
    const store = Context.get(stores, JobStore)
    const claim: typeof store.claim = (asked) =>
      Effect.suspend(() => store.claim({ ...asked, from: shared.state.jobs.get(asked.jobId)?.row.owner ?? null }))
    return Context.add(stores, JobStore, { ...store, claim })
  }
}

const withMessages = (name: string, change: (message: Message) => Message | null): Plant => ({
  name,
  stores: (stores) => {
    const transport = Context.get(stores, Transport)
    const publish: typeof transport.publish = (target, envelope: Envelope) => {
      const message = change(envelope.message)
      return message === null ? Effect.void : transport.publish(target, { ...envelope, message })
    }
    return Context.add(stores, Transport, { ...transport, publish })
  }
})

/** A daemon that was sent a job says that it has it before it knows. */
export const takenForGranted = withMessages("say that a job was taken when it was not", (message) =>
  message._tag === "JobTaken" ? { ...message, taken: true } : message
)

/** The last of each batch is left behind, and the one after it says nothing of that. */
export const relayRenumbered: Plant = {
  name: "lose a relayed piece and close the gap",
  stores: (stores) => {
    const relay = Context.get(stores, Relay)
    const lost = new Map<string, number>()
    const send: typeof relay.send = (to, pieces) =>
      Effect.suspend(() => {
        const key = `${to} ${pieces.jobId}`
        const before = lost.get(key) ?? 0
        const events = pieces.events.slice(0, before === 0 && pieces.events.length > 1 ? -1 : undefined)
        lost.set(key, before + pieces.events.length - events.length)
        return relay.send(to, {
          ...pieces,
          events: events.map((event) => ({ ...event, seq: event.seq - before }))
        })
      })
    return Context.add(stores, Relay, { ...relay, send })
  }
}

/** Who takes over reads what is stored and closes the door to nobody. */
export const fenceNobody: Plant = {
  name: "take over without fencing the trace",
  stores: (stores, { shared }) => {
    const traces = Context.get(stores, Traces)
    const fence: typeof traces.fence = (jobId) =>
      Effect.sync(() => [...(shared.records.traces.get(jobId)?.events ?? [])])
    return Context.add(stores, Traces, { ...traces, fence })
  }
}

/** Who takes over begins anew, whatever was shown before. */
export const fenceForgets: Plant = {
  name: "take over and forget what was stored",
  stores: (stores) => {
    const traces = Context.get(stores, Traces)
    const fence: typeof traces.fence = (jobId, epoch) => Effect.as(traces.fence(jobId, epoch), [])
    return Context.add(stores, Traces, { ...traces, fence })
  }
}
