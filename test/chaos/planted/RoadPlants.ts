/** Bugs on the road between broker, leases, nodes, traces, records and readers. */
import { Context, Effect } from "effect"
import { JobStreams } from "../../../src/actors/job/JobStreams.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobStore, type Claimed } from "../../../src/layers/JobStore.ts"
import { Leases } from "../../../src/layers/Leases.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import { Transport, type Consumer, type Delivery } from "../../../src/layers/Transport.ts"
import type { Plant } from "../support/Plant.ts"

const withDeliveries = (name: string, change: (delivery: Delivery) => Effect.Effect<Delivery>): Plant => ({
  name,
  stores: (stores) => {
    const transport = Context.get(stores, Transport)
    const consume: Transport["Service"]["consume"] = (source, prefetch) =>
      Effect.map(transport.consume(source, prefetch), ({ take }): Consumer => ({
        take: Effect.flatMap(take, (deliveries) => Effect.forEach(deliveries, change))
      }))
    return Context.add(stores, Transport, { ...transport, consume })
  }
})

const isJob = ({ envelope }: Delivery) => envelope.message._tag === "JobQueued"

/** Done with as soon as it is here. */
export const ackBeforeClaim = withDeliveries("acknowledge before the claim", (delivery) =>
  isJob(delivery)
    ? Effect.as(delivery.ack, { ...delivery, ack: Effect.void, nack: Effect.void })
    : Effect.succeed(delivery)
)

/** What comes back went wrong before, so it is done with. */
export const ackOnError = withDeliveries("acknowledge what came back", (delivery) =>
  isJob(delivery) && delivery.redelivered
    ? Effect.as(delivery.ack, { ...delivery, ack: Effect.void, nack: Effect.void })
    : Effect.succeed(delivery)
)

/** A consumer that is given more than it asked for. */
export const prefetchIgnored: Plant = {
  name: "ignore the prefetch",
  stores: (stores) => {
    const transport = Context.get(stores, Transport)
    const consume: Transport["Service"]["consume"] = (source, prefetch) =>
      Effect.map(transport.consume(source, prefetch), ({ take }): Consumer => {
        const kept: Array<Delivery> = []
        return {
          take: Effect.map(take, (deliveries) => {
            kept.push(...deliveries)
            return deliveries
          })
        }
      })
    return Context.add(stores, Transport, {
      ...transport,
      consume: (source) => consume(source, 1000)
    })
  }
}

/** The last claim is forgotten by whoever asks for the row: an actor begins from what was before it. */
export const claimNotKept: Plant = {
  name: "answer a refused claim as claimed",
  stores: (stores) => {
    const store = Context.get(stores, JobStore)
    const claim: JobStore["Service"]["claim"] = (asked) =>
      Effect.map(store.claim(asked), (claimed): Claimed =>
        claimed._tag === "Refused" && claimed.row?.state === "active" ? { _tag: "Claimed", row: claimed.row } : claimed
      )
    return Context.add(stores, JobStore, { ...store, claim })
  }
}

export const leaseNotReleased: Plant = {
  name: "never release a lease",
  stores: (stores) => Context.add(stores, Leases, { ...Context.get(stores, Leases), release: () => Effect.void })
}

/** What nobody could release is left to run out. */
export const slotsNotCompared: Plant = {
  name: "never compare the slots",
  stores: (stores) =>
    Context.add(stores, Leases, { ...Context.get(stores, Leases), strangers: () => Effect.succeed([]) })
}

/** Every node says that it stands where the job wants it. */
export const regionIgnored: Plant = {
  name: "ignore the region",
  stores: (stores) => {
    const leases = Context.get(stores, Leases)
    const anywhere = ["eu", "us"] as const
    let turn = 0
    const candidates: typeof leases.candidates = (query) =>
      Effect.map(leases.candidates(query), (found) => {
        turn += 1
        return {
          ...found,
          nodes: found.nodes.map((node) => ({ ...node, region: anywhere[turn % 2] ?? "eu" }))
        }
      })
    return Context.add(stores, Leases, { ...leases, candidates })
  }
}

/** What was stored before is stored again when it comes again. */
export const lateTokenTwice: Plant = {
  name: "store a late piece twice",
  stores: (stores, { shared }) => {
    const traces = Context.get(stores, Traces)
    const append: typeof traces.append = (batch) =>
      Effect.suspend(() => {
        const stored = shared.records.traces.get(batch.jobId)
        const known = batch.events.filter(({ seq }) => seq <= (stored?.events.length ?? 0))
        return Effect.tap(traces.append(batch), (took) =>
          Effect.sync(() => void (took && stored?.events.push(...known)))
        )
      })
    return Context.add(stores, Traces, { ...traces, append })
  }
}

export const noTraceFence: Plant = {
  name: "no fence around the trace",
  stores: (stores, { shared }) => {
    const traces = Context.get(stores, Traces)
    const append: typeof traces.append = (batch) =>
      Effect.suspend(() =>
        traces.append({
          ...batch,
          epoch: Math.max(batch.epoch, shared.records.traces.get(batch.jobId)?.epoch ?? 0)
        })
      )
    return Context.add(stores, Traces, { ...traces, append })
  }
}

/** The answer comes before the record is written. */
export const recordLater: Plant = {
  name: "settle before the record is written",
  stores: (stores, { after }) => {
    const records = Context.get(stores, JobRecords)
    const patch: typeof records.patch = (change) => {
      if (!change.durable) return records.patch(change)
      return Effect.sync(() => {
        after(300, () => void Effect.runSync(Effect.exit(records.patch(change))))
        return "done"
      })
    }
    return Context.add(stores, JobRecords, { ...records, patch })
  }
}

/** The closing record never comes. */
export const recordLost: Plant = {
  name: "lose the closing record",
  stores: (stores) => {
    const records = Context.get(stores, JobRecords)
    const patch: typeof records.patch = ({ patch: { output: _output, ...rest }, ...change }) =>
      records.patch({ ...change, patch: rest })
    return Context.add(stores, JobRecords, { ...records, patch })
  }
}

export const readsUnscoped: Plant = {
  name: "read whatever the namespace",
  stores: (stores) => {
    const records = Context.get(stores, JobRecords)
    const everything = { _tag: "Operator", by: "anybody" } as const
    return Context.add(stores, JobRecords, {
      ...records,
      get: (_scope, jobId) => records.get(everything, jobId)
    })
  }
}

/** One piece too early, for whoever comes back. */
export const resumeTooEarly: Plant = {
  name: "resume one piece too early",
  tree: (tree) => {
    const streams = Context.get(tree, JobStreams)
    const subscribe: typeof streams.subscribe = (scope, jobId, afterSeq) =>
      streams.subscribe(scope, jobId, Math.max(0, afterSeq - 1))
    return Context.add(tree, JobStreams, { ...streams, subscribe })
  }
}

export const resumeTooLate: Plant = {
  name: "resume one piece too late",
  tree: (tree) => {
    const streams = Context.get(tree, JobStreams)
    const subscribe: typeof streams.subscribe = (scope, jobId, afterSeq) =>
      streams.subscribe(scope, jobId, afterSeq === 0 ? 0 : afterSeq + 1)
    return Context.add(tree, JobStreams, { ...streams, subscribe })
  }
}

/** Says that it is cancelled and does nothing. */
export const cancelIgnored: Plant = {
  name: "ignore the cancel",
  tree: (tree) => {
    const streams = Context.get(tree, JobStreams)
    return Context.add(tree, JobStreams, { ...streams, cancel: streams.row })
  }
}
