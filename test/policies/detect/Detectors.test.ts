/** What detectors say of made-up pasts: one episode a subject, closed by what is well again and nothing else, no word of what is too little. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import * as Abuse from "../../../src/policies/detect/Abuse.ts"
import * as ErrorSpike from "../../../src/policies/detect/ErrorSpike.ts"
import * as LatencyRegression from "../../../src/policies/detect/LatencyRegression.ts"
import * as LowBalance from "../../../src/policies/detect/LowBalance.ts"
import * as LyingNodes from "../../../src/policies/detect/LyingNodes.ts"
import * as Sla from "../../../src/policies/detect/Sla.ts"
import * as Unavailable from "../../../src/policies/detect/Unavailable.ts"
import type { Findings, Verdict } from "../../../src/policies/detect/Verdict.ts"
import { credits } from "../../support/factories.ts"
import { anEnded, Episodes, MINUTE, QUIET_MS, rules, some } from "../../support/detectFactories.ts"
import { freshKey, freshNamespace, freshNode } from "../../support/recordFactories.ts"

const standingOf = ({ verdicts }: Findings, subject: string): Verdict["standing"] | undefined =>
  verdicts.find((verdict) => verdict.subject === subject)?.standing

const Standing = Schema.Literals(["bad", "good", "unclear", "silent"])
const Subject = Schema.Literals(["model/a", "model/b"])
const Step = Schema.Struct({
  said: Schema.Array(Schema.Struct({ subject: Subject, standing: Standing })).check(Schema.isMaxLength(4)),
  minutes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))
})

describe("an episode", () => {
  it.effect.prop(
    "S81: of a subject is never open twice, and ends only when the subject is well again or long silent",
    { steps: Arbitrary.array(Arbitrary.schema(Step), { maxLength: 24 }) },
    ({ steps }) =>
      Effect.sync(() => {
        const episodes = new Episodes()
        let now = 0
        for (const { said, minutes } of steps) {
          now += minutes * MINUTE
          const before = episodes.open
          const verdicts = said.flatMap(({ subject, standing }): ReadonlyArray<Verdict> =>
            standing === "silent" ? [] : [{ subject, standing, severity: "low", observed: {}, expected: {} }]
          )
          const actions = episodes.pass({ type: "error_spike", kind: "anomaly", verdicts }, now)
          const touched = actions.map((action) => (action._tag === "Sight" ? action.sighting : action).subject)
          assert.strictEqual(new Set(touched).size, touched.length)
          for (const subject of Subject.literals) {
            const open = episodes.openOf(subject)
            assert.isAtMost(open.length, 1)
            const first = verdicts.find((verdict) => verdict.subject === subject)?.standing
            const known = before.find((incident) => incident.subject === subject)
            if (first === "bad") assert.lengthOf(open, 1)
            else if (known === undefined || first === "good") assert.lengthOf(open, 0)
            else {
              const isLongSilent = now - (known.episode?.seenAt ?? 0) >= QUIET_MS
              assert.lengthOf(open, isLongSilent ? 0 : 1)
            }
          }
        }
        const kept = episodes.all.filter(({ episode }) => episode.evidence.length > 10)
        assert.deepStrictEqual(kept, [])
      })
  )
})

const Share = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))
const Volume = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))

describe("an error spike", () => {
  it.effect.prop(
    "S82: opens at the bound, closes below the lower one, stays as it is between, and says nothing of few jobs",
    { windows: Arbitrary.array(Arbitrary.schema(Schema.Struct({ jobs: Volume, share: Share })), { maxLength: 16 }) },
    ({ windows }) =>
      Effect.sync(() => {
        const episodes = new Episodes()
        const { volumeMin, failedPercent, recoveredPercent } = rules.errorSpike
        let now = 0
        for (const { jobs, share } of windows) {
          now += 1000
          const failed = Math.round((jobs * share) / 100)
          const ended = [...some(failed, { state: "failed", errorCode: "runtime_500" }), ...some(jobs - failed)]
          const wasOpen = episodes.openOf("model/tiny").length === 1
          episodes.pass(ErrorSpike.judge(ended, rules), now)
          const isOpen = episodes.openOf("model/tiny").length === 1
          const percent = jobs === 0 ? 0 : (failed * 100) / jobs
          if (jobs < volumeMin) assert.strictEqual(isOpen, wasOpen)
          else if (percent >= failedPercent) assert.isTrue(isOpen)
          else if (percent <= recoveredPercent) assert.isFalse(isOpen)
          else if (percent > recoveredPercent + 0.1 && percent < failedPercent - 0.1)
            assert.strictEqual(isOpen, wasOpen)
          assert.strictEqual(episodes.openOf(ErrorSpike.EVERYTHING).length === 1, isOpen)
        }
      })
  )

  it("S82: is of the model that fails, and neither of cancelled jobs nor of requests that no runtime takes", () => {
    const ended = [
      ...some(60, { model: "good" }),
      ...some(20, { model: "bad", state: "timed_out" }),
      ...some(40, { model: "refusing", state: "failed", errorCode: "runtime_400" }),
      ...some(40, { model: "left", state: "cancelled" })
    ]
    const findings = ErrorSpike.judge(ended, rules)
    assert.deepStrictEqual(
      findings.verdicts.map(({ subject, standing }) => [subject, standing]),
      [
        [ErrorSpike.EVERYTHING, "bad"],
        ["model/good", "good"],
        ["model/bad", "bad"]
      ]
    )
    assert.deepInclude(findings.verdicts[2]?.observed, { failedPercent: 100, jobs: 20 })
    assert.deepStrictEqual(findings.verdicts[2]?.observed["codes"], [{ code: "timed_out", times: 20 }])
  })
})

describe("a latency regression", () => {
  const nodeId = freshNode()
  const subject = `node/${nodeId}/model/tiny`
  const windows = (episodes: Episodes) => {
    let baselines: LatencyRegression.Baselines = {}
    let now = 0
    return (totalMs: number, jobs = 20) => {
      now += rules.windowMs
      const open = new Set(episodes.openOf(subject).map((each) => each.subject))
      const ended = some(jobs, { nodeId, totalMs, firstTokenMs: totalMs / 10 })
      const judged = LatencyRegression.judge(ended, rules, baselines, open, now)
      baselines = judged.baselines
      episodes.pass(judged.findings, now)
      return episodes.openOf(subject).length === 1
    }
  }

  it("S83: is none without a baseline, however slow it is", () => {
    const window = windows(new Episodes())
    for (const ms of [60_000, 500, 120_000]) assert.isFalse(window(ms))
  })

  it("S83: opens when p95 rose beyond the baseline, stays however long it lasts, and closes when it is back", () => {
    const episodes = new Episodes()
    const window = windows(episodes)
    for (let count = 0; count < 4; count++) assert.isFalse(window(1000))
    assert.isFalse(window(1900))
    assert.isTrue(window(2500))
    // Long enough to fill a baseline: a regression does not become what is normal.
    for (let count = 0; count < 2 * LatencyRegression.WINDOWS_MAX; count++) assert.isTrue(window(2500))
    assert.isTrue(window(1700))
    assert.isFalse(window(1100))
    assert.lengthOf(episodes.all, 1)
    assert.deepInclude(episodes.all[0]?.expected, { totalMs: 1000, firstTokenMs: 100 })
  })

  it("S83: says nothing of few jobs, of failed ones, of those that moved, and of what waited in the queue", () => {
    const window = windows(new Episodes())
    for (let count = 0; count < 4; count++) window(1000)
    assert.isFalse(window(9000, 19))
    const baselines = { [subject]: Array.from({ length: 5 }, (_, at) => ({ at, firstTokenMs: 100, totalMs: 1000 })) }
    const slow = { nodeId, totalMs: 9000, firstTokenMs: 8000 }
    for (const over of [{ state: "failed" as const }, { retries: 1 }, { queueMs: 8000 }]) {
      const { findings } = LatencyRegression.judge(some(40, { ...slow, ...over }), rules, baselines, new Set(), 1e9)
      assert.notStrictEqual(standingOf(findings, subject), "bad", JSON.stringify(over))
    }
    const { findings } = LatencyRegression.judge(some(40, slow), rules, baselines, new Set(), 1e9)
    assert.strictEqual(standingOf(findings, subject), "bad")
  })

  it("S83: remembers a bounded past", () => {
    const jobs = Array.from({ length: LatencyRegression.SERIES_MAX + 50 }, (_, at) =>
      some(20, { nodeId: freshNode(), model: `m${at}` })
    ).flat()
    const { baselines } = LatencyRegression.judge(jobs, rules, {}, new Set(), 1)
    assert.lengthOf(Object.keys(baselines), LatencyRegression.SERIES_MAX)
  })
})

describe("abuse", () => {
  const keyId = freshKey()
  const namespaceId = freshNamespace()
  const refused = (requests: number, code = "rate_limited") => ({ keyId, namespaceId, code, requests })

  it("S81: is one key's refused and oversized requests together, above the bound; half of it is well again", () => {
    const judge = (...rows: ReadonlyArray<ReturnType<typeof refused>>) =>
      standingOf(Abuse.judge(rows, rules), `key/${keyId}`)
    assert.strictEqual(judge(refused(500)), "unclear")
    assert.strictEqual(judge(refused(400), refused(101, "request_too_large")), "bad")
    assert.strictEqual(judge(refused(250)), "good")
    assert.isUndefined(judge(refused(9999, "overloaded"), refused(9999, "model_unavailable")))
  })

  it("S81: ends when the key is silent", () => {
    const episodes = new Episodes()
    const pass = (rows: ReadonlyArray<ReturnType<typeof refused>>, now: number) => {
      const open = episodes.open.map(({ subject }) => subject)
      episodes.pass(Abuse.silent(open, Abuse.judge(rows, rules)), now)
    }
    for (let now = 1; now <= 5; now++) pass([refused(600)], now)
    assert.lengthOf(episodes.all, 1)
    assert.deepInclude(episodes.all[0], { keyId, namespaceId, subject: `key/${keyId}` })
    pass([], 6)
    assert.lengthOf(episodes.open, 0)
  })
})

describe("a lying node", () => {
  const nodeId = freshNode()
  const judge = (ended: Parameters<typeof LyingNodes.judge>[0], mismatches = 0) =>
    standingOf(
      LyingNodes.judge(
        ended,
        Array.from({ length: mismatches }, () => ({ nodeId })),
        rules
      ),
      `node/${nodeId}`
    )

  it("C92: is one whose counts do not fit again and again; once proves nothing", () => {
    assert.strictEqual(judge(some(9, { nodeId }), 3), "bad")
    assert.strictEqual(judge(some(9, { nodeId }), 1), "unclear")
    assert.strictEqual(judge(some(9, { nodeId }), 0), "good")
    assert.strictEqual(judge([], 3), "bad")
  })

  it("C92: is one that is faster than a machine can be, over and over", () => {
    const fast = { nodeId, outputTokens: 1000, totalMs: 20, queueMs: 0, firstTokenMs: 1 }
    assert.strictEqual(judge(some(LyingNodes.FAST_MIN, fast)), "bad")
    assert.strictEqual(judge(some(LyingNodes.FAST_MIN - 1, fast)), "unclear")
    assert.strictEqual(judge(some(50, { ...fast, outputTokens: 20 })), "good")
    assert.strictEqual(judge(some(50, { ...fast, totalMs: 1000 })), "good")
  })

  it("C92: is one that claims more tokens for as much text than the others of its model; alone it is compared with nobody", () => {
    const of = (node: typeof nodeId, outputTokens: number, count = LyingNodes.COMPARED_MIN) => {
      const claim = { promptTokens: 1, outputTokens, countedTokens: 100, outputBytes: 400 }
      return some(count, { nodeId: node, claim })
    }
    const [one, two] = [of(freshNode(), 100), of(freshNode(), 110)]
    assert.strictEqual(judge([...one, ...two, ...of(nodeId, 170)]), "bad")
    assert.strictEqual(judge([...one, ...two, ...of(nodeId, 140)]), "unclear")
    assert.strictEqual(judge([...one, ...two, ...of(nodeId, 120)]), "good")
    assert.strictEqual(judge([...one, ...of(nodeId, 400)]), "good")
    assert.strictEqual(judge([...one, ...two, ...of(nodeId, 400, LyingNodes.COMPARED_MIN - 1)]), "good")
  })

  it("C92: is one with one long answer to requests of different lengths, and not to one request", () => {
    const of = (promptTokens: number, answer = "abc") => anEnded({ nodeId, promptTokens, answer })
    assert.strictEqual(judge([1, 2, 3, 4, 5].map((length) => of(length))), "bad")
    assert.strictEqual(judge(Array.from({ length: 20 }, () => of(7))), "good")
    assert.strictEqual(judge([1, 2, 3, 4, 5].map((length) => of(length, `answer ${length}`))), "good")
  })
})

describe("a model that nobody serves", () => {
  const wanted = (refused: number, waiting: number) => [
    { model: "tiny", environment: "testnet" as const, refused, waiting }
  ]

  it("is an episode while somebody wants it, and ends when a node is there", () => {
    const judge = (asked: ReturnType<typeof wanted>, nodes: number, open: ReadonlyArray<string> = []) =>
      standingOf(
        Unavailable.judge(asked, (environment) => (environment === "testnet" ? nodes : 0), open),
        "model/tiny"
      )
    assert.strictEqual(judge(wanted(1, 0), 0), "bad")
    assert.strictEqual(judge(wanted(0, 1), 0), "bad")
    assert.isUndefined(judge([], 0, ["tiny"]))
    assert.strictEqual(judge([], 1, ["tiny"]), "good")
    assert.strictEqual(judge(wanted(5, 5), 1), "good")
  })
})

describe("a promise", () => {
  const promised = (targets: Record<string, object>) => ({
    ...rules,
    sla: { ...rules.sla, targets: targets as typeof rules.sla.targets }
  })
  const target = { percentile: 95, restrict: "none" as const }

  it("S78: of a model, a subcloud and a node is measured apart; the closest target counts", () => {
    const [slow, quick] = [freshNode(), freshNode()]
    const ended = [
      ...some(30, { nodeId: slow, subcloud: "club", totalMs: 9000, queueMs: 8000 }),
      ...some(30, { nodeId: quick, totalMs: 1000 })
    ]
    const findings = Sla.judge(
      ended,
      promised({
        "model/*": { ...target, totalMs: 5000 },
        "subcloud/club": { ...target, totalMs: 20_000 },
        "node/*": { ...target, totalMs: 2000 },
        [`node/${quick}`]: { ...target, totalMs: 500 }
      })
    )
    assert.deepStrictEqual(Object.fromEntries(findings.verdicts.map(({ subject, standing }) => [subject, standing])), {
      // Clients wait with the queue, a node does not answer for it.
      "model/tiny": "bad",
      "subcloud/club": "good",
      [`node/${slow}`]: "good",
      [`node/${quick}`]: "bad"
    })
    assert.deepStrictEqual(Sla.judge(ended, rules).verdicts, [])
  })

  it("S78: of a node counts each attempt that failed on it, also where the job went well elsewhere", () => {
    const [broken, saviour] = [freshNode(), freshNode()]
    const ended = some(30, { nodeId: saviour, failures: [{ attempt: 1, nodeId: broken, code: "runtime_500" }] })
    const findings = Sla.judge(ended, promised({ "node/*": { ...target, availabilityPercent: 99 } }))
    assert.strictEqual(standingOf(findings, `node/${broken}`), "bad")
    assert.strictEqual(standingOf(findings, `node/${saviour}`), "good")
  })

  it.effect.prop(
    "S78: on availability is broken below the target, kept well above it, and never judged by few jobs",
    { jobs: Volume, share: Share, percent: Share },
    ({ jobs, share, percent }) =>
      Effect.sync(() => {
        const failed = Math.round((jobs * share) / 100)
        const ended = [...some(failed, { state: "failed" }), ...some(jobs - failed)]
        const findings = Sla.judge(ended, promised({ "model/tiny": { ...target, availabilityPercent: percent } }))
        const standing = standingOf(findings, "model/tiny")
        if (jobs < rules.sla.volumeMin) return assert.isUndefined(standing)
        const allowed = 100 - percent
        const failedPercent = (failed * 100) / jobs
        if (failedPercent > allowed + 0.1) assert.strictEqual(standing, "bad")
        if (failedPercent < allowed * 0.9 - 0.1) assert.strictEqual(standing, "good")
      })
  )
})

describe("a balance", () => {
  it("S53: that is nearly spent is a warning until there is twice as much; nothing granted is no balance", () => {
    const namespaceId = freshNamespace()
    const judge = (available: bigint, granted: bigint) =>
      standingOf(
        LowBalance.judge(
          [{ namespaceId, balance: { granted: credits(granted), available: credits(available) } }],
          rules
        ),
        `namespace/${namespaceId}`
      )
    const large = 10n ** 18n
    assert.strictEqual(judge(large / 10n, large), "bad")
    assert.strictEqual(judge(large / 10n + large / 1000n, large), "unclear")
    assert.strictEqual(judge(large / 5n, large), "good")
    assert.isUndefined(judge(0n, 0n))
  })
})
