/** Bugs in what decides: the rows, the credits, the outbox. Each is one thing that somebody could have forgotten. */
import { Context, Effect } from "effect"
import { JobStore, type Guarded } from "../../../src/layers/JobStore.ts"
import type { CreditEntry } from "../../../src/layers/CreditLedger.ts"
import type { Account, State } from "../../../src/layers/memory/MemoryState.ts"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import { zero, type Credits } from "../../../src/schemas/Credits.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import { Transport } from "../../../src/layers/Transport.ts"
import { laneOf } from "../../../src/schemas/Job.ts"
import type { JobRow } from "../../../src/schemas/JobState.ts"
import type { Stores } from "../support/ChaosDaemon.ts"
import type { Plant } from "../support/Plant.ts"

type Store = JobStore["Service"]

const inStore = (name: string, change: (store: Store, state: State, stores: Stores) => Partial<Store>): Plant => ({
  name,
  stores: (stores, { shared }) => {
    const store = Context.get(stores, JobStore)
    return Context.add(stores, JobStore, { ...store, ...change(store, shared.state, stores) })
  }
})

const add = (state: State, account: Account, jobId: JobId, kind: CreditEntry["kind"], amount: bigint) => {
  const { id } = account.namespace
  account.entries.push({
    seq: ++state.entriesSeen,
    namespaceId: id,
    kind,
    amount: amount as Credits,
    jobId,
    reference: null,
    at: 0
  })
  const { granted, available, reserved, spent } = account.balance
  const [toAvailable, fromReserved, toSpent] = [
    kind === "refund" ? amount : 0n,
    kind === "settle" || kind === "refund" ? amount : 0n,
    kind === "settle" ? amount : 0n
  ]
  account.balance = {
    granted,
    available: (available + toAvailable) as Credits,
    reserved: (reserved - fromReserved) as Credits,
    spent: (spent + toSpent) as Credits
  }
}

/** A finish that is repeated, or comes too late, settles again. */
export const settleTwice = inStore("settle twice", ({ finish }, state) => ({
  finish: (asked) =>
    Effect.map(finish(asked), (guarded): Guarded => {
      const stored = state.jobs.get(asked.jobId)
      if (guarded._tag === "Done" || stored === undefined) return guarded
      add(state, stored.account, asked.jobId, "settle", asked.charge)
      return { _tag: "Done", row: stored.row }
    })
}))

/** Whoever comes is taken at his word about the epoch. */
export const noEpochInFinish = inStore("no epoch check in finish", ({ finish }, state) => ({
  finish: (asked) =>
    Effect.suspend(() => {
      const row = state.jobs.get(asked.jobId)?.row
      if (row === undefined || row.state !== "active") return finish(asked)
      return finish({ ...asked, epoch: row.epoch, daemonId: row.owner })
    })
}))

export const noEpochInClaim = inStore("no epoch check in claim", ({ claim }, state) => ({
  claim: (asked) =>
    Effect.suspend(() => claim({ ...asked, epochSeen: state.jobs.get(asked.jobId)?.row.epoch ?? asked.epochSeen }))
}))

/** A job that somebody else owns may be taken from him while he lives. */
export const noOwnerInClaim = inStore("no owner check in claim", ({ claim }, state) => ({
  claim: (asked) =>
    Effect.suspend(() => {
      const stored = state.jobs.get(asked.jobId)
      if (stored?.row.state === "active") stored.row = { ...stored.row, owner: asked.daemonId }
      return claim(asked)
    })
}))

export const forgetRefund = inStore("forget the refund", ({ finish }, state) => ({
  finish: (asked) =>
    Effect.tap(finish(asked), (guarded) =>
      Effect.sync(() => {
        const account = state.jobs.get(asked.jobId)?.account
        if (guarded._tag !== "Done" || account?.entries.at(-1)?.kind !== "refund") return
        const { amount } = account.entries.pop() as CreditEntry
        const { granted, available, reserved, spent } = account.balance
        account.balance = {
          granted,
          available: (available - amount) as Credits,
          reserved: (reserved + amount) as Credits,
          spent
        }
      })
    )
}))

/** What failed costs what was reserved. */
export const chargeFailures = inStore("charge what failed", ({ finish }, state) => ({
  finish: (asked) =>
    finish(
      asked.state === "failed" ? { ...asked, charge: state.jobs.get(asked.jobId)?.row.job.reserved ?? zero } : asked
    )
}))

export const oversell = inStore("oversell", ({ admit }, state) => ({
  admit: (admission) =>
    Effect.suspend(() => {
      const account = state.accounts.get(admission.job.namespaceId)
      if (account === undefined) return admit(admission)
      const { balance } = account
      account.balance = {
        ...balance,
        available: (balance.available + 100_000n) as Credits,
        granted: (balance.granted + 100_000n) as Credits
      }
      return Effect.ensuring(
        admit(admission),
        Effect.sync(() => {
          const { available, granted } = account.balance
          account.balance = {
            ...account.balance,
            available: (available - 100_000n) as Credits,
            granted: (granted - 100_000n) as Credits
          }
        })
      )
    })
}))

export const keyIgnored = inStore("ignore the idempotency key", ({ admit }) => ({
  admit: (admission) => admit({ ...admission, idempotency: null })
}))

/** The history loses what happened between the beginning and the end. */
export const gapInHistory = inStore("a gap in the history", ({ claim }, state) => ({
  claim: (asked) =>
    Effect.tap(claim(asked), (claimed) =>
      Effect.sync(() => {
        const events = state.jobs.get(asked.jobId)?.events
        if (claimed._tag === "Claimed" && events !== undefined && claimed.row.attempt > 1)
          events.splice(events.length - 2, 1)
      })
    )
}))

const laneTarget = ({ job }: Pick<JobRow, "job">) => ({ _tag: "Lane", lane: laneOf(job) }) as const

/** The message goes out beside the transaction, first; the outbox knows nothing of it. */
export const publishBeforeCommit = inStore("publish before commit", ({ admit }, state, stores) => ({
  admit: (admission) =>
    Effect.gen(function* () {
      yield* Effect.ignore(Context.get(stores, Transport).publish(laneTarget(admission), admission.envelope))
      yield* Effect.yieldNow
      const admitted = yield* admit(admission)
      state.outbox.delete(admission.envelope.id)
      return admitted
    })
}))

/** The message goes out after the transaction, and only if nothing comes between. */
export const publishBesideCommit = inStore("publish outside of the transaction", ({ admit }, state) => ({
  admit: (admission) =>
    Effect.tap(admit(admission), () => Effect.sync(() => void state.outbox.delete(admission.envelope.id)))
}))

export const releaseWithoutMessage = inStore("hand back without a message", ({ release }, state) => ({
  release: (asked) => Effect.tap(release(asked), () => Effect.sync(() => void state.outbox.delete(asked.envelope.id)))
}))

/** The prompt's facts travel in a field of the row. */
export const promptInRow: Plant = {
  name: "the prompt in the row",
  stores: (stores, { shared }) => {
    const store = Context.get(stores, JobStore)
    const admit: Store["admit"] = (admission) =>
      Effect.suspend(() => {
        const input = shared.records.records.get(admission.job.id)?.record.input.request
        return store.admit({
          ...admission,
          job: { ...admission.job, clientTag: JSON.stringify(input ?? null) }
        })
      })
    return Context.add(stores, JobStore, { ...store, admit })
  }
}

/** Taken out of the outbox when it is sent off, not when the broker has it. */
export const sentBeforeConfirm: Plant = {
  name: "mark as sent before the confirm",
  stores: (stores) => {
    const transport = Context.get(stores, Transport)
    const outbox = Context.get(stores, Outbox)
    const publish: Transport["Service"]["publish"] = (target, envelope) =>
      Effect.andThen(Effect.ignore(outbox.sent([envelope.id])), transport.publish(target, envelope))
    return Context.add(stores, Transport, { ...transport, publish })
  }
}

/** A node has as many slots as anybody likes. */
export const slotsIgnored: Plant = {
  name: "more attempts than slots",
  stores: (stores) => {
    const nodes = Context.get(stores, NodeRegistry)
    const wide = <R extends { readonly profile: { readonly slots: number } }>(row: R): R => ({
      ...row,
      profile: { ...row.profile, slots: row.profile.slots + 3 }
    })
    const get: typeof nodes.get = (nodeId, now) =>
      Effect.map(nodes.get(nodeId, now), (row) => (row === null ? null : wide(row)))
    return Context.add(stores, NodeRegistry, {
      ...nodes,
      get,
      register: (hello) => Effect.map(nodes.register(hello), wide)
    })
  }
}
