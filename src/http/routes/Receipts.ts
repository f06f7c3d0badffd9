/**
 * Receipts, the roots of hours, and the keys that both are signed with. A file is told as the exact bytes that were signed: canonical JSON. A customer's
 * leaves out who the nodes were and brings the salt of the hashes; an operator's is the other way round.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { ReceiptDesk } from "../../actors/ReceiptDesk.ts"
import { JobStore } from "../../layers/JobStore.ts"
import { NetworkKey } from "../../layers/NetworkKey.ts"
import { NetworkKeys } from "../../layers/NetworkKeys.ts"
import { Receipts } from "../../layers/Receipts.ts"
import { canonicalJson } from "../../schemas/CanonicalJson.ts"
import type { ReceiptFile } from "../../schemas/Receipt.ts"
import { type Call, json, type KeyedCall, scopeOf } from "../Call.ts"
import { operatorScope } from "../Operator.ts"
import { readInt, readQuery } from "../Query.ts"
import { keyed, open } from "../Route.ts"
import { jobIdOf, jobNotFound, rowOf } from "./Jobs.ts"

const fileAnswer = (file: ReceiptFile) =>
  HttpServerResponse.text(`${canonicalJson(file)}\n`, { contentType: "application/json" })

const ofCustomer = (file: Required<ReceiptFile>): ReceiptFile => {
  const { identity: _identity, ...parts } = file.parts
  return { ...file, parts }
}

const ofOperator = (file: Required<ReceiptFile>): ReceiptFile => {
  const { opening: _opening, ...rest } = file
  return rest
}

const jobReceipt = keyed(
  Effect.fnUntraced(function* (call: KeyedCall) {
    const row = yield* rowOf(call)
    return fileAnswer(ofCustomer(yield* (yield* ReceiptDesk).file(scopeOf(call), row)))
  })
)

const controlJobReceipt = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* jobIdOf(call)
    const row = yield* (yield* JobStore).get(id)
    if (row === null) return yield* jobNotFound
    return fileAnswer(ofOperator(yield* (yield* ReceiptDesk).file(operatorScope(call), row)))
  })
)

const auditReceipt = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = yield* jobIdOf(call)
    const row = yield* (yield* JobStore).get(id)
    if (row === null) return yield* jobNotFound
    return json(yield* (yield* ReceiptDesk).audit(operatorScope(call), row))
  })
)

const roots = Effect.fnUntraced(function* (call: Call) {
  const query = yield* readQuery(call.query, ["after", "limit"])
  const most = Number.MAX_SAFE_INTEGER
  const after = yield* readInt("after", query.after, { least: 0, most, otherwise: 0 })
  const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
  const data = yield* (yield* Receipts).roots(after, limit)
  return json({ object: "list", data })
})

const networkKeys = Effect.gen(function* () {
  const { id, publicKey } = yield* NetworkKey
  const keys = yield* (yield* NetworkKeys).list
  return json({
    current: { id, public_key: publicKey },
    keys: keys.map((key) => ({ id: key.id, public_key: key.publicKey, since: key.since }))
  })
})

export const receiptRoutes = { receiptOfJob: jobReceipt, listRoots: keyed(roots), networkKeys: open(() => networkKeys) }
export const controlReceiptRoutes = {
  receiptOfJob: controlJobReceipt,
  auditReceipt,
  listRoots: open(roots),
  listNetworkKeys: open(
    Effect.fnUntraced(function* () {
      return json({ data: yield* (yield* NetworkKeys).list })
    })
  )
}
