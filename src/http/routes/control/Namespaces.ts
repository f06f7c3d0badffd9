/** Namespaces, their rules and their money. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CreditLedger } from "../../../layers/CreditLedger.ts"
import { JobSurvey } from "../../../layers/JobStore.ts"
import { Namespaces } from "../../../layers/Namespaces.ts"
import { Settings } from "../../../layers/Settings.ts"
import { fromDecimal, zero } from "../../../schemas/Credits.ts"
import { freshNamespaceId, NamespaceId } from "../../../schemas/Ids.ts"
import { Namespace, NamespaceRules, defaultRules } from "../../../schemas/Namespace.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { badField } from "../../Decode.ts"
import { audit, readOrder } from "../../Operator.ts"
import { balanceView, plain } from "../../OperatorViews.ts"
import { readInt, readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"
import { HoldOrder } from "./Jobs.ts"
import * as Struct from "effect/Struct"

const SomeRules = NamespaceRules.mapFields(Struct.map(Schema.optionalKey))

export const CreateNamespaceOrder = Schema.Struct({
  name: Namespace.fields.name,
  environment: Namespace.fields.environment,
  rules: Schema.optionalKey(SomeRules)
})
export const AmendOrder = Schema.Struct({ rules: SomeRules })
/** In credits, with at most six decimals. */
export const GrantOrder = Schema.Struct({
  amount: Schema.String.check(Schema.isMaxLength(32)),
  reference: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:/-]{1,128}$/))
})
const readCreate = readOrder(CreateNamespaceOrder)
const readAmend = readOrder(AmendOrder)
const readHold = readOrder(HoldOrder)
const readGrant = readOrder(GrantOrder)

const isNamespaceId = Schema.is(NamespaceId)
const namespaceNotFound = refuse("not_found", "There is no such namespace.")

export const namespaceOf = Effect.fnUntraced(function* (call: Call) {
  const id = call.params["id"]
  const namespace = isNamespaceId(id) ? yield* (yield* Namespaces).get(id) : null
  return namespace ?? (yield* namespaceNotFound)
})

/** S89: an archive that is sold through Space; nothing here can offer it. */
const SPACE = /^space(?:[_-]|$)/

const refuseStrangeTier = Effect.fnUntraced(function* (name: string | undefined) {
  if (name === undefined) return
  if (SPACE.test(name)) {
    return yield* refuse(
      "not_available",
      "Storage through Space is not available here. Choose another retention tier.",
      {
        param: "rules.retentionTier"
      }
    )
  }
  const { tiers } = (yield* (yield* Settings).current).settings.retention
  if (!(name in tiers)) {
    return yield* badField(
      "rules.retentionTier",
      `is none of the tiers in the settings: ${Object.keys(tiers).join(", ")}`
    )
  }
})

const list = open(() => Effect.flatMap(Namespaces, ({ list }) => Effect.map(list, (data) => plain({ data }))))

const create = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readCreate(call)
    const { name, environment, rules } = order.body
    yield* refuseStrangeTier(rules?.retentionTier)
    const id = yield* freshNamespaceId
    const namespace = yield* (yield* Namespaces).create({
      id,
      name,
      environment,
      rules: { ...defaultRules, ...rules },
      createdAt: order.at
    })
    yield* audit(order, "namespace.create", `namespace/${namespace.id}`, { name, environment })
    return plain({ namespace }, 201)
  })
)

const get = open(
  Effect.fnUntraced(function* (call: Call) {
    const namespace = yield* namespaceOf(call)
    const balance = yield* (yield* CreditLedger).balance(namespace.id)
    const openJobs = yield* (yield* JobSurvey).open(namespace.id)
    return plain({ namespace, balance: balanceView(balance), openJobs })
  })
)

const amend = open(
  Effect.fnUntraced(function* (call: Call) {
    const { id, rules } = yield* namespaceOf(call)
    const order = yield* readAmend(call)
    const wanted = order.body.rules
    yield* refuseStrangeTier(wanted.retentionTier)
    // Days of the namespace's own would outlast the tier that is asked for.
    const days = wanted.retentionTier !== undefined && wanted.retentionDays === undefined ? { retentionDays: null } : {}
    const namespace = yield* (yield* Namespaces).amend(id, { ...rules, ...days, ...wanted })
    yield* audit(order, "namespace.rules", `namespace/${id}`, { ...order.body.rules })
    return plain({ namespace })
  })
)

const hold = open(
  Effect.fnUntraced(function* (call: Call) {
    const { id, rules } = yield* namespaceOf(call)
    const order = yield* readHold(call)
    const { held } = order.body
    const namespace = yield* (yield* Namespaces).amend(id, { ...rules, held })
    yield* audit(order, held ? "namespace.hold" : "namespace.release", `namespace/${id}`)
    return plain({ namespace })
  })
)

const grant = open(
  Effect.fnUntraced(function* (call: Call) {
    const { id } = yield* namespaceOf(call)
    const order = yield* readGrant(call)
    const { amount: text, reference } = order.body
    const amount = fromDecimal(text)
    if (amount === undefined || amount === zero) {
      return yield* badField("amount", "must be a positive decimal number of credits with at most six decimals")
    }
    const balance = yield* (yield* CreditLedger).grant({ namespaceId: id, amount, reference, at: order.at })
    yield* audit(order, "credits.grant", `namespace/${id}`, { amount: text, reference })
    return plain({ namespaceId: id, balance: balanceView(balance) })
  })
)

const balance = open(
  Effect.fnUntraced(function* (call: Call) {
    const { id } = yield* namespaceOf(call)
    return plain({ namespaceId: id, balance: balanceView(yield* (yield* CreditLedger).balance(id)) })
  })
)

const entries = open(
  Effect.fnUntraced(function* (call: Call) {
    const { id } = yield* namespaceOf(call)
    const query = yield* readQuery(call.query, ["after", "limit"])
    const after = yield* readInt("after", query.after, { least: 0, most: Number.MAX_SAFE_INTEGER, otherwise: 0 })
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    const data = yield* (yield* CreditLedger).entries(id, after, limit)
    return plain({ data, next: data.length < limit ? null : (data.at(-1)?.seq ?? null) })
  })
)

export const namespaceRoutes = {
  listNamespaces: list,
  createNamespace: create,
  getNamespace: get,
  amendNamespace: amend,
  holdNamespace: hold,
  grantCredits: grant,
  getBalance: balance,
  listEntries: entries
}
