/**
 * One request on its way through the listener: what came, what is known of it by now, and the headers its answer will carry. Node's own
 * objects are here because streams are written to the socket as pieces come, without a fiber or a timer for each.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Schema from "effect/Schema"
import type { FoundKey } from "../layers/ApiKeys.ts"
import type { Scope } from "../layers/JobRecords.ts"

/** How far a request came: what a rejection says about where it failed. */
export type Stage = "size" | "key" | "rate" | "drain" | "schema" | "admission" | "execution"

export interface Call {
  readonly requestId: string
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** Of the socket's peer. Forwarding headers are not trusted. */
  readonly address: string
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Sent with whatever the answer will be. */
  readonly answerHeaders: Record<string, string>
  stage: Stage
  caller: FoundKey | null
  /** Asked for, once the body is read. */
  model: string | null
  /** The connection was closed by us, because its reader fell behind: the job goes on, and can be followed from where it stopped. */
  cutOff: boolean
}

/** A call whose key was found. */
export interface KeyedCall extends Call {
  caller: FoundKey
}

export const scopeOf = (call: KeyedCall): Scope => ({ _tag: "Namespace", namespaceId: call.caller.namespace.id })

export const header = (call: Call, name: string): string | undefined => {
  const value = call.incoming.headers[name]
  return Array.isArray(value) ? value.join(",") : value
}

/** An answer in JSON. The value is made of wire forms already, so nothing is encoded twice. */
export const json = (value: object, status = 200): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(value), { status, contentType: "application/json" })

/** The same for values that hold only JSON; tells the compiler that no bigint slipped in. */
export const jsonObject = (value: Schema.JsonObject, status = 200): HttpServerResponse.HttpServerResponse =>
  json(value, status)
