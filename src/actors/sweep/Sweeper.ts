/**
 * The shape of every sweeper: an actor that leads or waits to lead, sweeps in batches until one is short, saves how far it came, and sleeps.
 * An Outage ends the pass and not the sweeper. A leader that was overtaken finds out by its epoch when it saves, and steps back.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type { ActorContext, ActorSpec, Behavior } from "../../kernel/Actor.ts"
import type { Reply } from "../../kernel/ActorRef.ts"
import { waitOut, type Outage } from "../../layers/Outage.ts"
import type { SweeperStates } from "../../layers/SweeperStates.ts"
import type { Delivery, Transport } from "../../layers/Transport.ts"
import { sweeperAddress } from "../../schemas/Address.ts"
import { freshEnvelope } from "../../schemas/Envelope.ts"
import type { DaemonId } from "../../schemas/Ids.ts"
import { refuse, type Refusal } from "../../schemas/Refusal.ts"
import type { Onlooker, SweepReport } from "./SweepReport.ts"

export interface Batch {
  readonly taken: number
  /** Where the next batch begins. */
  readonly watermark: Schema.Json
  readonly detail?: Schema.JsonObject
}

export interface Options {
  readonly name: string
  readonly everyMs: number
  readonly batchMax: number
  /** Sweeps one batch from the watermark on. Safe to repeat after a crash; a dry run only counts. */
  readonly sweepBatch: (watermark: Schema.Json, max: number, dryRun: boolean) => Effect.Effect<Batch, Outage>
}

export interface SweepHouse {
  readonly daemonId: DaemonId
  readonly states: SweeperStates["Service"]
  readonly transport: Transport["Service"]
}

export type SweeperMessage =
  | { readonly _tag: "Elected" }
  | { readonly _tag: "Due" }
  | { readonly _tag: "PassEnded"; readonly exit: Exit.Exit<boolean, Outage>; readonly asked: Asked | null }
  | {
      readonly _tag: "Sweep"
      readonly dryRun: boolean
      readonly onlooker: Onlooker | null
      readonly reply: Reply<SweepReport, Refusal | Outage>
    }
  | { readonly _tag: "AskLeads"; readonly reply: Reply<boolean> }

interface Asked {
  readonly reply: Reply<SweepReport, Refusal | Outage>
  readonly onlooker: Onlooker | null
  report: SweepReport
}

interface SweeperState {
  readonly options: Options
  readonly house: SweepHouse
  readonly self: ActorContext<SweeperMessage>
  leads: boolean
  sweeping: boolean
  /** Under which this actor leads; null: to be taken with the next pass. */
  epoch: number | null
  watermark: Schema.Json
  savedAt: number
}

/** A pass that found nothing is written down this often, not each time. */
const SAVE_EVERY_MS = 10_000
/** Batches of one pass, at most: a pass that never ends would never save an error either. */
const BATCHES_MAX = 1000

export const spec = (house: SweepHouse, options: Options): ActorSpec<SweeperMessage, SweeperState> => ({
  address: sweeperAddress(options.name),
  kind: "sweeper",
  behavior: behavior(house, options),
  restart: "permanent"
})

const behavior = (house: SweepHouse, options: Options): Behavior<SweeperMessage, SweeperState> => ({
  init: (self) =>
    Effect.gen(function* () {
      yield* self.fork(standForElection(house, options, self))
      return { options, house, self, leads: false, sweeping: false, epoch: null, watermark: null, savedAt: 0 }
    }),
  receive: (state, message) => Effect.as(receive(state, message), state)
})

const receive = (state: SweeperState, message: SweeperMessage): Effect.Effect<void> => {
  switch (message._tag) {
    case "Elected":
      if (state.leads) return Effect.void
      state.leads = true
      state.epoch = null
      return sweepSoon(state, 0)
    case "Due":
      return state.leads && !state.sweeping ? startPass(state, false, null) : Effect.void
    case "PassEnded":
      return onPassEnded(state, message.exit, message.asked)
    case "Sweep":
      return onSweep(state, message)
    case "AskLeads":
      return Effect.sync(() => message.reply.succeed(state.leads))
  }
}

/** A candidacy that was lost (the broker was wiped) is repeated this often. */
const STAND_AGAIN = "15 seconds"

/**
 * The broker decides who tries first: one consumer at a time, and the next when it is gone. Whoever leads keeps a candidacy in its hands, unacknowledged,
 * so that its end gives it to the next; candidacies beyond that one are taken out. The epoch decides who may write.
 */
const standForElection = (house: SweepHouse, { name }: Options, self: ActorContext<SweeperMessage>) => {
  const target = { _tag: "Sweeper", name } as const
  const once = Effect.scoped(
    Effect.gen(function* () {
      const consumer = yield* house.transport.consume(target, 2)
      const stand = Effect.forever(Effect.andThen(publishCandidacy(house, name), Effect.sleep(STAND_AGAIN)))
      const lead = Effect.gen(function* () {
        let held: Delivery | null = null
        while (true) {
          for (const delivery of yield* consumer.take) {
            // Also who led before and was overtaken leads again while the broker keeps him first: nobody else would.
            self.self.tellUnsafe({ _tag: "Elected" })
            if (held !== null) yield* held.ack
            held = delivery
          }
        }
      })
      return yield* Effect.raceFirst(lead, stand)
    })
  )
  return waitOut(once)
}

const publishCandidacy = ({ transport }: SweepHouse, name: string) =>
  Effect.flatMap(freshEnvelope({ _tag: "Lead", sweeper: name }), (envelope) =>
    transport.publish({ _tag: "Sweeper", name }, envelope)
  )

const sweepSoon = ({ self }: SweeperState, ms: number) => self.after("due", ms, { _tag: "Due" })

const onSweep = (state: SweeperState, { dryRun, onlooker, reply }: Extract<SweeperMessage, { _tag: "Sweep" }>) =>
  Effect.suspend(() => {
    const { name } = state.options
    if (!state.leads && !dryRun) {
      reply.fail(refuse("conflict", `Another daemon leads ${name}: ask there, or try again when it is gone.`))
      return Effect.void
    }
    if (state.sweeping) {
      reply.fail(refuse("conflict", `${name} is sweeping already: try again when the pass is over.`))
      return Effect.void
    }
    return startPass(state, dryRun, { reply, onlooker, report: { name, dryRun, swept: 0, detail: {} } })
  })

const startPass = (state: SweeperState, dryRun: boolean, asked: Asked | null) => {
  state.sweeping = true
  const pass = dryRun ? dryPass(state, asked) : realPass(state, asked)
  return state.self.fork(pass, (exit) => ({ _tag: "PassEnded", exit, asked }))
}

const dryPass = ({ options, house }: SweeperState, asked: Asked | null) =>
  Effect.gen(function* () {
    const { name, batchMax, sweepBatch } = options
    const known = (yield* house.states.list).find((one) => one.name === name)
    const { taken, detail } = yield* sweepBatch(known?.watermark ?? null, batchMax, true)
    if (asked !== null) asked.report = { ...asked.report, swept: taken, detail: detail ?? {} }
    return true
  })

/** False: somebody else leads by now. */
const realPass = (state: SweeperState, asked: Asked | null) =>
  Effect.gen(function* () {
    const { batchMax, sweepBatch } = state.options
    const epoch = state.epoch ?? (yield* takeLead(state))
    for (let batches = 0; batches < BATCHES_MAX; batches++) {
      const batch = yield* sweepBatch(state.watermark, batchMax, false)
      state.watermark = batch.watermark
      if (!(yield* save(state, epoch, batch.taken))) return false
      if (asked !== null) {
        const swept = asked.report.swept + batch.taken
        asked.report = { ...asked.report, swept, detail: batch.detail ?? asked.report.detail }
        if (asked.onlooker !== null) yield* asked.onlooker.told(swept)
        if (asked.onlooker?.isGone === true) break
      }
      if (batch.taken < batchMax) break
    }
    return true
  }).pipe(Effect.withSpan(`sweeper.${state.options.name}.pass`))

const takeLead = (state: SweeperState) =>
  Effect.map(state.house.states.lead(state.options.name, state.house.daemonId), ({ epoch, watermark }) => {
    state.epoch = epoch
    state.watermark = watermark
    return epoch
  })

const save = (state: SweeperState, epoch: number, taken: number) =>
  Effect.gen(function* () {
    const { options, house, watermark } = state
    const at = yield* Clock.currentTimeMillis
    if (taken === 0 && at - state.savedAt < SAVE_EVERY_MS) return true
    state.savedAt = at
    return yield* house.states.save(options.name, epoch, { watermark, swept: taken, error: null, at })
  })

const onPassEnded = (state: SweeperState, exit: Exit.Exit<boolean, Outage>, asked: Asked | null) =>
  Effect.gen(function* () {
    const { options } = state
    state.sweeping = false
    if (asked !== null) asked.reply.done(Exit.map(exit, () => asked.report))
    if (Exit.isFailure(exit)) {
      yield* Effect.logWarning("pass cut short", { sweeper: options.name, cause: String(exit.cause) })
    } else if (!exit.value) {
      state.leads = false
      return yield* Effect.logInfo("sweeper was overtaken", { sweeper: options.name })
    }
    if (state.leads) yield* sweepSoon(state, options.everyMs)
  })
