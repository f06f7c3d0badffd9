/**
 * What every change through the control listener has: who, why, and a row in the audit. The reason is not optional, because an
 * audit that says "none given" answers no question later.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Audit } from "../layers/Audit.ts"
import type { Scope } from "../layers/JobRecords.ts"
import { readJson } from "./Body.ts"
import { type Call, header } from "./Call.ts"
import { badField, decoder } from "./Decode.ts"
import { type Refusal, refuse } from "../schemas/Refusal.ts"

const Word = Schema.String.check(Schema.isPattern(/^[^\p{Cc}]{1,500}$/u))

const decodeReason = decoder(Word, { at: "reason" })

export const DEFAULT_ACTOR = "operator/control"

/** Who says he is calling: a name for the audit, not a proof. */
export const actorOf = (call: Call): string => {
  const given = header(call, "x-actor") ?? ""
  return /^[A-Za-z0-9@._/-]{1,64}$/.test(given) ? `operator/${given}` : DEFAULT_ACTOR
}

export const operatorScope = (call: Call): Scope => ({ _tag: "Operator", by: actorOf(call) })

export interface Order<A> {
  readonly body: A
  readonly reason: string
  readonly by: string
  readonly at: number
}

/** Reads the body of a change. `reason` may stand in it or in the header `x-reason`. */
export const readOrder = <A, E>(schema: Schema.Codec<A, E>): ((call: Call) => Effect.Effect<Order<A>, Refusal>) => {
  const decode = decoder(schema, { strict: true })
  return Effect.fnUntraced(function* (call: Call) {
    const sent = (yield* readJson(call)) ?? {}
    if (typeof sent !== "object" || sent === null || Array.isArray(sent))
      return yield* badField("", "must be an object")
    const { reason: inBody, ...rest } = sent as Schema.JsonObject
    const body = yield* decode(rest)
    const given = inBody ?? header(call, "x-reason")
    if (given === undefined || given === "") {
      return yield* refuse("invalid_request", "Say why: `reason` in the body, or the header x-reason.", {
        param: "reason"
      })
    }
    const reason = yield* decodeReason(given)
    return { body, reason, by: actorOf(call), at: yield* Clock.currentTimeMillis }
  })
}

/** For changes that need no more than a reason. */
export const readReason = readOrder(Schema.Struct({}))

/** One row, after the change is made. */
export const audit = <A>(
  { reason, by, at }: Order<A>,
  action: string,
  subject: string,
  detail: Schema.JsonObject = {}
) => Effect.flatMap(Audit, ({ append }) => append({ actor: by, action, subject, reason, detail, at }))
