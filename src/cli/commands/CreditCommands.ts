/**
 * `credits`: money in whole credits with up to six decimals. A grant has a reference of its own, and the same reference again changes nothing,
 * so a grant whose answer was lost can be repeated without paying twice.
 */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { fromDecimal } from "../../schemas/Credits.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import { gets } from "../Ask.ts"
import { argument, type Command, type Input, REASON, reasonOf } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { show } from "../Show.ts"
import { facts } from "../Table.ts"

const Balance = Schema.Struct({
  namespaceId: Schema.String,
  balance: Schema.Struct({
    granted: Schema.String,
    available: Schema.String,
    reserved: Schema.String,
    spent: Schema.String
  })
})

const showBalance = show(Balance, ({ namespaceId, balance }) =>
  facts([
    ["namespace", namespaceId],
    ["granted", balance.granted],
    ["available", balance.available],
    ["reserved", balance.reserved],
    ["spent", balance.spent]
  ])
)

const grant = Effect.fnUntraced(function* (input: Input) {
  const [namespaceId, text] = [argument(input, 0), argument(input, 1).trim()]
  const amount = fromDecimal(text)
  if (amount === undefined || amount === 0n) {
    return yield* usage("AMOUNT is a positive number of credits with at most six decimals, like 12.5")
  }
  const reference = input.flags.get("reference") ?? `cli-${randomUUID()}`
  const body = { amount: text, reference, reason: reasonOf(input) }
  const answer = yield* (yield* Control)
    .post(at("namespaces", namespaceId, "grant"), body)
    .pipe(Effect.mapError((failed) => repeatable(failed, reference)))
  const showGranted = show(
    Balance,
    ({ balance }) => `The grant ${reference} stands; ${namespaceId} has ${balance.available} credits available.\n`
  )
  return yield* showGranted(input, answer)
})

/** Where nobody knows whether the money has moved, how to ask again safely. */
const repeatable = (failed: CliFailed, reference: string): CliFailed =>
  failed.exit === EXIT.unreachable
    ? new CliFailed({
        ...failed,
        message: `${failed.message} Repeat it with --reference ${reference}: that cannot grant twice.`
      })
    : failed

const isReference = (text: string): string | null =>
  /^[A-Za-z0-9._:/-]{1,128}$/.test(text) ? null : "is up to 128 letters, digits and any of . _ : / -"

const NAMESPACE = { name: "NAMESPACE", help: "its id" } as const

export const creditCommands: ReadonlyArray<Command> = [
  {
    path: ["credits", "grant"],
    args: [NAMESPACE, { name: "AMOUNT", help: "credits, with at most six decimals" }],
    flags: [{ name: "reference", value: "NAME", help: "the grant's own name; a new one", check: isReference }, REASON],
    summary: "gives credits to a namespace",
    notes: "The same reference again grants nothing, whatever the amount: use the number of an invoice or a payment.",
    examples: [
      "resultity credits grant ns_01j0example 12.5 --reason top-up",
      "resultity credits grant ns_01j0example 250 --reference invoice-2026-118 --reason 'paid invoice'"
    ],
    run: grant
  },
  {
    path: ["credits", "balance"],
    args: [NAMESPACE],
    flags: [],
    summary: "what a namespace was granted and what became of it",
    notes: "Always: granted = available + reserved + spent.",
    examples: [
      "resultity credits balance ns_01j0example",
      "resultity credits balance ns_01j0example --json | jq -r .balance.available"
    ],
    run: gets((input) => at("namespaces", argument(input, 0), "balance"), showBalance)
  }
]
