/** Publishes what a transaction promised and nobody published at once: its daemon died, or the broker was out. Publish, confirm, then take out. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Metrics from "../../layers/Metrics.ts"
import type { Outbox, OutboxRow } from "../../layers/Outbox.ts"
import type { Transport } from "../../layers/Transport.ts"
import { withParent } from "../../layers/Traced.ts"
import type { Options } from "./Sweeper.ts"

/** Younger rows are on their way by the fast road. */
const GRACE_MS = 2000
const AT_ONCE = 32

export const make = (outbox: Outbox["Service"], transport: Transport["Service"]): Options => ({
  name: "outbox-relay",
  everyMs: 1000,
  batchMax: 1000,
  sweepBatch: (watermark, max, dryRun) =>
    Effect.gen(function* () {
      const rows = yield* outbox.pending((yield* Clock.currentTimeMillis) - GRACE_MS, max)
      if (dryRun) return { taken: rows.length, watermark }
      const publishOne = (row: OutboxRow) =>
        withParent(row.envelope.traceparent)(Effect.as(transport.publish(row.target, row.envelope), row.id))
      const sent = yield* Effect.forEach(rows, publishOne, { concurrency: AT_ONCE })
      yield* outbox.sent(sent)
      if (sent.length > 0) yield* Metric.update(Metrics.repairs, sent.length)
      return { taken: sent.length, watermark }
    })
})
