/**
 * Anomalies, rejections and warnings, also where no job exists. One that lasts is an episode: whoever sees it says so (`sight`), as often as he sees it,
 * and of one type and subject there is one open episode, whoever says it at the same time.
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import {
  closed,
  type EpisodeEnd,
  type Incident,
  type IncidentKind,
  isLasting,
  isOpen,
  type LastingIncident,
  opened,
  type Sighting,
  sighted
} from "../schemas/Incident.ts"
import { IncidentId } from "../schemas/Ids.ts"
import type { Scope } from "./JobRecords.ts"
import { Outage } from "./Outage.ts"

export interface IncidentQuery {
  readonly kind?: IncidentKind
  readonly type?: string
  readonly subject?: string
  /** Only episodes that go on. */
  readonly open?: true
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

/** Which instant of an incident a reader goes by: its own, or that of its end. */
export type IncidentOrder = "opened" | "closed"

export interface Driver {
  /** One id twice is one incident. */
  readonly raise: (incidents: ReadonlyArray<Incident>) => Effect.Effect<void, Outage>
  /** Newest first. A namespace sees those that name it. */
  readonly list: (scope: Scope, query: IncidentQuery) => Effect.Effect<ReadonlyArray<Incident>, Outage>
  /**
   * Of all namespaces, oldest first: those behind this place and before the instant `to`. One may still come in behind a place that was read already:
   * its instant is that of what happened, not that of its being stored.
   */
  readonly after: (
    order: IncidentOrder,
    place: IncidentPlace,
    to: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Incident>, Outage>
  /** The last episode of this type and subject, by its number, open or closed. */
  readonly latest: (type: string, subject: string) => Effect.Effect<LastingIncident | null, Outage>
  /**
   * Compare and set. `seen` null: a new episode, unless its id is known. Otherwise the open one of this id with so many sightings becomes this. False:
   * it was not so, and nothing changed. Durable.
   */
  readonly put: (incident: LastingIncident, seen: number | null) => Effect.Effect<boolean, Outage>
}

export class Incidents extends Context.Service<
  Incidents,
  Pick<Driver, "raise" | "list" | "after"> & {
    /** Afterwards the episode is open, with this sighting in it. Said twice it counts two sightings and is still one episode. */
    readonly sight: (sighting: Sighting) => Effect.Effect<LastingIncident, Outage>
    /** Afterwards no episode of this type and subject is open. Null: none was. */
    readonly close: (
      type: string,
      subject: string,
      at: number,
      closedFor: EpisodeEnd
    ) => Effect.Effect<LastingIncident | null, Outage>
  }
>()("resultity/layers/Incidents") {}

/** Several daemons at once: each try that fails means that another's came through. */
const TRIES_MAX = 20

/** The same for all who open the same episode, so that it is there once, whenever their words arrive. */
const idOf = (type: string, subject: string, number: number): IncidentId =>
  IncidentId.make(
    `incident_${createHash("sha256").update(`${type}\n${subject}\n${number}`).digest("hex").slice(0, 32)}`
  )

/** Again and again upon what stands, until nobody was faster. */
const changing = <Next extends LastingIncident | null>(
  driver: Driver,
  during: string,
  type: string,
  subject: string,
  change: (last: LastingIncident | null) => { readonly next: Next; readonly seen: number | null }
) =>
  Effect.gen(function* () {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { next, seen } = change(yield* driver.latest(type, subject))
      if (next === null || (yield* driver.put(next, seen))) return next
    }
    return yield* new Outage({ of: "Incidents", during, cause: `overtaken ${TRIES_MAX} times` })
  })

const sightedUpon = (last: LastingIncident | null, sighting: Sighting) => {
  if (last !== null && isOpen(last)) return { next: sighted(last, sighting), seen: last.episode.sightings }
  const number = (last?.episode.number ?? 0) + 1
  return { next: opened(idOf(sighting.type, sighting.subject, number), number, sighting), seen: null }
}

const closedUpon = (last: LastingIncident | null, at: number, closedFor: EpisodeEnd) =>
  last !== null && isOpen(last)
    ? { next: closed(last, at, closedFor), seen: last.episode.sightings }
    : { next: null, seen: null }

export const make = (driver: Driver): Incidents["Service"] =>
  Incidents.of({
    raise: (incidents) => (incidents.length === 0 ? Effect.void : driver.raise(incidents)),
    list: Effect.fn("Incidents.list")(driver.list),
    after: (order, place, to, limit) => (limit <= 0 ? Effect.succeed([]) : driver.after(order, place, to, limit)),
    sight: Effect.fn("Incidents.sight")((sighting) =>
      changing(driver, "sight", sighting.type, sighting.subject, (last) => sightedUpon(last, sighting))
    ),
    close: Effect.fn("Incidents.close")((type, subject, at, closedFor) =>
      changing(driver, "close", type, subject, (last) => closedUpon(last, at, closedFor))
    )
  })

/** For back ends: what a stored text holds. */
export const parsed = (body: string): Incident => JSON.parse(body) as Incident

export const parsedEpisode = (body: string | null): LastingIncident | null => {
  const incident = body === null ? null : parsed(body)
  return incident !== null && isLasting(incident) ? incident : null
}
