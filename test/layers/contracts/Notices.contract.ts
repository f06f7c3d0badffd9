/** What every Notices must do: each notice once, in one hand at a time, and a report that counts only from whoever has it. */
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect, type Layer, Redacted, Schema } from "effect"
import { type NoticeReport, Notices } from "../../../src/layers/Notices.ts"
import * as MemoryStateLayers from "../../../src/layers/memory/MemoryStateLayers.ts"
import { Webhooks } from "../../../src/layers/Webhooks.ts"
import { freshTime, MINUTE } from "../../support/factories.ts"
import { aNotice, aSecret, aWebhook, aWebhookId, registered, standing } from "../../support/webhookFactories.ts"
import { timesAtOnce } from "./StateProbes.ts"

const reportOf = (over: Partial<NoticeReport> & Pick<NoticeReport, "id" | "at">): NoticeReport => ({
  attempt: 1,
  outcome: { _tag: "Delivered" },
  counts: true,
  disableFor: null,
  ...over
})

const Few = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
const Step = Schema.TaggedUnion({
  Plan: { notice: Few, webhook: Few },
  Take: { webhook: Few, max: Few },
  Delivered: { notice: Few, attempt: Few },
  Again: { notice: Few, attempt: Few, counts: Schema.Boolean, ends: Schema.Boolean },
  Failed: { notice: Few, attempt: Few, counts: Schema.Boolean, ends: Schema.Boolean },
  Enable: { webhook: Few },
  Disable: { webhook: Few }
})
type Step = typeof Step.Type

/** Four notices, two webhooks and two that are not there: whatever is done to them, and what each contract answers. */
const play = (steps: ReadonlyArray<Step>, from: number, story: ReturnType<typeof aStory>) =>
  Effect.gen(function* () {
    const [webhooks, notices] = [yield* Webhooks, yield* Notices]
    for (const webhook of story.webhooks.slice(0, 2)) yield* webhooks.register(webhook, story.secret)
    const answers: Array<unknown> = []
    for (const [index, step] of steps.entries()) {
      const at = from + index * MINUTE
      answers.push(yield* Effect.match(act(step, at, story), { onSuccess: (a) => a, onFailure: ({ _tag }) => _tag }))
    }
    for (const { id } of story.webhooks.slice(0, 2)) {
      answers.push(yield* notices.list(id, 10), yield* standing(id))
      yield* webhooks.remove(id)
    }
    return answers
  })

const aStory = (from: number) => {
  const webhooks = [0, 1, 2, 3].map(() => aWebhook({ createdAt: from, since: from }))
  return { webhooks, secret: aSecret(), planned: [0, 1, 2, 3].map(() => aNotice(aWebhookId())) }
}

const act = (step: Step, at: number, { webhooks, planned }: ReturnType<typeof aStory>) =>
  Effect.gen(function* () {
    const [known, notices] = [yield* Webhooks, yield* Notices]
    const webhookId = "webhook" in step ? webhooks[step.webhook]!.id : webhooks[0]!.id
    switch (step._tag) {
      case "Plan":
        return yield* notices.plan([{ ...planned[step.notice]!, webhookId, createdAt: at }])
      case "Take": {
        const taken = yield* notices.take(webhookId, at, at + 2 * MINUTE, step.max)
        return taken.map(({ secret, ...rest }) => ({ ...rest, secret: Redacted.value(secret) }))
      }
      case "Enable":
        return yield* known.enable(webhookId, at)
      case "Disable":
        return yield* known.disable(webhookId, "operator", at)
      default: {
        const { id } = planned[step.notice]!
        if (step._tag === "Delivered") return yield* notices.report(reportOf({ id, at, attempt: step.attempt }))
        const { attempt, counts, ends, _tag } = step
        const error = "status 500\u0000"
        const outcome = _tag === "Again" ? { _tag, dueAt: at + 3 * MINUTE, error } : { _tag, error }
        return yield* notices.report({ id, at, attempt, counts, outcome, disableFor: ends ? "failing" : null })
      }
    }
  })

export const noticesContract = <E>(backEnd: string, over: Layer.Layer<Webhooks | Notices, E>) =>
  layer(over, { excludeTestServices: true })(`Notices on ${backEnd}`, (it) => {
    it.effect("plans a notice once, and none for a webhook that is gone", () =>
      Effect.gen(function* () {
        const notices = yield* Notices
        const { id } = yield* registered()
        const [one, two] = [aNotice(id, { type: "incident.closed" }), aNotice(id)]
        assert.strictEqual(yield* notices.plan([one]), 1)
        assert.strictEqual(yield* notices.plan([{ ...one, body: "other" }, two, aNotice(aWebhookId())]), 1)
        const taken = yield* notices.take(id, two.createdAt, two.createdAt + 1, 10)
        assert.deepStrictEqual(
          taken.map(({ notice, body }) => [notice.id, body]),
          [
            [one.id, one.body],
            [two.id, two.body]
          ]
        )
        yield* (yield* Webhooks).remove(id)
      })
    )

    it.effect("gives what is due to one hand, with the secret, and to the next when its time is over", () =>
      Effect.gen(function* () {
        const notices = yield* Notices
        const secret = aSecret()
        const webhook = yield* registered({}, secret)
        const planned = aNotice(webhook.id)
        const { createdAt: at, body, ...facts } = planned
        yield* notices.plan([planned])

        assert.deepStrictEqual(yield* notices.take(webhook.id, at - 1, at + 50, 10), [])
        const hands = yield* timesAtOnce(8, () => notices.take(webhook.id, at, at + 100, 10))
        const [taken] = hands.flat()
        assert.strictEqual(hands.flat().length, 1)
        const open = { state: "pending", doneAt: null, lastError: null } as const
        assert.deepStrictEqual(taken?.notice, { ...facts, createdAt: at, ...open, attempts: 1, dueAt: at + 100 })
        assert.deepStrictEqual(taken?.webhook, webhook)
        assert.deepStrictEqual([taken?.body, Redacted.value(taken!.secret)], [body, Redacted.value(secret)])

        assert.deepStrictEqual(yield* notices.take(webhook.id, at + 99, at + 500, 10), [])
        const [next] = yield* notices.take(webhook.id, at + 100, at + 500, 10)
        assert.strictEqual(next?.notice.attempts, 2)
        yield* (yield* Webhooks).remove(webhook.id)
      })
    )

    it.effect("hears of a failure from whoever has the notice, and of a delivery from anybody", () =>
      Effect.gen(function* () {
        const notices = yield* Notices
        const { id } = yield* registered()
        const planned = aNotice(id)
        const at = planned.createdAt
        yield* notices.plan([planned])
        yield* notices.take(id, at, at, 1)
        yield* notices.take(id, at, at + 9, 1)

        const late = { _tag: "Again", dueAt: at + 60, error: "status 500" } as const
        assert.isFalse(yield* notices.report(reportOf({ id: planned.id, attempt: 1, outcome: late, at })))
        assert.deepInclude(yield* standing(id), { failures: 0, nextAt: at + 9 })
        assert.isTrue(yield* notices.report(reportOf({ id: planned.id, attempt: 2, outcome: late, at })))
        assert.deepInclude(yield* standing(id), { failures: 1, failingSince: at, nextAt: at + 60, pending: 1 })

        assert.isTrue(yield* notices.report(reportOf({ id: planned.id, attempt: 1, at: at + 70 })))
        assert.deepInclude(yield* standing(id), { failures: 0, failingSince: null, deliveredAt: at + 70, pending: 0 })
        assert.isFalse(yield* notices.report(reportOf({ id: planned.id, attempt: 1, at: at + 80 })))
        assert.deepInclude((yield* notices.list(id, 1))[0], { state: "delivered", doneAt: at + 70, lastError: null })
        yield* (yield* Webhooks).remove(id)
      })
    )

    it.effect("counts no failure of a test, and ends the webhook in the same step where it is told to", () =>
      Effect.gen(function* () {
        const notices = yield* Notices
        const { id } = yield* registered()
        const [test, real] = [aNotice(id, { type: "webhook.test", incidentId: null }), aNotice(id)]
        const at = real.createdAt
        yield* notices.plan([test, real])
        yield* notices.take(id, at, at + 9, 2)
        const outcome = { _tag: "Failed", error: "ECONNREFUSED" } as const
        yield* notices.report(reportOf({ id: test.id, outcome, counts: false, at: at + 1 }))
        assert.deepInclude(yield* standing(id), { failures: 0, failingSince: null, disabledAt: null })
        yield* notices.report(reportOf({ id: real.id, outcome, disableFor: "gone", at: at + 2 }))
        assert.deepInclude(yield* standing(id), {
          failures: 1,
          failingSince: at + 2,
          disabledAt: at + 2,
          disabledFor: "gone",
          pending: 0
        })
        yield* (yield* Webhooks).remove(id)
      })
    )

    it.effect("forgets what was done long ago and nothing that waits", () =>
      Effect.gen(function* () {
        const notices = yield* Notices
        const { id } = yield* registered()
        const [done, late, waiting] = [aNotice(id), aNotice(id), aNotice(id)]
        const at = waiting.createdAt
        yield* notices.plan([done, late, waiting])
        yield* notices.report(reportOf({ id: done.id, at: at + 1 }))
        yield* notices.report(reportOf({ id: late.id, at: at + 5 }))
        while ((yield* notices.forget(at + 5, 1)) > 0);
        assert.deepStrictEqual(
          (yield* notices.list(id, 10)).map((notice) => notice.id),
          [waiting.id, late.id]
        )
        yield* (yield* Webhooks).remove(id)
      })
    )

    it.effect.prop(
      "answers any story as the memory back end does",
      { steps: Arbitrary.array(Arbitrary.schema(Step), { maxLength: 24 }) },
      ({ steps }) =>
        Effect.gen(function* () {
          const from = freshTime()
          const story = aStory(from)
          const expected = yield* Effect.provide(play(steps, from, story), MemoryStateLayers.layer, { local: true })
          assert.deepStrictEqual(yield* play(steps, from, story), expected)
        }),
      { arbitrary: { runs: 60 } }
    )
  })
