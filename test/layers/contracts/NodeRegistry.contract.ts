/** What every NodeRegistry must do, whatever it is made of. Whether a restriction holds is always asked of an instant that the test names. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { NodeRegistry } from "../../../src/layers/NodeRegistry.ts"
import type { NodeRow } from "../../../src/schemas/NodeProfile.ts"
import type { Refusal } from "../../../src/schemas/Refusal.ts"
import { aNodeId, aProfile, aRegistration, aRestriction, freshTime, MINUTE } from "../../support/factories.ts"

const kindsOf = (row: NodeRow | null) => row?.restrictions.map(({ kind }) => kind).toSorted()

export const nodeRegistryContract = <E>(backEnd: string, over: Layer.Layer<NodeRegistry, E>) =>
  layer(over, { excludeTestServices: true })(`NodeRegistry on ${backEnd}`, (it) => {
    it.effect("has a new node with its profile, registering and unrestricted", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const registration = aRegistration(at, {
          environment: "mainnet",
          profile: aProfile({
            name: `it's "é"`,
            region: "eu",
            subclouds: ["a", "b.c"],
            gpus: [{ name: "H100", vramMiB: 81_920, usedMiB: 12, utilisation: 0.5 }],
            models: []
          })
        })
        const row = yield* registry.register(registration)

        const { nodeId, environment, profile } = registration
        const dates = { registeredAt: at, lastSeenAt: at }
        assert.deepStrictEqual(row, {
          nodeId,
          environment,
          profile,
          lifecycle: "registering",
          generation: 1,
          ...dates,
          restrictions: []
        })
        assert.deepStrictEqual(yield* registry.get(nodeId, at), row)
        assert.isNull(yield* registry.get(aNodeId(), at))
        assert.deepStrictEqual(yield* registry.history(nodeId), [])
      })
    )

    it.effect(
      "keeps life cycle, first date and restrictions, and takes the new profile, when a node registers again",
      () =>
        Effect.gen(function* () {
          const registry = yield* NodeRegistry
          const at = freshTime()
          const registration = aRegistration(at)
          const { nodeId } = yield* registry.register(registration)
          yield* registry.setLifecycle(nodeId, "active", at)
          const frozen = aRestriction(at, { kind: "frozen" })
          yield* registry.restrict(nodeId, frozen)
          yield* registry.restrict(nodeId, aRestriction(at, { kind: "cooldown", until: at + MINUTE }))
          const profile = aProfile({ slots: 9 })

          const again = yield* registry.register({ ...registration, profile, at: at + MINUTE })

          assert.deepInclude(again, { lifecycle: "active", registeredAt: at, lastSeenAt: at + MINUTE })
          assert.deepStrictEqual(again.profile, profile)
          assert.deepStrictEqual(again.restrictions, [frozen], "those that still hold")
          assert.deepStrictEqual(yield* registry.get(nodeId, at + MINUTE), again)
        })
    )

    it.effect("moves a node through its life cycle, and moves nothing that is not there", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const { nodeId } = yield* registry.register(aRegistration(at))
        for (const lifecycle of ["testing", "active", "draining", "retired"] as const) {
          yield* registry.setLifecycle(nodeId, lifecycle, at + 1)
          assert.strictEqual((yield* registry.get(nodeId, at))?.lifecycle, lifecycle)
        }
        const unknown = aNodeId()
        yield* registry.setLifecycle(unknown, "active", at)
        assert.isNull(yield* registry.get(unknown, at))
      })
    )

    it.effect("holds back until the instant that the restriction names, and no longer", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const { nodeId } = yield* registry.register(aRegistration(at))
        yield* registry.restrict(nodeId, aRestriction(at, { kind: "frozen" }))
        const row = yield* registry.restrict(nodeId, aRestriction(at, { kind: "cooldown", until: at + MINUTE }))

        assert.deepStrictEqual(kindsOf(row), ["cooldown", "frozen"])
        const heldAt = (now: number) => Effect.map(registry.get(nodeId, now), kindsOf)
        assert.deepStrictEqual(yield* heldAt(at + MINUTE - 1), ["cooldown", "frozen"])
        assert.deepStrictEqual(yield* heldAt(at + MINUTE), ["frozen"])
        assert.deepStrictEqual(yield* heldAt(at + 1_000 * MINUTE), ["frozen"])
        const listed = (yield* registry.list(at + MINUTE)).find((each) => each.nodeId === nodeId)
        assert.deepStrictEqual(listed, (yield* registry.get(nodeId, at + MINUTE))!)
      })
    )

    it.effect("has one restriction of a kind, the last one set", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const { nodeId } = yield* registry.register(aRegistration(at))
        yield* registry.restrict(nodeId, aRestriction(at, { until: at + 1 }))
        const second = aRestriction(at + 2, { reason: "again", by: "daemon/x", until: at + MINUTE })
        yield* registry.restrict(nodeId, second)
        assert.deepStrictEqual((yield* registry.get(nodeId, at + 3))?.restrictions, [second])
      })
    )

    it.effect("frees what is lifted, keeps the rest, and takes the lifting of nothing for nothing", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const { nodeId } = yield* registry.register(aRegistration(at))
        yield* registry.restrict(nodeId, aRestriction(at, { kind: "paused" }))
        yield* registry.restrict(nodeId, aRestriction(at, { kind: "shadow_banned" }))

        const lifted = yield* registry.lift(nodeId, "paused", "operator/control", at + 1)
        assert.deepStrictEqual(kindsOf(lifted), ["shadow_banned"])
        const again = yield* registry.lift(nodeId, "paused", "operator/control", at + 2)
        assert.deepStrictEqual(again, lifted)
        assert.deepStrictEqual(yield* registry.get(nodeId, at + 3), lifted)
        assert.strictEqual((yield* registry.history(nodeId)).length, 3)
      })
    )

    it.effect("remembers every restriction ever set and lifted, in order", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const { nodeId } = yield* registry.register(aRegistration(at))
        const first = aRestriction(at, { kind: "cooldown", until: at + 10, reason: "five faults" })
        const second = aRestriction(at + 1, { kind: "cooldown", until: at + 99, reason: "six faults" })
        yield* registry.restrict(nodeId, first)
        yield* registry.restrict(nodeId, second)
        yield* registry.lift(nodeId, "cooldown", "operator/ann", at + 2)
        yield* registry.restrict(nodeId, { ...first, since: at + 3 })

        const history = yield* registry.history(nodeId)

        const set = ({ kind, reason, by, until, since }: typeof first) => ({
          nodeId,
          kind,
          change: "set" as const,
          reason,
          by,
          until,
          at: since
        })
        assert.deepStrictEqual(
          [history[0], history[1], history[3]],
          [set(first), set(second), set({ ...first, since: at + 3 })]
        )
        assert.deepInclude(history[2], { nodeId, kind: "cooldown", change: "lifted", by: "operator/ann", at: at + 2 })
        assert.strictEqual(history.length, 4)
      })
    )

    it.effect("refuses to restrict or to free a node that it does not know", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const nodeId = aNodeId()
        for (const call of [registry.restrict(nodeId, aRestriction(1)), registry.lift(nodeId, "paused", "me", 1)]) {
          assert.strictEqual(((yield* Effect.flip(call)) as Refusal).code, "not_found")
        }
        assert.deepStrictEqual(yield* registry.history(nodeId), [])
      })
    )

    it.effect("lists nodes by id", () =>
      Effect.gen(function* () {
        const registry = yield* NodeRegistry
        const at = freshTime()
        const ids = Array.from({ length: 5 }, aNodeId)
        yield* Effect.forEach(ids, (nodeId) => registry.register(aRegistration(at, { nodeId })), { concurrency: 5 })
        const listed = (yield* registry.list(at)).map(({ nodeId }) => nodeId).filter((nodeId) => ids.includes(nodeId))
        assert.deepStrictEqual(listed, ids.toSorted())
      })
    )
  })
