/** One entry of a listener's table: who may come in, and what happens. The path stands in `Api.ts` only. */
import type * as Effect from "effect/Effect"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Outage } from "../layers/Outage.ts"
import type { Refusal } from "../schemas/Refusal.ts"
import type { Call, KeyedCall } from "./Call.ts"

export type Answer<R> = Effect.Effect<HttpServerResponse, Refusal | Outage, R>

export type Route<R> =
  | { readonly access: "open"; readonly submits: false; readonly handle: (call: Call) => Answer<R> }
  | { readonly access: "key"; readonly submits: boolean; readonly handle: (call: KeyedCall) => Answer<R> }

export type Routes<R> = Readonly<Record<string, Route<R>>>

/** What the handlers of a table need. */
export type ServicesOf<T> = T extends Readonly<Record<string, Route<infer R>>> ? R : never

/** Anybody may come in. */
export const open = <R>(handle: (call: Call) => Answer<R>): Route<R> => ({ access: "open", submits: false, handle })

/** A living key is needed. */
export const keyed = <R>(handle: (call: KeyedCall) => Answer<R>): Route<R> => ({
  access: "key",
  submits: false,
  handle
})

/** The same for work: refused while the daemon drains, and every refusal is remembered. */
export const submitting = <R>(handle: (call: KeyedCall) => Answer<R>): Route<R> => ({
  access: "key",
  submits: true,
  handle
})
