/** Anomalies, rejections and warnings, also where no job exists. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Incident, IncidentKind } from "../schemas/Incident.ts"
import type { Scope } from "./JobRecords.ts"
import type { Outage } from "./Outage.ts"

export interface IncidentQuery {
  readonly kind?: IncidentKind
  readonly type?: string
  readonly subject?: string
  /** Half-open: from ≤ at < to. */
  readonly from?: number
  readonly to?: number
  readonly limit: number
}

/** A place in the order of time, and of ids within one instant. */
export interface IncidentPlace {
  readonly at: number
  /** Empty: before every incident of that instant. */
  readonly id: string
}

export interface Driver {
  /** One id twice is one incident. */
  readonly raise: (incidents: ReadonlyArray<Incident>) => Effect.Effect<void, Outage>
  /** Newest first. A namespace sees those that name it. */
  readonly list: (scope: Scope, query: IncidentQuery) => Effect.Effect<ReadonlyArray<Incident>, Outage>
  /**
   * Of all namespaces, oldest first: those behind this place and before the instant `to`. One may still come in behind a place that was read already:
   * its instant is that of what happened, not that of its being stored.
   */
  readonly after: (place: IncidentPlace, to: number, limit: number) => Effect.Effect<ReadonlyArray<Incident>, Outage>
}

export class Incidents extends Context.Service<Incidents, Driver>()("resultity/layers/Incidents") {}

export const make = (driver: Driver): Incidents["Service"] =>
  Incidents.of({
    raise: (incidents) => (incidents.length === 0 ? Effect.void : driver.raise(incidents)),
    list: Effect.fn("Incidents.list")(driver.list),
    after: (place, to, limit) => (limit <= 0 ? Effect.succeed([]) : driver.after(place, to, limit))
  })
