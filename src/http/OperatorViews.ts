/** The house's own values in JSON, for operators: amounts of credits as decimal strings, everything else as it is. */
import type { Balance } from "../schemas/Credits.ts"
import { toDecimal } from "../schemas/Credits.ts"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** Every bigint in the house is an amount in micro-credits. */
export const plain = (value: object, status = 200): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(
    JSON.stringify(value, (_, member: unknown) => (typeof member === "bigint" ? toDecimal(member) : member)),
    { status, contentType: "application/json" }
  )

export const balanceView = ({ granted, available, reserved, spent }: Balance) => ({
  granted: toDecimal(granted),
  available: toDecimal(available),
  reserved: toDecimal(reserved),
  spent: toDecimal(spent)
})
