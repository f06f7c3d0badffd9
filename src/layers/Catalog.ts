/** The models that the network has ever served, so that "nobody serves it now" and "no such model" are told apart. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Endpoint, Environment } from "../schemas/Job.ts"
import type { Outage } from "./Outage.ts"

export interface KnownModel {
  readonly name: string
  readonly environment: Environment
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly firstSeenAt: number
}

export interface Driver {
  /** A node passed its test with these models. Known ones gain endpoints and keep their first date. */
  readonly learn: (models: ReadonlyArray<KnownModel>) => Effect.Effect<void, Outage>
  readonly get: (environment: Environment, name: string) => Effect.Effect<KnownModel | null, Outage>
  /** By name. */
  readonly list: (environment: Environment) => Effect.Effect<ReadonlyArray<KnownModel>, Outage>
}

export class Catalog extends Context.Service<Catalog, Driver>()("resultity/layers/Catalog") {}

export const make = (driver: Driver): Catalog["Service"] =>
  Catalog.of({ ...driver, learn: Effect.fn("Catalog.learn")(driver.learn) })
