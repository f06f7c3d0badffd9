/** Who may ask for work: namespaces with their rules. A namespace is never deleted, because its entries stay. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { NamespaceId } from "../schemas/Ids.ts"
import type { Namespace, NamespaceRules } from "../schemas/Namespace.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Outage } from "./Outage.ts"

export interface Driver {
  /** Refused with `conflict` when the name is taken in that environment. The same id and name again: no change. */
  readonly create: (namespace: Namespace) => Effect.Effect<Namespace, Refusal | Outage>
  readonly get: (id: NamespaceId) => Effect.Effect<Namespace | null, Outage>
  /** All, by name. */
  readonly list: Effect.Effect<ReadonlyArray<Namespace>, Outage>
  /** Refused with `not_found`. */
  readonly amend: (id: NamespaceId, rules: NamespaceRules) => Effect.Effect<Namespace, Refusal | Outage>
}

export class Namespaces extends Context.Service<Namespaces, Driver>()("resultity/layers/Namespaces") {}

export const make = (driver: Driver): Namespaces["Service"] =>
  Namespaces.of({
    create: Effect.fn("Namespaces.create")(driver.create),
    get: driver.get,
    list: driver.list,
    amend: Effect.fn("Namespaces.amend")(driver.amend)
  })
