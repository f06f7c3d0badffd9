/**
 * The part of the JobStore suite that holds in any order of calls, by any number of daemons: what `JobModel` predicts one after the other, and
 * the promises about credits and histories (`assertSound`) when the same calls race.
 */
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, type Layer, Schema } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import {
  type Admission,
  type Claim,
  type Finish,
  JobStore,
  queuedRow,
  type Release
} from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import type { DaemonId, JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal, type JobRow, TerminalState } from "../../../src/schemas/JobState.ts"
import {
  aClaim,
  aDaemonId,
  aFinish,
  aJob,
  anAdmission,
  aNodeId,
  aRelease,
  credits,
  freshTime,
  fundedNamespace,
  unique
} from "../../support/factories.ts"
import { JobModel } from "./JobModel.ts"
import { assertSound, type JobServices, messagesOf, type StateCapabilities, takingTurns } from "./StateProbes.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const RESERVED = [10, 25, 40, 0, 5, 1]
const JobSlot = upTo(RESERVED.length - 1)
const DaemonSlot = upTo(2)
/** Decides how right a call is: `weighted` mostly takes the first choice. */
const Dice = upTo(9)

const aim = { job: JobSlot, fits: Dice, by: Dice, daemon: DaemonSlot, epoch: Dice }

const Step = Schema.TaggedUnion({
  Grant: { amount: upTo(99) },
  Admit: { job: JobSlot },
  Claim: { ...aim, adopts: Schema.Boolean, crashed: Schema.Boolean, from: DaemonSlot },
  Release: aim,
  Finish: { ...aim, state: TerminalState, part: upTo(4), over: Dice },
  Again: { back: upTo(2) },
  Join: { daemon: DaemonSlot },
  Bury: { daemon: DaemonSlot }
})
type Step = typeof Step.Type

/** Six of ten are the first choice. */
const weighted = <A>(dice: number, ...choices: readonly [A, ...ReadonlyArray<A>]): A =>
  choices[Math.max(0, dice - 5) % choices.length] ?? choices[0]

/** Long, because what goes wrong needs a claim, a death and a late call in this order. The length is drawn below `size`, which grows with the runs. */
const STEPS_MAX = 40
const Steps = Arbitrary.array(Arbitrary.schema(Step), { minLength: 1, maxLength: STEPS_MAX })
const drawn = (runs: number) => ({ arbitrary: { runs, size: 5 * STEPS_MAX } })
/** All of `RESERVED` is 81. */
const Purse = upTo(120)

/** One namespace, some jobs, and places for as many daemons as may live at a time; every call takes the row as it is when the call is made. */
const makeStage = Effect.fnUntraced(function* (purse: number, soleOwner: boolean) {
  const { id: namespaceId } = yield* fundedNamespace(purse)
  const began = freshTime()
  const jobs = RESERVED.map((reserved) => {
    const job = aJob({ namespaceId, reserved: credits(reserved), acceptedAt: began })
    return { admission: anAdmission(job), job }
  })
  const daemons: Array<DaemonId> = Array.from({ length: soleOwner ? 1 : 3 }, aDaemonId)
  const jobIds: ReadonlyArray<JobId> = jobs.map(({ job }) => job.id)
  const said: Array<Release | Finish> = []
  return { namespaceId, jobs, jobIds, daemons, said, now: began }
})
type Stage = Effect.Success<ReturnType<typeof makeStage>>

const placeOf = (stage: Stage, slot: number) => slot % stage.daemons.length
const daemonAt = (stage: Stage, slot: number) => stage.daemons[placeOf(stage, slot)]!

/** The row that a call is about: mostly one in a state that the call fits, so that long ways are walked; else the one in that place. */
const rowFor = Effect.fnUntraced(function* (
  stage: Stage,
  { job, fits }: { readonly job: number; readonly fits: number },
  wanted: (row: JobRow) => boolean
) {
  const store = yield* JobStore
  const rows = yield* Effect.forEach(stage.jobs, (each) => store.get(each.job.id))
  const fitting = rows.filter((row) => row !== null).filter(wanted)
  const placed = rows[job] ?? queuedRow(stage.jobs[job]!.job)
  return weighted(fits, fitting[job % Math.max(1, fitting.length)] ?? placed, placed)
})

const claimIn = Effect.fnUntraced(function* (stage: Stage, step: Extract<Step, { _tag: "Claim" }>) {
  const row = yield* rowFor(stage, step, ({ state }) => !isTerminal(state))
  const daemonId = weighted(step.by, daemonAt(stage, step.daemon), row.owner ?? daemonAt(stage, step.daemon))
  const call: Claim = aClaim(row, daemonId, {
    epochSeen: Math.max(0, row.epoch + weighted(step.epoch, 0, 0, 0, -1, 1)),
    nodeId: step.adopts ? null : aNodeId(),
    from: weighted(step.by, null, daemonAt(stage, step.from)),
    crashed: step.crashed,
    at: stage.now
  })
  return call
})

const releaseIn = Effect.fnUntraced(function* (stage: Stage, step: Extract<Step, { _tag: "Release" }>) {
  const row = yield* rowFor(stage, step, ({ state }) => state === "active")
  const call: Release = aRelease(row, {
    daemonId: weighted(step.by, row.owner ?? daemonAt(stage, step.daemon), daemonAt(stage, step.daemon)),
    epoch: Math.max(0, row.epoch + weighted(step.epoch, 0, 0, 0, -1, 1)),
    runAt: stage.now,
    at: stage.now
  })
  return call
})

const finishIn = Effect.fnUntraced(function* (stage: Stage, step: Extract<Step, { _tag: "Finish" }>) {
  const row = yield* rowFor(stage, step, ({ state }) => state === "active")
  const part = (row.job.reserved * BigInt(step.part)) / 4n
  const call: Finish = aFinish(row, {
    daemonId: weighted(step.by, row.owner, daemonAt(stage, step.daemon), null),
    epoch: Math.max(0, row.epoch + weighted(step.epoch, 0, 0, 0, -1, 1)),
    state: step.state,
    charge: credits(step.over === 9 ? row.job.reserved + 1n : part),
    at: stage.now
  })
  return call
})

/** The tag of an answer: of what was returned, the code of what was refused, or that it died. */
const tagOf = <A, R>(body: Effect.Effect<A, unknown, R>, ofValue: (value: A) => string) =>
  Effect.map(Effect.exit(body), (exit) => {
    if (Exit.isSuccess(exit)) return ofValue(exit.value)
    const failure = exit.cause.reasons.find(Cause.isFailReason)?.error as { code?: string } | undefined
    return failure === undefined ? "Died" : (failure.code ?? "Failed")
  })

const admitTag = (admission: Admission) =>
  Effect.flatMap(JobStore, (store) => tagOf(store.admit(admission), ({ created }) => (created ? "Created" : "Known")))
const claimTag = (call: Claim) =>
  Effect.flatMap(JobStore, (store) =>
    tagOf(store.claim(call), (answer) => (answer._tag === "Refused" ? answer.why : answer._tag))
  )
const releaseTag = (call: Release) =>
  Effect.flatMap(JobStore, (store) => tagOf(store.release(call), ({ _tag }) => _tag))
const finishTag = (call: Finish) => Effect.flatMap(JobStore, (store) => tagOf(store.finish(call), ({ _tag }) => _tag))

/** The place gets a new incarnation; the one before it leaves first, if it still lives. */
const join = Effect.fnUntraced(function* (stage: Stage, slot: number) {
  const daemons = yield* Daemons
  const place = placeOf(stage, slot)
  yield* daemons.leave(stage.daemons[place]!, stage.now)
  const id = aDaemonId()
  stage.daemons[place] = id
  yield* daemons.join(id, stage.now)
  return id
})

/** Everybody else beats, and then whoever did not is declared dead. */
const bury = Effect.fnUntraced(function* (stage: Stage, slot: number) {
  const daemons = yield* Daemons
  for (const id of stage.daemons) if (id !== daemonAt(stage, slot)) yield* daemons.beat(id, stage.now)
  return yield* daemons.bury(stage.now)
})

const grant = (stage: Stage, amount: number) =>
  Effect.flatMap(CreditLedger, (ledger) =>
    ledger.grant({
      namespaceId: stage.namespaceId,
      amount: credits(amount),
      reference: `more ${unique()}`,
      at: stage.now
    })
  )

/** Does the step on the store, whatever comes of it. */
const act = Effect.fnUntraced(function* (stage: Stage, step: Step) {
  stage.now += 1
  switch (step._tag) {
    case "Grant":
      return yield* Effect.asVoid(grant(stage, step.amount))
    case "Admit":
      return yield* Effect.asVoid(admitTag(stage.jobs[step.job]!.admission))
    case "Claim":
      return yield* Effect.asVoid(Effect.flatMap(claimIn(stage, step), claimTag))
    case "Release": {
      const call = yield* releaseIn(stage, step)
      stage.said.push(call)
      return yield* Effect.asVoid(releaseTag(call))
    }
    case "Finish": {
      const call = yield* finishIn(stage, step)
      stage.said.push(call)
      return yield* Effect.asVoid(finishTag(call))
    }
    case "Again": {
      const call = stage.said.at(-1 - step.back)
      if (call === undefined) return
      return yield* Effect.asVoid("runAt" in call ? releaseTag(call) : finishTag(call))
    }
    case "Join":
      return yield* Effect.asVoid(join(stage, step.daemon))
    case "Bury":
      return yield* Effect.asVoid(bury(stage, step.daemon))
  }
})

/** Does the step on both and holds the answer to what the model allows. */
const compare = Effect.fnUntraced(function* (stage: Stage, model: JobModel, step: Step, soleOwner: boolean) {
  stage.now += 1
  const holds = (actual: string, allowed: ReadonlyArray<string>) =>
    assert.include(allowed, actual, `${JSON.stringify(step)}: ${actual}, not ${allowed.join(" or ")}`)
  const guarded = (call: Release | Finish) => {
    if (step._tag !== "Again") stage.said.push(call)
    return "runAt" in call
      ? Effect.map(releaseTag(call), (actual) => holds(actual, model.release(call)))
      : Effect.map(finishTag(call), (actual) => holds(actual, model.finish(call)))
  }
  switch (step._tag) {
    case "Grant":
      yield* grant(stage, step.amount)
      return model.grant(BigInt(step.amount))
    case "Admit": {
      const { admission, job } = stage.jobs[step.job]!
      return holds(yield* admitTag(admission), model.admit(job))
    }
    case "Claim": {
      const call = yield* claimIn(stage, step)
      return holds(yield* claimTag(call), model.claim(call))
    }
    case "Release":
      return yield* guarded(yield* releaseIn(stage, step))
    case "Finish":
      return yield* guarded(yield* finishIn(stage, step))
    case "Again": {
      const call = stage.said.at(-1 - step.back)
      return call === undefined ? undefined : yield* guarded(call)
    }
    case "Join": {
      model.living.delete(daemonAt(stage, step.daemon))
      const id = yield* join(stage, step.daemon)
      if (soleOwner) model.living.clear()
      return void model.living.add(id)
    }
    case "Bury": {
      const [id, buried] = [daemonAt(stage, step.daemon), yield* bury(stage, step.daemon)]
      assert.strictEqual(buried.includes(id), model.living.delete(id))
      return assert.isFalse(buried.some((each) => model.living.has(each)))
    }
  }
})

const agree = Effect.fnUntraced(function* (stage: Stage, model: JobModel) {
  const store = yield* JobStore
  for (const id of stage.jobIds) {
    const row = yield* store.get(id)
    const expected = model.jobs.get(id)
    assert.strictEqual(row === null, expected === undefined)
    if (row === null || expected === undefined) continue
    const { state, owner, epoch, attempt, crashes, charged } = row
    const { last: _, reserved: __, ...facts } = expected
    assert.deepStrictEqual({ state, owner, epoch, attempt, crashes, charged: charged as bigint }, facts)
  }
  const { granted, available, spent } = yield* (yield* CreditLedger).balance(stage.namespaceId)
  assert.deepStrictEqual([granted, available, spent] as Array<bigint>, [model.granted, model.available, model.spent])
})

/** Sends the messages, so that a store of many runs does not grow. */
const sweep = Effect.fnUntraced(function* (stage: Stage) {
  yield* (yield* Outbox).sent((yield* messagesOf(...stage.jobIds)).map(({ id }) => id))
})

export const jobLaws = <E>(
  backEnd: string,
  over: Layer.Layer<JobServices, E>,
  { soleOwner = false }: StateCapabilities
) =>
  layer(over, { excludeTestServices: true })(`JobStore (laws) on ${backEnd}`, (it) => {
    it.effect.prop(
      "answers as its model predicts and stays sound, in any order of calls by several daemons",
      { steps: Steps, purse: Purse },
      ({ steps, purse }) =>
        Effect.gen(function* () {
          const stage = yield* makeStage(purse, soleOwner)
          const model = new JobModel()
          model.grant(BigInt(purse))
          for (const daemon of stage.daemons.keys()) yield* compare(stage, model, { _tag: "Join", daemon }, soleOwner)
          for (const job of RESERVED.keys())
            if (job % 2 === 0) yield* compare(stage, model, { _tag: "Admit", job }, soleOwner)
          for (const step of steps) yield* compare(stage, model, step, soleOwner)

          yield* agree(stage, model)
          yield* assertSound(stage.namespaceId, stage.jobIds)
          yield* sweep(stage)
        }),
      drawn(150)
    )

    it.effect.prop(
      "stays sound, when the same calls race",
      { steps: Steps, purse: Purse },
      ({ steps, purse }) =>
        Effect.gen(function* () {
          const stage = yield* makeStage(purse, soleOwner)
          for (const daemon of stage.daemons.keys()) yield* act(stage, { _tag: "Join", daemon })
          for (const job of RESERVED.keys()) yield* act(stage, { _tag: "Admit", job })
          yield* takingTurns(Effect.forEach(steps, (step) => act(stage, step), { concurrency: 8, discard: true }))

          yield* assertSound(stage.namespaceId, stage.jobIds)
          yield* sweep(stage)
        }),
      drawn(50)
    )
  })
