/**
 * The part of the JobStore suite that holds in any order of calls, by any number of daemons: what `JobModel` predicts one after the other, and
 * the promises about credits and histories (`assertSound`) when the same calls race.
 */
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, type Layer, Schema } from "effect"
import { CreditLedger } from "../../../src/layers/CreditLedger.ts"
import { Daemons } from "../../../src/layers/Daemons.ts"
import { type Admission, type Claim, type Finish, JobStore, type Release } from "../../../src/layers/JobStore.ts"
import { Outbox } from "../../../src/layers/Outbox.ts"
import type { DaemonId, JobId } from "../../../src/schemas/Ids.ts"
import { TerminalState } from "../../../src/schemas/JobState.ts"
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
import { assertSound, type JobServices, messagesOf, type StateCapabilities } from "./StateProbes.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const JobSlot = upTo(3)
const DaemonSlot = upTo(2)
/** Mostly right: the number of the choice that `weighted` makes. */
const Dice = upTo(9)

const Step = Schema.TaggedUnion({
  Grant: { amount: upTo(60) },
  Admit: { job: JobSlot },
  Claim: { job: JobSlot, by: Dice, daemon: DaemonSlot, epoch: Dice, adopts: Schema.Boolean, crashed: Schema.Boolean },
  Release: { job: JobSlot, by: Dice, daemon: DaemonSlot, epoch: Dice },
  Finish: { job: JobSlot, by: Dice, daemon: DaemonSlot, epoch: Dice, state: TerminalState, part: upTo(4), over: Dice },
  Again: { job: JobSlot },
  Join: { daemon: DaemonSlot },
  Bury: { daemon: DaemonSlot }
})
type Step = typeof Step.Type

/** Six of ten are the first choice. */
const weighted = <A>(dice: number, ...choices: readonly [A, ...ReadonlyArray<A>]): A =>
  choices[Math.max(0, dice - 5) % choices.length] ?? choices[0]

/** Long, because what goes wrong needs a claim, a death and a late call in this order; `size` bounds what is drawn, and its default is ten. */
const STEPS_MAX = 40
const Steps = Arbitrary.array(Arbitrary.schema(Step), { minLength: 1, maxLength: STEPS_MAX })
const drawn = (runs: number) => ({ arbitrary: { runs, size: STEPS_MAX } })
const Purse = upTo(150)

/** One namespace, four jobs and three places for daemons; every call takes the row as it is when the call is made. */
const makeStage = Effect.fnUntraced(function* (purse: number) {
  const { id: namespaceId } = yield* fundedNamespace(purse)
  const began = freshTime()
  const jobs = [10, 25, 40, 0].map((reserved) => {
    const job = aJob({ namespaceId, reserved: credits(reserved), acceptedAt: began })
    return { admission: anAdmission(job), job, last: null as Release | Finish | null }
  })
  const daemons: Array<DaemonId> = [aDaemonId(), aDaemonId(), aDaemonId()]
  const stage = { namespaceId, jobs, daemons, now: began, jobIds: jobs.map(({ job }) => job.id) as Array<JobId> }
  return stage
})
type Stage = Effect.Success<ReturnType<typeof makeStage>>

const rowOf = (stage: Stage, slot: number) =>
  Effect.map(
    Effect.flatMap(JobStore, (store) => store.get(stage.jobs[slot]!.job.id)),
    (row) =>
      row ?? {
        job: stage.jobs[slot]!.job,
        state: "queued" as const,
        owner: null,
        epoch: 0,
        attempt: 0,
        failures: 0,
        crashes: 0,
        nodeId: null,
        runAt: stage.now,
        usage: { promptTokens: 0, outputTokens: 0 },
        charged: credits(0),
        errorCode: null,
        finishedAt: null
      }
  )

const claimIn = Effect.fnUntraced(function* (stage: Stage, step: Extract<Step, { _tag: "Claim" }>) {
  const row = yield* rowOf(stage, step.job)
  const daemonId = weighted(step.by, stage.daemons[step.daemon]!, row.owner ?? stage.daemons[step.daemon]!)
  const call: Claim = aClaim(row, daemonId, {
    epochSeen: Math.max(0, row.epoch + weighted(step.epoch, 0, 0, 0, -1, 1)),
    nodeId: step.adopts ? null : aNodeId(),
    crashed: step.crashed,
    at: stage.now
  })
  return call
})

const releaseIn = Effect.fnUntraced(function* (stage: Stage, step: Extract<Step, { _tag: "Release" }>) {
  const row = yield* rowOf(stage, step.job)
  const call: Release = aRelease(row, {
    daemonId: weighted(step.by, row.owner ?? stage.daemons[step.daemon]!, stage.daemons[step.daemon]!),
    epoch: Math.max(0, row.epoch + weighted(step.epoch, 0, 0, 0, -1, 1)),
    runAt: stage.now,
    at: stage.now
  })
  return call
})

const finishIn = Effect.fnUntraced(function* (stage: Stage, step: Extract<Step, { _tag: "Finish" }>) {
  const row = yield* rowOf(stage, step.job)
  const part = (row.job.reserved * BigInt(step.part)) / 4n
  const call: Finish = aFinish(row, {
    daemonId: weighted(step.by, row.owner, row.owner, stage.daemons[step.daemon]!, null),
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
const join = Effect.fnUntraced(function* (stage: Stage, place: number) {
  const daemons = yield* Daemons
  yield* daemons.leave(stage.daemons[place]!, stage.now)
  const id = aDaemonId()
  stage.daemons[place] = id
  yield* daemons.join(id, stage.now)
  return id
})

/** Everybody else beats, and then whoever did not is declared dead. */
const bury = Effect.fnUntraced(function* (stage: Stage, place: number) {
  const daemons = yield* Daemons
  for (const [other, id] of stage.daemons.entries()) if (other !== place) yield* daemons.beat(id, stage.now)
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
      stage.jobs[step.job]!.last = call
      return yield* Effect.asVoid(releaseTag(call))
    }
    case "Finish": {
      const call = yield* finishIn(stage, step)
      stage.jobs[step.job]!.last = call
      return yield* Effect.asVoid(finishTag(call))
    }
    case "Again": {
      const { last } = stage.jobs[step.job]!
      if (last === null) return
      return yield* Effect.asVoid("runAt" in last ? releaseTag(last) : finishTag(last))
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
  const job = "job" in step ? stage.jobs[step.job]! : stage.jobs[0]!
  const guarded = (call: Release | Finish) =>
    "runAt" in call
      ? Effect.map(releaseTag(call), (actual) => holds(actual, model.release(call)))
      : Effect.map(finishTag(call), (actual) => holds(actual, model.finish(call)))
  switch (step._tag) {
    case "Grant":
      yield* grant(stage, step.amount)
      return model.grant(BigInt(step.amount))
    case "Admit":
      return holds(yield* admitTag(job.admission), model.admit(job.job))
    case "Claim": {
      const call = yield* claimIn(stage, step)
      return holds(yield* claimTag(call), model.claim(call))
    }
    case "Release":
      return yield* guarded((job.last = yield* releaseIn(stage, step)))
    case "Finish":
      return yield* guarded((job.last = yield* finishIn(stage, step)))
    case "Again":
      return job.last === null ? undefined : yield* guarded(job.last)
    case "Join": {
      model.living.delete(stage.daemons[step.daemon]!)
      const id = yield* join(stage, step.daemon)
      if (soleOwner) model.living.clear()
      return void model.living.add(id)
    }
    case "Bury": {
      const [id, buried] = [stage.daemons[step.daemon]!, yield* bury(stage, step.daemon)]
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
          const stage = yield* makeStage(purse)
          const model = new JobModel()
          model.grant(BigInt(purse))
          for (const daemon of [0, 1, 2]) yield* compare(stage, model, { _tag: "Join", daemon }, soleOwner)
          for (const job of [0, 1]) yield* compare(stage, model, { _tag: "Admit", job }, soleOwner)
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
          const stage = yield* makeStage(purse)
          for (const daemon of [0, 1, 2]) yield* act(stage, { _tag: "Join", daemon })
          for (const job of [0, 1, 2, 3]) yield* act(stage, { _tag: "Admit", job })
          yield* Effect.forEach(steps, (step) => act(stage, step), { concurrency: 8, discard: true })

          yield* assertSound(stage.namespaceId, stage.jobIds)
          yield* sweep(stage)
        }),
      drawn(50)
    )
  })
