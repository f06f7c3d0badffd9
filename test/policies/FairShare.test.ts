import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { FairShare, type WaitingJob } from "../../src/policies/FairShare.ts"
import { Priority } from "../../src/schemas/Job.ts"
import { jobId, namespaceId } from "./Samples.ts"

const riseMs = { normal: 1_000, bulk: 200, test: 100 }
const room = (max = 100_000) => new FairShare({ max, riseMs })
const any = () => true

const job = (number: number, namespace: string, more: Partial<WaitingJob> = {}): WaitingJob => {
  const priority = more.priority ?? "normal"
  const pool = more.pool ?? "llama"
  return {
    jobId: jobId(number),
    namespaceId: namespaceId(namespace),
    weight: 1,
    priority,
    pool,
    lane: `${pool}.${priority}`,
    since: number,
    ...more
  }
}
const drain = (waiting: FairShare, now: number, capable: (pool: string) => boolean = any) => {
  const served: Array<WaitingJob> = []
  for (let next = waiting.next(capable, now); next !== undefined; next = waiting.next(capable, now)) served.push(next)
  return served
}
const numbers = (jobs: ReadonlyArray<WaitingJob>) => jobs.map((one) => Number(one.jobId.slice(4)))

/** The class that a job has risen to by now, 0 the strongest; told apart from the policy. */
const classOf = ({ priority, since }: WaitingJob, now: number): number => {
  const waited = now - since
  const climbs = { urgent: [], normal: [1_000], bulk: [200, 1_200], test: [100, 300, 1_300] }[priority]
  return Priority.literals.indexOf(priority) - climbs.filter((after) => waited >= after).length
}

describe("FairShare: who is next", () => {
  it("a stronger class is served first, and the older job within it", () => {
    const waiting = room()
    for (const one of [
      job(4, "a", { priority: "test" }),
      job(3, "a", { priority: "bulk" }),
      job(2, "a"),
      job(1, "a"),
      job(5, "a", { priority: "urgent" })
    ])
      waiting.add(one)
    assert.deepStrictEqual(numbers(drain(waiting, 5)), [5, 1, 2, 3, 4])
  })

  it("namespaces take turns, however much one of them has waiting", () => {
    const waiting = room()
    for (let number = 1; number <= 5; number++) waiting.add(job(number, "flood"))
    waiting.add(job(10, "small"))
    waiting.add(job(11, "small"))
    assert.deepStrictEqual(numbers(drain(waiting, 20)), [1, 10, 2, 11, 3, 4, 5])
  })

  it("a namespace is served as often in a round as its weight", () => {
    const waiting = room()
    for (let number = 1; number <= 6; number++) waiting.add(job(number, "heavy", { weight: 3 }))
    for (let number = 11; number <= 13; number++) waiting.add(job(number, "light"))
    assert.deepStrictEqual(numbers(drain(waiting, 20)), [1, 2, 3, 11, 4, 5, 6, 12, 13])
  })

  it("leaving and coming again gains nothing", () => {
    const waiting = room()
    for (let number = 1; number <= 10; number++) waiting.add(job(number, "steady"))
    waiting.add(job(100, "sly"))
    const served: Array<string> = []
    for (let number = 101; number <= 110; number++) {
      const next = waiting.next(any, 200)!
      served.push(next.namespaceId)
      if (next.namespaceId === namespaceId("sly")) waiting.add(job(number, "sly"))
    }
    assert.strictEqual(served.filter((one) => one === namespaceId("steady")).length, 5)
  })

  it("a namespace whose pool had no capacity is not paid back at the cost of the others", () => {
    const waiting = room()
    for (let number = 1; number <= 20; number++) waiting.add(job(number, "blocked", { pool: "qwen" }))
    for (let number = 101; number <= 140; number++) waiting.add(job(number, "open"))
    for (let serves = 0; serves < 10; serves++) waiting.next((pool) => pool === "llama", 200)
    const after = Array.from({ length: 10 }, () => waiting.next(any, 200)!.namespaceId)
    const blocked = after.filter((one) => one === namespaceId("blocked")).length
    assert.isTrue(blocked >= 5 && blocked <= 6, `${blocked} of 10`)
  })

  it("a job is passed over while its pool has no capacity, and keeps its place", () => {
    const waiting = room()
    waiting.add(job(1, "a", { pool: "qwen" }))
    waiting.add(job(2, "a"))
    waiting.add(job(3, "a"))
    assert.strictEqual(waiting.next((pool) => pool === "llama", 5)?.jobId, jobId(2))
    assert.strictEqual(waiting.next(any, 5)?.jobId, jobId(1))
    assert.isUndefined(waiting.next(() => false, 5))
    assert.strictEqual(waiting.size, 1)
  })

  it("a pool is asked for once in each choice, however many jobs wait for it", () => {
    const waiting = room()
    for (let number = 1; number <= 400; number++)
      waiting.add(job(number, `n${number % 50}`, { pool: `m${number % 3}`, priority: Priority.literals[number % 4]! }))
    const asked: Array<string> = []
    waiting.next((pool) => asked.push(pool) < 0, 0)
    assert.strictEqual(asked.length, 3)
  })
})

describe("FairShare: rising", () => {
  it("a job rises class by class, exactly when its patience in each is over", () => {
    const order = (now: number) => {
      const waiting = room()
      waiting.add(job(1, "a", { priority: "test", since: 0 }))
      for (const [at, priority] of (["urgent", "normal", "bulk"] as const).entries())
        waiting.add(job(10 + at, "a", { priority, since: now }))
      return numbers(drain(waiting, now)).indexOf(1)
    }
    assert.deepStrictEqual([0, 99, 100, 299, 300, 1_299, 1_300].map(order), [3, 3, 2, 2, 1, 1, 0])
  })

  it("a job that waited elsewhere before brings its age with it", () => {
    const waiting = room()
    waiting.add(job(1, "a", { priority: "urgent", since: 5_000 }))
    waiting.add(job(2, "a", { priority: "test", since: 0 }))
    assert.deepStrictEqual(numbers(drain(waiting, 5_000)), [2, 1])
  })

  it("a clock that steps back lowers nobody", () => {
    const waiting = room()
    waiting.add(job(1, "a", { priority: "test", since: 0 }))
    waiting.add(job(2, "a", { priority: "bulk", since: 50 }))
    waiting.next(() => false, 100)
    assert.deepStrictEqual(numbers(drain(waiting, 0)), [1, 2])
  })

  const flood = Arbitrary.all({
    others: Arbitrary.map(
      Arbitrary.array(Arbitrary.schema(Schema.Natural), { minLength: 1, maxLength: 5 }),
      (weights) => weights.map((weight) => (weight % 4) + 1)
    ),
    older: Arbitrary.map(Arbitrary.schema(Schema.Natural), (count) => count % 4),
    priority: Arbitrary.schema(Priority)
  })
  it.prop(
    "every job is served within a computable bound, while stronger jobs keep arriving",
    { flood },
    ({ flood: { others, older, priority } }) => {
      const waiting = room()
      for (let number = 0; number < older; number++) waiting.add(job(number, "victim", { priority, since: 0 }))
      const victim = job(50, "victim", { priority, since: 0 })
      waiting.add(victim)
      // Time to the top, then for each of its own before it and itself at most two rounds of all the others.
      const weights = others.reduce((sum, weight) => sum + weight, 0)
      const climb = { urgent: 0, normal: 1_000, bulk: 1_200, test: 1_300 }[priority]
      const bound = climb / 10 + (older + 1) * (2 * weights + 1)
      let serves = 0
      let served: WaitingJob | undefined
      for (let now = 0; served?.jobId !== victim.jobId; now += 10) {
        for (const [at, weight] of others.entries()) {
          for (let more = 0; more < (now === 0 ? 8 : 2); more++)
            waiting.add(
              job(1_000 + now * 100 + at * 10 + more, `flood${at}`, { priority: "urgent", weight, since: now })
            )
        }
        served = waiting.next(any, now)
        serves += 1
        assert.isAtMost(serves, bound)
      }
    },
    { arbitrary: { runs: 60 } }
  )
})

describe("FairShare: laws", () => {
  const weights = Arbitrary.map(
    Arbitrary.array(Arbitrary.schema(Schema.Natural), { minLength: 2, maxLength: 6 }),
    (all) => all.map((weight) => (weight % 9) + 1)
  )
  it.prop(
    "over any long run namespaces are served by their weights, within one round",
    { weights, length: Schema.Natural },
    ({ weights, length }) => {
      const waiting = room()
      const serves = 50 + length
      for (const [at, weight] of weights.entries()) {
        for (let number = 0; number < serves; number++)
          waiting.add(job(at * 100_000 + number, `n${at}`, { weight, since: 0 }))
      }
      const counts = weights.map(() => 0)
      for (let serve = 0; serve < serves; serve++) {
        const at = Number(waiting.next(any, 0)!.namespaceId.slice(4))
        counts[at] = counts[at]! + 1
        const rounds = counts.map((count, index) => count / weights[index]!)
        assert.isAtMost(Math.max(...rounds) - Math.min(...rounds), 1)
      }
    },
    { arbitrary: { runs: 40 } }
  )

  const steps = Arbitrary.array(
    Arbitrary.all({
      what: Arbitrary.schema(Schema.Literals(["add", "add", "add", "next", "next", "remove", "putBack", "wait"])),
      at: Arbitrary.schema(Schema.Natural),
      priority: Arbitrary.schema(Priority),
      pool: Arbitrary.schema(Schema.Literals(["llama", "qwen", "phi"])),
      open: Arbitrary.schema(Schema.Literals(["all", "llama", "none"]))
    }),
    { maxLength: 150 }
  )
  /** Plays the steps against a plain list, checks each answer, and returns the order of service. */
  const play = (all: typeof steps extends Arbitrary.Arbitrary<infer A> ? A : never) => {
    const waiting = room(40)
    const list = new Map<string, WaitingJob>()
    const order: Array<string> = []
    let last: WaitingJob | undefined
    let now = 0
    for (const [number, { what, at, priority, pool, open }] of all.entries()) {
      if (what === "wait") now += at * 10
      else if (what === "add") {
        const one = job(number, `n${at % 4}`, { priority, pool, weight: (at % 3) + 1, since: now })
        const answer = waiting.add(one)
        assert.strictEqual(answer, list.size >= 40 ? "full" : "added")
        if (answer === "added") {
          list.set(one.jobId, one)
          assert.strictEqual(waiting.add(one), "known")
        }
      } else if (what === "remove") {
        const one = [...list.values()][at % Math.max(1, list.size)] ?? job(999_999, "nobody")
        assert.strictEqual(waiting.remove(one.jobId), list.get(one.jobId))
        list.delete(one.jobId)
        assert.isFalse(waiting.has(one.jobId))
      } else if (what === "putBack" && last !== undefined) {
        waiting.putBack(last, now)
        list.set(last.jobId, last)
        last = undefined
      } else {
        const capable = (candidate: string) => open === "all" || candidate === open
        const servable = [...list.values()].filter((one) => capable(one.pool))
        last = waiting.next(capable, now)
        if (servable.length === 0) assert.isUndefined(last)
        else {
          assert.isTrue(last !== undefined && servable.includes(last))
          const mine = classOf(last!, now)
          assert.strictEqual(mine, Math.min(...servable.map((one) => classOf(one, now))), "a stronger job waited")
          const siblings = servable.filter((one) => one.namespaceId === last!.namespaceId && classOf(one, now) === mine)
          assert.isTrue(
            siblings.every((one) => one.since >= last!.since),
            "an older job of the namespace waited"
          )
          list.delete(last!.jobId)
          order.push(last!.jobId)
        }
      }
      assert.strictEqual(waiting.size, list.size)
      const lanes = Map.groupBy(list.values(), ({ lane }) => lane)
      assert.deepStrictEqual(
        new Map(waiting.lanes),
        new Map([...lanes].map(([lane, jobs]) => [lane, jobs.length] as const))
      )
    }
    order.push(...drain(waiting, now).map((one) => one.jobId))
    assert.strictEqual(waiting.size, 0)
    return order
  }
  it.prop(
    "through any use, the strongest and oldest is served, each job once, and nothing is lost",
    { steps },
    ({ steps }) => {
      play(steps)
    },
    { arbitrary: { runs: 400 } }
  )

  it.prop(
    "the same calls give the same order",
    { steps },
    ({ steps }) => {
      assert.deepStrictEqual(play(steps), play(steps))
    },
    { arbitrary: { runs: 50 } }
  )

  it("a job that is put back is the next of its namespace, and its turn is not charged", () => {
    const waiting = room()
    for (let number = 1; number <= 4; number++) {
      waiting.add(job(number, "a"))
      waiting.add(job(10 + number, "b"))
    }
    for (let tries = 0; tries < 5; tries++) {
      const tried = waiting.next(any, 50)!
      assert.strictEqual(tried.jobId, jobId(1))
      waiting.putBack(tried, 50)
    }
    assert.deepStrictEqual(numbers(drain(waiting, 50)), [1, 11, 2, 12, 3, 13, 4, 14])
  })

  it("a job that had risen and is put back has still risen", () => {
    const waiting = room()
    waiting.add(job(1, "a", { priority: "bulk", since: 0 }))
    const tried = waiting.next(any, 1_200)!
    waiting.add(job(2, "b", { priority: "normal", since: 1_200 }))
    waiting.putBack(tried, 1_200)
    assert.deepStrictEqual(numbers(drain(waiting, 1_200)), [1, 2])
  })

  it("a job that had risen and is put back does not queue again behind the class it rose to", () => {
    const waiting = room()
    for (let number = 11; number <= 14; number++) waiting.add(job(number, "b", { priority: "urgent" }))
    waiting.add(job(1, "a", { priority: "bulk", since: 0 }))
    const served = [waiting.next(any, 1_200)!, waiting.next(any, 1_200)!]
    assert.deepStrictEqual(numbers(served), [11, 1])
    waiting.putBack(served[1]!, 1_200)
    assert.deepStrictEqual(numbers(drain(waiting, 1_200)), [1, 12, 13, 14])
  })

  it("the only job of its namespace is put back into the round that goes on", () => {
    const waiting = room()
    waiting.add(job(1, "single"))
    for (let number = 11; number <= 14; number++) waiting.add(job(number, "b"))
    waiting.putBack(waiting.next(any, 50)!, 50)
    assert.isBelow(numbers(drain(waiting, 50)).indexOf(1), 2)
  })
})
