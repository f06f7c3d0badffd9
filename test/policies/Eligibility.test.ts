import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { exclusionOf, type EligibilityContext, type JobNeeds } from "../../src/policies/Eligibility.ts"
import type { NodeId } from "../../src/schemas/Ids.ts"
import { Constraints, Endpoint, GLOBAL } from "../../src/schemas/Job.ts"
import { Exclusion, NodeLifecycle, RestrictionKind, type NodePresence } from "../../src/schemas/NodeProfile.ts"
import { nodeId, presence } from "./Samples.ts"

const needs = (more: Partial<JobNeeds> = {}): JobNeeds => ({
  environment: "testnet",
  endpoint: "chat",
  model: "llama",
  constraints: {},
  ...more
})
const context = (more: Partial<EligibilityContext> = {}): EligibilityContext => ({
  now: 2_000,
  presenceMs: 30_000,
  tried: new Set(),
  needsContinuation: false,
  digests: null,
  ...more
})

/** For each reason, in order: what makes it true, on top of a node and job that fit. */
interface Broken {
  readonly needs?: Partial<JobNeeds>
  readonly node?: Partial<NodePresence>
  readonly context?: Partial<EligibilityContext>
}
const BROKEN: Record<Exclusion, Broken> = {
  environment: { node: { environment: "mainnet" } },
  subcloud: { node: { isolated: true } },
  other_node: { needs: { constraints: { node: nodeId(9) } } },
  restricted: { node: { restrictions: ["paused"] } },
  offline: { node: { lastSeenAt: -28_001 } },
  not_active: { node: { lifecycle: "testing" } },
  unhealthy: { node: { healthy: false } },
  model: { needs: { model: "qwen" } },
  endpoint: { needs: { endpoint: "embeddings" } },
  gpu: { needs: { constraints: { gpu: "H100" } } },
  vram: { needs: { constraints: { vramMinMiB: 40_000 } } },
  region: { needs: { constraints: { region: "us" } } },
  digest: { context: { digests: new Set(["config-2"]) } },
  no_continuation: {
    context: { needsContinuation: true },
    node: { models: [{ name: "llama", endpoints: ["chat"], canContinue: false, loaded: true }] }
  },
  tried: { context: { tried: new Set([nodeId(1)]) } },
  no_free_slot: { node: { leased: 4 } }
}
const reasonOf = (...broken: ReadonlyArray<Broken>) => {
  const wanted = broken.map((one) => one.needs ?? {})
  const constraints = Object.assign({}, ...wanted.map((one) => one.constraints ?? {}))
  return exclusionOf(
    needs({ ...Object.assign({}, ...wanted), constraints }),
    presence(Object.assign({}, ...broken.map((one) => one.node ?? {}))),
    context(Object.assign({}, ...broken.map((one) => one.context ?? {})))
  )
}

describe("Eligibility", () => {
  it("a node that fits everything is eligible", () => {
    assert.isNull(exclusionOf(needs(), presence(), context()))
    const all = { subcloud: "lab", region: "eu", gpu: "rtx 4090", vramMinMiB: 24_564 }
    const strict = context({ digests: new Set(["config-1"]), needsContinuation: true, now: 31_000 })
    assert.isNull(exclusionOf(needs({ constraints: all }), presence({ leased: 3 }), strict))
  })

  for (const [place, reason] of Exclusion.literals.entries()) {
    it(`a node is excluded for ${reason}, when nothing else stands against it`, () => {
      assert.strictEqual(reasonOf(BROKEN[reason]), reason)
    })
    it(`a node is excluded for ${reason} first, when a later reason holds as well`, () => {
      for (const later of Exclusion.literals.slice(place + 1)) {
        assert.strictEqual(reasonOf(BROKEN[later], BROKEN[reason]), reason, `${reason} before ${later}`)
      }
    })
  }

  for (const kind of RestrictionKind.literals) {
    it(`a node is excluded, when it is ${kind}`, () => {
      assert.strictEqual(exclusionOf(needs(), presence({ restrictions: [kind] }), context()), "restricted")
    })
  }

  for (const lifecycle of NodeLifecycle.literals.filter((one) => one !== "active")) {
    it(`a node is excluded, while it is ${lifecycle}`, () => {
      assert.strictEqual(exclusionOf(needs(), presence({ lifecycle }), context()), "not_active")
    })
  }

  it("a quarantined node takes what is for it alone, so that it can show that it is better", () => {
    const quarantined = presence({ nodeId: nodeId(3), restrictions: ["quarantined"] })
    const forIt = needs({ constraints: { node: nodeId(3) } })
    assert.isNull(exclusionOf(forIt, quarantined, context()))
    assert.strictEqual(exclusionOf(needs(), quarantined, context()), "restricted")
    const frozen = presence({ nodeId: nodeId(3), restrictions: ["quarantined", "frozen"] })
    assert.strictEqual(exclusionOf(forIt, frozen, context()), "restricted")
  })

  it("a job of a subcloud never falls back to the global pool", () => {
    const lab = needs({ constraints: { subcloud: "lab" } })
    assert.strictEqual(exclusionOf(lab, presence({ subclouds: [] }), context()), "subcloud")
    assert.strictEqual(exclusionOf(lab, presence({ subclouds: ["other"] }), context()), "subcloud")
    assert.isNull(exclusionOf(lab, presence({ isolated: true }), context()))
  })

  it("an isolated node takes no job of the global pool, also when the job says so by name", () => {
    const isolated = presence({ isolated: true, subclouds: ["lab", GLOBAL] })
    assert.strictEqual(exclusionOf(needs(), isolated, context()), "subcloud")
    assert.strictEqual(exclusionOf(needs({ constraints: { subcloud: GLOBAL } }), isolated, context()), "subcloud")
    assert.isNull(exclusionOf(needs({ constraints: { subcloud: GLOBAL } }), presence({ subclouds: [] }), context()))
  })

  it("a GPU class is matched by whole words", () => {
    const withGpu = (name: string) => presence({ gpus: [{ name, vramMiB: 80_000 }] })
    const wants = (gpu: string) => needs({ constraints: { gpu } })
    assert.isNull(exclusionOf(wants("A100"), withGpu("NVIDIA A100-SXM4-80GB"), context()))
    assert.isNull(exclusionOf(wants("a100 sxm4"), withGpu("NVIDIA A100-SXM4-80GB"), context()))
    assert.strictEqual(exclusionOf(wants("A10"), withGpu("NVIDIA A100-SXM4-80GB"), context()), "gpu")
    assert.strictEqual(exclusionOf(wants("4090 RTX"), withGpu("NVIDIA GeForce RTX 4090"), context()), "gpu")
  })

  it("memory must be on one GPU, and on one of the class that is asked for", () => {
    const two = presence({
      gpus: [
        { name: "A100", vramMiB: 40_960 },
        { name: "L4", vramMiB: 24_576 }
      ]
    })
    const wants = (gpu: string, vramMinMiB: number) => needs({ constraints: { gpu, vramMinMiB } })
    assert.strictEqual(exclusionOf(needs({ constraints: { vramMinMiB: 48_000 } }), two, context()), "vram")
    assert.strictEqual(exclusionOf(wants("L4", 40_000), two, context()), "vram")
    assert.isNull(exclusionOf(wants("A100", 40_000), two, context()))
  })

  it("a node without a region is excluded only when a region is asked for", () => {
    assert.isNull(exclusionOf(needs(), presence({ region: null }), context()))
    assert.strictEqual(
      exclusionOf(needs({ constraints: { region: "eu" } }), presence({ region: null }), context()),
      "region"
    )
  })
})

const oneOf = <const A>(...values: ReadonlyArray<A>) =>
  Arbitrary.map(Arbitrary.schema(Schema.Natural), (at) => values[at % values.length]!)
/** The first nine times of ten, so that many nodes pass the early reasons and the late ones are reached. */
const mostly = <const A>(usual: A, ...others: ReadonlyArray<A>) =>
  Arbitrary.map(Arbitrary.all([Arbitrary.schema(Schema.Natural), Arbitrary.schema(Schema.Natural)]), ([odds, at]) =>
    odds % 10 === 9 ? others[at % others.length]! : usual
  )
const worlds = {
  moved: mostly(false, true),
  endpoint: mostly<Endpoint>("chat", "completions", "embeddings"),
  model: mostly("llama", "qwen"),
  constraints: Arbitrary.all({
    subcloud: oneOf(undefined, undefined, "lab", GLOBAL),
    region: mostly(undefined, "eu", "us"),
    gpu: mostly(undefined, "4090", "H100"),
    vramMinMiB: mostly(undefined, 0, 16_000, 80_000),
    node: mostly(undefined, nodeId(1), nodeId(9))
  }),
  node: Arbitrary.all({
    restrictions: mostly<ReadonlyArray<RestrictionKind>>(
      [],
      ["shadow_banned"],
      ["paused", "frozen"],
      ["quarantined"],
      ["quarantined", "paused"]
    ),
    lifecycle: mostly<NodeLifecycle>("active", "draining", "registering"),
    healthy: mostly(true, false),
    isolated: mostly(false, true),
    subclouds: mostly<ReadonlyArray<string>>(["lab"], [], ["other"]),
    region: mostly("eu", "us", null),
    leased: oneOf(0, 1, 3, 4, 5),
    lastSeenAt: mostly(2_000, 1_000, -28_000, -28_001)
  }),
  tried: mostly(false, true),
  needsContinuation: Schema.Boolean,
  canContinue: mostly(true, false),
  digests: mostly(null, new Set(["config-1"]), new Set(["config-2"]))
}
const seen = new Map<Exclusion | null, number>()

describe("Eligibility, for any job and node", () => {
  it.prop(
    "a node without a reason against it satisfies everything; another fails just that reason and none before",
    worlds,
    (world) => {
      const constraints = Object.fromEntries(
        Object.entries(world.constraints).filter(([, value]) => value !== undefined)
      )
      const job = needs({
        environment: world.moved ? "mainnet" : "testnet",
        endpoint: world.endpoint,
        model: world.model,
        constraints: constraints as Constraints
      })
      const models = [
        { name: "llama", endpoints: ["chat", "completions"] as const, canContinue: world.canContinue, loaded: true }
      ]
      const node = presence({ ...world.node, environment: "testnet", models })
      const given = context({
        tried: new Set<NodeId>(world.tried ? [node.nodeId] : []),
        needsContinuation: world.needsContinuation,
        digests: world.digests
      })
      const satisfied = satisfactions(job, node, given)
      const first = Exclusion.literals.find((reason) => !satisfied[reason]) ?? null
      seen.set(first, (seen.get(first) ?? 0) + 1)
      assert.strictEqual(exclusionOf(job, node, given), first)
    },
    { arbitrary: { runs: 2_000 } }
  )

  it("the property above has met every reason, and nodes without one", () => {
    for (const reason of [...Exclusion.literals, null]) assert.isAtLeast(seen.get(reason) ?? 0, 5, `${reason}`)
  })
})

/** Written apart from the policy: each requirement alone, without an order. */
const satisfactions = (job: JobNeeds, node: NodePresence, given: EligibilityContext): Record<Exclusion, boolean> => {
  const { subcloud, region, gpu, vramMinMiB, node: only } = job.constraints
  const model = node.models.find((one) => one.name === job.model)
  const fits = node.gpus.filter(
    (one) => gpu === undefined || one.name.toLowerCase().split(" ").includes(gpu.toLowerCase())
  )
  return {
    environment: job.environment === node.environment,
    subcloud:
      subcloud === undefined || subcloud === GLOBAL ? !node.isolated : node.subclouds.some((one) => one === subcloud),
    other_node: (only ?? node.nodeId) === node.nodeId,
    restricted:
      node.restrictions.length === 0 ||
      (only === node.nodeId && node.restrictions.every((kind) => kind === "quarantined")),
    offline: given.now <= node.lastSeenAt + given.presenceMs,
    not_active: node.lifecycle === "active",
    unhealthy: node.healthy,
    model: model !== undefined,
    endpoint: model !== undefined && model.endpoints.some((one) => one === job.endpoint),
    gpu: gpu === undefined || fits.length > 0,
    vram: (vramMinMiB ?? 0) === 0 || fits.some((one) => one.vramMiB >= (vramMinMiB ?? 0)),
    region: region === undefined || region === node.region,
    digest: given.digests === null || given.digests.has(node.digest),
    no_continuation: !given.needsContinuation || model?.canContinue === true,
    tried: !given.tried.has(node.nodeId),
    no_free_slot: node.slots - node.leased > 0
  }
}
