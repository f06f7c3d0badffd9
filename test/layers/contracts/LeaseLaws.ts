/** The part of the Leases suite about slots that nobody may be using (which they are, and freeing those that are still as they were seen), and the law over all steps. */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { type CandidateQuery, Leases, type SeenLease, type StrangersQuery } from "../../../src/layers/Leases.ts"
import { LiveNodes } from "../../../src/layers/LiveNodes.ts"
import type { Outage } from "../../../src/layers/Outage.ts"
import type { LeaseToken } from "../../../src/schemas/Ids.ts"
import { aLease, aModel, aNode, aNodeId, aSession, announced, aToken, HOUR, inAnHour, MINUTE } from "./LiveFactories.ts"

const seen = ({ token, expiresAt }: SeenLease): SeenLease => ({ token, expiresAt })

const query = (model: string, now: number): CandidateQuery => ({
  environment: "testnet",
  model,
  sampleMax: 16,
  except: new Set(),
  now
})

export const leaseLaws = <R>(backEnd: string, over: Layer.Layer<LiveNodes | Leases | R, Outage>) =>
  layer(over, { excludeTestServices: true })(`Leases (laws) on ${backEnd}`, (it) => {
    it.effect(
      "names the leases of a node that the asker does not know, the first to end first, and no more than asked",
      () =>
        Effect.gen(function* () {
          const leases = yield* Leases
          const now = yield* inAnHour
          const node = yield* announced(aNode(aModel(), { slots: 8 }), now + HOUR)
          const other = yield* announced(aNode(aModel()), now + HOUR)
          const [late, soon, known, over] = [30, 10, 20, 1].map((ms) => aLease(node.nodeId, now + ms * MINUTE))
          for (const lease of [late!, soon!, known!, over!, aLease(other.nodeId, now + HOUR)]) {
            assert.isTrue(yield* leases.take(lease, now))
          }
          const { nodeId, sessionId } = node
          const ask = (over: Partial<StrangersQuery> = {}) =>
            leases.strangers({ nodeId, sessionId, known: new Set([known!.token]), max: 8, now: now + MINUTE, ...over })

          const found = [seen(soon!), seen(late!)]
          assert.deepStrictEqual(yield* ask(), found)
          assert.deepStrictEqual(yield* ask({ max: 1 }), found.slice(0, 1))
          assert.strictEqual((yield* ask({ known: new Set() })).length, 3)
          assert.deepStrictEqual(yield* ask({ sessionId: aSession() }), [], "another session")
          assert.deepStrictEqual(yield* ask({ nodeId: aNodeId() }), [], "unknown")
        })
    )

    it.effect("frees leases that are as they were seen, and none that was taken or renewed since", () =>
      Effect.gen(function* () {
        const leases = yield* Leases
        const now = yield* inAnHour
        const model = aModel()
        const { nodeId, sessionId } = yield* announced(aNode(model, { slots: 5 }), now + HOUR)
        const all = Array.from({ length: 5 }, () => aLease(nodeId, now + 10 * MINUTE))
        for (const lease of all) yield* leases.take(lease, now)
        const [, , again, earlier, renewed] = all
        yield* leases.take(again!, now)
        yield* leases.take({ ...earlier!, expiresAt: now + MINUTE }, now)
        yield* leases.renew({ ...renewed!, expiresAt: now + 5 * MINUTE }, now)

        assert.strictEqual(yield* leases.releaseUnchanged(nodeId, aSession(), all.map(seen)), 0)
        assert.strictEqual(
          yield* leases.releaseUnchanged(nodeId, sessionId, [...all.map(seen), seen(aLease(nodeId, 1))]),
          2
        )
        assert.strictEqual(yield* leases.releaseUnchanged(nodeId, sessionId, all.map(seen)), 0)

        assert.strictEqual((yield* (yield* LiveNodes).get(nodeId, now))?.leased, 3)
        const [candidate] = (yield* leases.candidates({
          environment: "testnet",
          model,
          sampleMax: 16,
          except: new Set(),
          now
        })).nodes
        assert.strictEqual(candidate?.leased, 3)
        const left = yield* leases.strangers({ nodeId, sessionId, known: new Set(), max: 8, now })
        assert.deepStrictEqual(
          left.map(({ token }) => token).toSorted(),
          [again!, earlier!, renewed!].map(({ token }) => token).toSorted()
        )
        assert.strictEqual(yield* leases.releaseUnchanged(nodeId, sessionId, left), 3)
      })
    )

    const Token = Schema.Literals(["a", "b", "c", "d"])
    const Ms = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))
    const Step = Schema.Union([
      Schema.TaggedStruct("take", { token: Token, ms: Ms }),
      Schema.TaggedStruct("renew", { token: Token, ms: Ms }),
      Schema.TaggedStruct("release", { token: Token }),
      Schema.TaggedStruct("look", { known: Schema.Array(Token) }),
      Schema.TaggedStruct("releaseUnchanged", {}),
      Schema.TaggedStruct("announce", { slots: Schema.Literals([1, 2, 3]), ms: Ms }),
      Schema.TaggedStruct("pass", { ms: Ms })
    ])
    it.effect.prop(
      "grants no lease beyond the slots, under any order of takes, renewals, releases, expiries and announcements",
      { steps: Schema.Array(Step).check(Schema.isMinLength(1)) },
      ({ steps }) =>
        Effect.gen(function* () {
          const leases = yield* Leases
          const nodes = yield* LiveNodes
          const node = aNode(aModel())
          const tokens: Record<string, LeaseToken> = { a: aToken(), b: aToken(), c: aToken(), d: aToken() }
          let now = yield* inAnHour
          let present = { slots: 0, until: now }
          let looked: ReadonlyArray<SeenLease> = []
          const held = new Map<string, number>()
          const known = () => present.until > now
          for (const step of steps) {
            for (const [token, until] of held) if (until <= now) held.delete(token)
            const lease =
              "token" in step ? aLease(node.nodeId, "ms" in step ? now + step.ms : now, tokens[step.token]!) : undefined
            if (step._tag === "take") {
              const expected = known() && (held.has(step.token) || held.size < present.slots)
              if (expected) held.set(step.token, Math.max((held.get(step.token) ?? 0) + 1, now + step.ms))
              assert.strictEqual(yield* leases.take(lease!, now), expected)
            } else if (step._tag === "renew") {
              assert.strictEqual(yield* leases.renew(lease!, now), held.has(step.token))
              if (held.has(step.token)) held.set(step.token, now + step.ms)
            } else if (step._tag === "release") {
              yield* leases.release(node.nodeId, lease!.token)
              held.delete(step.token)
            } else if (step._tag === "look") {
              const asked = new Set(step.known.map((token) => tokens[token]!))
              looked = yield* leases.strangers({ ...node, known: asked, max: 8, now })
              const found = known() ? [...held].filter(([token]) => !step.known.includes(token as never)) : []
              assert.sameDeepMembers(
                [...looked],
                found.map(([token, expiresAt]) => ({ token: tokens[token]!, expiresAt }))
              )
            } else if (step._tag === "releaseUnchanged") {
              const same = known()
                ? [...held].filter(([token, until]) =>
                    looked.some((seen) => seen.token === tokens[token] && seen.expiresAt === until)
                  )
                : []
              assert.strictEqual(yield* leases.releaseUnchanged(node.nodeId, node.sessionId, looked), same.length)
              for (const [token] of same) held.delete(token)
            } else if (step._tag === "announce") {
              present = { slots: step.slots, until: now + step.ms }
              yield* nodes.announce({ ...node, slots: step.slots, lastSeenAt: now }, present.until)
            } else now += step.ms
            for (const [token, until] of held) if (until <= now) held.delete(token)
            const seen = yield* nodes.get(node.nodeId, now)
            assert.strictEqual(seen?.leased, known() ? held.size : undefined)
            const { free } = yield* leases.candidates(query(node.models[0]!.name, now))
            assert.strictEqual(free, known() && held.size < present.slots ? 1 : 0)
          }
        }),
      { arbitrary: { runs: 150 } }
    )
  })
