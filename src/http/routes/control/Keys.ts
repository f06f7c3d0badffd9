/** API keys. The secret is in the answer to its creation and nowhere else, ever. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { ApiKeys, digestOf, newSecret, SHOWN } from "../../../layers/ApiKeys.ts"
import { freshKeyId, KeyId, NamespaceId } from "../../../schemas/Ids.ts"
import { ApiKey, isSystemNamespace } from "../../../schemas/Namespace.ts"
import { refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { badField } from "../../Decode.ts"
import { audit, readOrder, readReason } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readQuery } from "../../Query.ts"
import { open } from "../../Route.ts"

export const CreateKeyOrder = Schema.Struct({
  namespaceId: NamespaceId,
  label: Schema.optionalKey(ApiKey.fields.label),
  ratePerSecond: Schema.optionalKey(ApiKey.fields.ratePerSecond),
  expiresAt: Schema.optionalKey(Schema.NullOr(Schema.Natural))
})
const readCreate = readOrder(CreateKeyOrder)

const RATE_DEFAULT = 60
const isKeyId = Schema.is(KeyId)
const isNamespaceId = Schema.is(NamespaceId)

const list = open(
  Effect.fnUntraced(function* (call: Call) {
    const { namespace } = yield* readQuery(call.query, ["namespace"])
    if (namespace !== undefined && !isNamespaceId(namespace)) return yield* badField("namespace", "is not an id")
    return plain({ data: yield* (yield* ApiKeys).list(isNamespaceId(namespace) ? namespace : null) })
  })
)

const create = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readCreate(call)
    const { namespaceId, label = "", ratePerSecond = RATE_DEFAULT, expiresAt = null } = order.body
    if (isSystemNamespace(namespaceId)) {
      return yield* refuse("forbidden", "This namespace is the network's own: it has no keys.", {
        param: "namespaceId"
      })
    }
    if (expiresAt !== null && expiresAt <= order.at) return yield* badField("expiresAt", "must lie in the future")
    const secret = Redacted.value(yield* newSecret)
    const id = yield* freshKeyId
    const prefix = secret.slice(0, SHOWN)
    const key = yield* (yield* ApiKeys).insert(
      { id, namespaceId, label, prefix, ratePerSecond, createdAt: order.at, expiresAt, revokedAt: null },
      digestOf(secret)
    )
    yield* audit(order, "key.create", `key/${id}`, { namespaceId, ratePerSecond })
    return plain({ key, secret }, 201)
  })
)

const revoke = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = call.params["id"]
    const order = yield* readReason(call)
    if (!isKeyId(id)) return yield* refuse("not_found", "There is no such key.")
    const key = yield* (yield* ApiKeys).revoke(id, yield* Clock.currentTimeMillis)
    yield* audit(order, "key.revoke", `key/${id}`)
    return plain({ key })
  })
)

export const keyRoutes = { listKeys: list, createKey: create, revokeKey: revoke }
