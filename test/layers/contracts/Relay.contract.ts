/** What every Relay must do, whatever it is made of. Nothing is promised to who does not listen, so nothing is tested of it but that it does no harm. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, type Layer } from "effect"
import type { Outage } from "../../../src/layers/Outage.ts"
import { Relay, RELAYED_MAX, type RelayedPieces, type Receiver } from "../../../src/layers/Relay.ts"
import { JobId } from "../../../src/schemas/Ids.ts"
import { pieces } from "../../support/recordFactories.ts"
import { aDaemon, aName } from "./LiveFactories.ts"
import type { LiveFaults } from "./LiveNodes.contract.ts"

const aJob = () => JobId.make(`job_${aName().replaceAll("-", "")}`)

/** Takes until so many batches came. */
const taken = (receiver: Receiver, count: number) =>
  Effect.gen(function* () {
    const all: Array<RelayedPieces> = []
    while (all.length < count) all.push(...(yield* receiver.take))
    return all
  })

export const relayContract = <R = never>(
  backEnd: string,
  over: Layer.Layer<Relay | R, Outage>,
  faults: LiveFaults<R> = {}
) =>
  layer(over, { excludeTestServices: true })(`Relay on ${backEnd}`, (it) => {
    it.effect("brings what is sent to a daemon to who receives for it, unchanged and in order", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        const receiver = yield* relay.receive(to)
        const [a, b] = [aJob(), aJob()]
        const all = pieces(1, 30)
        const batches = [
          { jobId: a, epoch: 1, events: all.slice(0, 1) },
          { jobId: b, epoch: 3, events: all.slice(0, 20) },
          { jobId: a, epoch: 2, events: all.slice(1, 30) }
        ]
        for (const batch of batches) yield* relay.send(to, batch)
        assert.deepStrictEqual(yield* taken(receiver, 3), batches)
      })
    )

    it.effect("loses what nobody receives, and what was sent before", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const [to, other] = [aDaemon(), aDaemon()]
        const batch = { jobId: aJob(), epoch: 1, events: pieces(1, 2) }
        yield* relay.send(to, batch)
        const receiver = yield* relay.receive(to)
        yield* relay.send(other, batch)
        const later = { ...batch, epoch: 2 }
        yield* relay.send(to, later)
        assert.deepStrictEqual(yield* taken(receiver, 1), [later])
      })
    )

    it.effect("sends nothing for no pieces, and receives nothing after its scope", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        yield* Effect.scoped(relay.receive(to))
        const receiver = yield* relay.receive(to)
        const batch = { jobId: aJob(), epoch: 1, events: pieces(1, 1) }
        yield* relay.send(to, { ...batch, events: [] })
        yield* relay.send(to, batch)
        assert.deepStrictEqual(yield* taken(receiver, 1), [batch])
      })
    )

    it.effect("gives a receiver nothing that is sent after its scope", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        const old = yield* Effect.scoped(relay.receive(to))
        const receiver = yield* relay.receive(to)
        const batch = { jobId: aJob(), epoch: 1, events: pieces(1, 1) }
        yield* relay.send(to, batch)
        assert.deepStrictEqual(yield* taken(receiver, 1), [batch])
        // It may wait for ever or fail; both are nothing.
        const late = yield* Effect.raceFirst(Effect.exit(old.take), Effect.as(Effect.yieldNow, null))
        assert.isFalse(late !== null && Exit.isSuccess(late))
      })
    )

    it.effect("is heard by everybody who receives for the daemon, each on his own", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        const first = yield* relay.receive(to)
        const batch = { jobId: aJob(), epoch: 1, events: pieces(1, 3) }
        yield* Effect.scoped(
          Effect.gen(function* () {
            const second = yield* relay.receive(to)
            yield* relay.send(to, batch)
            assert.deepStrictEqual(yield* taken(second, 1), [batch])
          })
        )
        const later = { ...batch, epoch: 2 }
        yield* relay.send(to, later)
        assert.deepStrictEqual(yield* taken(first, 2), [batch, later])
      })
    )

    it.effect("keeps the order of each job when many are sent at once", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        const receiver = yield* relay.receive(to)
        const jobs = [aJob(), aJob(), aJob()]
        const all = pieces(1, 60)
        const batches = all.map((piece, n) => ({ jobId: jobs[n % 3]!, epoch: 1, events: [piece] }))
        yield* Effect.forEach(batches, (batch) => relay.send(to, batch), { concurrency: 60, discard: true })
        const got = yield* taken(receiver, 60)
        for (const job of jobs) {
          const of = (list: ReadonlyArray<RelayedPieces>) => list.filter(({ jobId }) => jobId === job)
          assert.deepStrictEqual(of(got), of(batches))
        }
      })
    )

    it.effect("drops the oldest of what is not taken in time", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        const late = yield* relay.receive(to)
        const prompt = yield* relay.receive(to)
        const jobId = aJob()
        const last = 2 * RELAYED_MAX
        let seen = 0
        // In portions that the prompt one takes before the next is sent: it tells when the late one has been sent as much.
        for (let epoch = 1; epoch <= last; epoch++) {
          yield* relay.send(to, { jobId, epoch, events: pieces(1, 1) })
          if (epoch % 512 !== 0) continue
          while (seen < epoch) seen = (yield* prompt.take).at(-1)!.epoch
        }
        const kept: Array<number> = []
        while (kept.at(-1) !== last) kept.push(...(yield* late.take).map(({ epoch }) => epoch))
        const [oldest = 0] = kept
        assert.isAbove(oldest, 1)
        assert.deepStrictEqual(
          kept,
          Array.from({ length: last - oldest + 1 }, (_, n) => oldest + n)
        )
      })
    )

    it.effect.skipIf(faults.outage === undefined)("fails with an Outage while it is out, also who waits", () =>
      Effect.gen(function* () {
        const relay = yield* Relay
        const to = aDaemon()
        const receiver = yield* relay.receive(to)
        yield* faults.outage!(true)
        const failures = yield* Effect.all([
          Effect.flip(relay.send(to, { jobId: aJob(), epoch: 1, events: pieces(1, 1) })),
          Effect.flip(receiver.take),
          Effect.flip(relay.receive(to))
        ]).pipe(Effect.ensuring(faults.outage!(false)))
        assert.deepStrictEqual(
          failures.map(({ _tag }) => _tag),
          ["Outage", "Outage", "Outage"]
        )
        const again = yield* relay.receive(to)
        const batch = { jobId: aJob(), epoch: 1, events: pieces(1, 1) }
        yield* relay.send(to, batch)
        assert.deepStrictEqual(yield* taken(again, 1), [batch])
      })
    )
  })
