/**
 * Messages that a transaction promised and the transport has not confirmed. A row is written by `JobStore` only and
 * leaves only after the broker's confirm, so it may be published twice and is never lost.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Envelope } from "../schemas/Envelope.ts"
import type { EnvelopeId } from "../schemas/Ids.ts"
import type { Target } from "./Transport.ts"
import type { Outage } from "./Outage.ts"
import { traced } from "./Traced.ts"

export interface OutboxRow {
  readonly id: EnvelopeId
  readonly target: Target
  readonly envelope: Envelope
  readonly createdAt: number
}

export interface Driver {
  /** Unsent rows created before `before` and due, oldest first. */
  readonly pending: (before: number, limit: number) => Effect.Effect<ReadonlyArray<OutboxRow>, Outage>
  /** Afterwards these rows are gone; repeating it, or naming unknown ids, changes nothing. */
  readonly sent: (ids: ReadonlyArray<EnvelopeId>) => Effect.Effect<void, Outage>
  /** A message without a transaction of its own (repair sweeps): the same promise. One id twice is one row. */
  readonly add: (rows: ReadonlyArray<OutboxRow>) => Effect.Effect<void, Outage>
  readonly depth: Effect.Effect<number, Outage>
}

export class Outbox extends Context.Service<Outbox, Driver>()("resultity/layers/Outbox") {}

export const make = (driver: Driver): Outbox["Service"] =>
  Outbox.of({
    ...driver,
    pending: traced("Outbox.pending", driver.pending),
    sent: (ids) => (ids.length === 0 ? Effect.void : driver.sent(ids)),
    add: (rows) => (rows.length === 0 ? Effect.void : driver.add(rows))
  })
