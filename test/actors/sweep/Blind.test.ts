/**
 * That nobody can tell a blind job from a customer's: not by the frame that the node gets, not by the line that its owner is shown, not by what is paid.
 * The classifier knows which jobs are which, and looks for anything that holds for blind jobs only.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { JobSearch } from "../../../src/layers/JobSearch.ts"
import { ownersViewOf } from "../../../src/http/NodeOwnersView.ts"
import { viewOf } from "../../../src/http/JobViews.ts"
import { Mode } from "../../../src/schemas/Job.ts"
import { isSystemNamespace } from "../../../src/schemas/Namespace.ts"
import type { AssignFrame, MemoryAgent } from "../../support/MemoryAgent.ts"
import { aRequest } from "../../support/worldFactories.ts"
import { World, type WorldDaemon } from "../../support/World.ts"
import { addSet, ANYTHING, passing, trialsOf } from "./QualityWorld.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** What a customer's client sends, one way every time. */
const Habit = Schema.Struct({
  mode: Mode,
  maxTokens: Schema.Literals(["max_tokens", "max_completion_tokens", "none"]),
  tokens: between(16, 64),
  temperature: Schema.optionalKey(between(0, 2)),
  seed: Schema.optionalKey(between(0, 9)),
  topP: Schema.optionalKey(between(0, 1)),
  modelLast: Schema.Boolean,
  user: Schema.Boolean,
  deadlineMs: Schema.NullOr(Schema.Literals([30_000, 60_000]))
})
type Habit = typeof Habit.Type

let asked = 0
const requestOf = ({ mode, maxTokens, tokens, temperature, seed, topP, modelLast, user, deadlineMs }: Habit) => {
  const model = { model: "sim-small" }
  const body = {
    ...(modelLast ? {} : model),
    ...(temperature === undefined ? {} : { temperature }),
    messages: [{ role: "user", content: `a customer's question ${++asked}` }],
    ...(seed === undefined ? {} : { seed }),
    ...(maxTokens === "none" ? {} : { [maxTokens]: tokens }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(modelLast ? model : {}),
    ...(user ? { user: "somebody" } : {}),
    ...(mode === "stream" ? { stream: true } : {})
  }
  const { user: _user, stream: _stream, ...sent } = body as Record<string, Schema.Json>
  return aRequest({
    mode,
    body: sent as Schema.JsonObject,
    request: body as Schema.JsonObject,
    outputTokensMax: maxTokens === "none" ? null : tokens,
    deadlineMs
  })
}

const shape = (text: string) => text.replaceAll(/[a-z0-9]/g, "x")

/** Everything of a frame but the ids' own characters and the text that is asked. */
const featuresOf = (frame: AssignFrame): Readonly<Record<string, string>> => {
  const { jobId, lease, salt, body, deadlineMs, ...rest } = frame
  const { messages, ...fields } = body as { readonly messages: ReadonlyArray<Record<string, unknown>> }
  return {
    keys: Object.keys(frame).join(),
    // What waited a moment for a slot has a moment less.
    deadlineSeconds: String(Math.ceil(deadlineMs / 1000)),
    jobId: shape(jobId),
    leaseShape: shape(lease),
    saltShape: shape(salt),
    leaseNames: lease.startsWith(`lease_${jobId.slice("job_".length)}-`) ? "its job" : "another",
    bodyKeys: Object.keys(body).join(),
    messages: JSON.stringify(messages.map((message) => [Object.keys(message), message["role"]])),
    ...Object.fromEntries(Object.entries(fields).map(([key, value]) => [`body.${key}`, JSON.stringify(value)])),
    ...Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, JSON.stringify(value)]))
  }
}

/** What is said of some of these and of none of those. */
const tellsApart = (
  these: ReadonlyArray<Readonly<Record<string, string>>>,
  those: ReadonlyArray<Readonly<Record<string, string>>>
): ReadonlyArray<string> => {
  const said = new Set(those.flatMap((one) => Object.entries(one).map(([name, value]) => `${name}=${value}`)))
  const ours = these.flatMap((one) => Object.entries(one).map(([name, value]) => `${name}=${value}`))
  return [...new Set(ours.filter((feature) => !said.has(feature)))]
}

const isBlind = (world: World, frame: AssignFrame) => isSystemNamespace(world.row(frame.jobId).job.namespaceId)

const busyWorld = (habits: ReadonlyArray<Habit>) =>
  Effect.gen(function* () {
    const world = yield* World.make({ settings: { blindPerHour: 3600 } })
    const daemon = yield* world.daemon()
    const agent = yield* world.agent(daemon)
    const customer = yield* world.caller(daemon)
    const ask = Effect.gen(function* () {
      const rows = yield* Effect.forEach(habits, (habit) => world.submit(daemon, customer, requestOf(habit)))
      yield* world.until("they are over", () => rows.every(({ job }) => world.isOver(job.id)))
    })
    yield* ask
    yield* addSet(daemon, ANYTHING)
    yield* passing(
      world,
      "trials have ended",
      Effect.map(endedTrials(daemon, agent), (count) => count >= 6)
    )
    yield* ask
    return { world, daemon, agent, customer }
  })

const endedTrials = (daemon: WorldDaemon, agent: MemoryAgent) =>
  Effect.map(trialsOf(daemon, agent), (trials) => trials.filter(({ state }) => state === "passed").length)

describe("a blind job", () => {
  it.effect.prop(
    "C46, D119: nothing in its Assign frame is unlike what customers' jobs have, whatever customers send",
    { habits: Arbitrary.array(Arbitrary.schema(Habit), { minLength: 1, maxLength: 4 }) },
    ({ habits }) =>
      Effect.gen(function* () {
        const { world, agent } = yield* busyWorld(habits)
        const blind = agent.assigned.filter((frame) => isBlind(world, frame))
        const ordinary = agent.assigned.filter((frame) => !isBlind(world, frame))

        assert.isAtLeast(blind.length, 6)
        assert.deepStrictEqual(tellsApart(blind.map(featuresOf), ordinary.map(featuresOf)), [])
        // Not together either: each frame as a whole looks like one that a customer caused.
        const whole = ordinary.map((frame) => JSON.stringify(featuresOf(frame)))
        for (const frame of blind) assert.include(whole, JSON.stringify(featuresOf(frame)))
        assert.notMatch(JSON.stringify(blind), /trial|blind|system|quality|retest|replica|set-|ns_|key_/)
      }),
    { arbitrary: { runs: 8 } }
  )

  it.effect("C46, C47: the node's owner sees it as an ordinary line that earned like every other", () =>
    Effect.gen(function* () {
      const habit = {
        mode: "sync",
        maxTokens: "max_tokens",
        tokens: 24,
        modelLast: false,
        user: true,
        deadlineMs: null
      } as const
      const { world, daemon, agent } = yield* busyWorld([habit])
      const search = JobSearch.use((jobs) =>
        jobs.search({ _tag: "Operator", by: "test" }, { nodeId: agent.nodeId }, null, 1000)
      )
      const jobs = yield* Effect.orDie(daemon.use(search))
      const [blind, ordinary] = [true, false].map((wanted) =>
        jobs.filter(({ namespaceId }) => isSystemNamespace(namespaceId) === wanted)
      )
      assert.isAtLeast(blind!.length, 6)
      const looks = (list: typeof jobs) =>
        new Set(
          list.map(ownersViewOf).map(({ jobId, cost, ...line }) => {
            assert.match(jobId, /^job_[a-z0-9]{26}$/)
            assert.match(cost ?? "", /^0\.\d+$/)
            return JSON.stringify(Object.entries(line).map(([key, value]) => [key, typeof value]))
          })
        )
      assert.deepStrictEqual(looks(blind!), looks(ordinary!))
      assert.notMatch(JSON.stringify(jobs.map(ownersViewOf)), /trial|blind|system|ns_|key_|0x[0-9a-f]{40}/)
      // The customer's form of a row has the same fields as well, and none that could name the node.
      const views = [blind!, ordinary!].map((list) => Object.keys(viewOf(world.row(list[0]!.jobId))).join())
      assert.strictEqual(views[0], views[1])
      assert.notInclude(views[0], "constraints")
    })
  )

  it.effect("comes at no time that could be foreseen: the gaps between trials differ", () =>
    Effect.gen(function* () {
      const world = yield* World.make({ settings: { blindPerHour: 240 } })
      const daemon = yield* world.daemon()
      const agent = yield* world.agent(daemon)
      yield* addSet(daemon, ANYTHING)
      yield* passing(
        world,
        "trials have ended",
        Effect.map(endedTrials(daemon, agent), (count) => count >= 20)
      )
      const at = (yield* trialsOf(daemon, agent)).map(({ plannedAt }) => plannedAt).toReversed()
      const gaps = new Set(at.slice(1).map((next, index) => next - at[index]!))
      assert.isAtLeast(gaps.size, 4)
      // And about as often as was asked for: 15 seconds apart on average.
      const mean = (at.at(-1)! - at[0]!) / (at.length - 1)
      assert.isAbove(mean, 7_500)
      assert.isBelow(mean, 40_000)
    })
  )
})
