/** Evaluation sets, trials and scores, for administrators: what nobody else may know, because it tells blind jobs from others. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { EvaluationSets, lineOf } from "../../../layers/EvaluationSets.ts"
import { JobSearch } from "../../../layers/JobSearch.ts"
import { Quality } from "../../../layers/Quality.ts"
import { NodeId } from "../../../schemas/Ids.ts"
import { EvaluationSetId, evaluationSetFields, TrialKind, TrialState } from "../../../schemas/Quality.ts"
import { type Refusal, refuse } from "../../../schemas/Refusal.ts"
import type { Call } from "../../Call.ts"
import { ownersViewOf } from "../../NodeOwnersView.ts"
import { audit, operatorScope, readOrder } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInt, readOneOf, readQuery, readText } from "../../Query.ts"
import { open } from "../../Route.ts"

export const AddSetOrder = Schema.Struct(evaluationSetFields)
const readAdd = readOrder(AddSetOrder)

const isSetId = Schema.is(EvaluationSetId)
const isNodeId = Schema.is(NodeId)
const setNotFound = refuse("not_found", "There is no such evaluation set, or not in this version.")

/** A page of what is newest; nobody asks for more of it at once. */
const LIMIT = { least: 1, most: 1000, otherwise: 100 }

const nodeIn = (text: string | undefined): Effect.Effect<NodeId | undefined, Refusal> => {
  const id = text?.toLowerCase()
  if (id === undefined || isNodeId(id)) return Effect.succeed(id)
  return Effect.fail(refuse("invalid_request", "node is not an address.", { param: "node" }))
}

const listSets = open(() => Effect.flatMap(EvaluationSets, ({ list }) => Effect.map(list, (data) => plain({ data }))))

const getSet = open(
  Effect.fnUntraced(function* (call: Call) {
    const id = call.params["id"]
    const query = yield* readQuery(call.query, ["version"])
    const version = yield* readInt("version", query.version, { least: 1, most: 1_000_000, otherwise: 0 })
    const sets = yield* EvaluationSets
    const set = isSetId(id) ? yield* sets.get(id, version === 0 ? null : version) : null
    if (set === null) return yield* setNotFound
    return plain({ set, versions: yield* sets.history(set.id, LIMIT.otherwise) })
  })
)

const addSet = open(
  Effect.fnUntraced(function* (call: Call) {
    const order = yield* readAdd(call)
    const { by, reason, at } = order
    const sets = yield* EvaluationSets
    const before = yield* sets.get(order.body.id, null)
    const set = yield* sets.add({ ...order.body, by, reason, at })
    const added = set.version !== before?.version
    // Of the prompts only how many: their texts stand with the set alone.
    const { version, sha256, models, prompts } = lineOf(set)
    if (added) yield* audit(order, "quality.set", `set/${set.id}`, { version, sha256, models, prompts })
    return plain({ set: lineOf(set), added }, added ? 201 : 200)
  })
)

const scores = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["node", "model", "limit"])
    const nodeId = yield* nodeIn(query.node)
    const model = yield* readText("model", query.model)
    const limit = yield* readInt("limit", query.limit, LIMIT)
    const data = yield* (yield* Quality).standings({
      limit,
      ...(nodeId === undefined ? {} : { nodeId }),
      ...(model === undefined ? {} : { model })
    })
    return plain({ data })
  })
)

const trials = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["kind", "state", "node", "model", "set", "limit"])
    const kind = yield* readOneOf("kind", query.kind, TrialKind.literals)
    const state = yield* readOneOf("state", query.state, TrialState.literals)
    const nodeId = yield* nodeIn(query.node)
    const model = yield* readText("model", query.model)
    const { set } = query
    if (set !== undefined && !isSetId(set)) return yield* setNotFound
    const limit = yield* readInt("limit", query.limit, LIMIT)
    const data = yield* (yield* Quality).trials({
      limit,
      ...(kind === undefined ? {} : { kind }),
      ...(state === undefined ? {} : { state }),
      ...(nodeId === undefined ? {} : { nodeId }),
      ...(model === undefined ? {} : { model }),
      ...(set === undefined ? {} : { setId: set })
    })
    return plain({ data })
  })
)

/** As the node's owner may see them: what an administrator can hand on. */
const nodeJobs = open(
  Effect.fnUntraced(function* (call: Call) {
    const nodeId = call.params["id"]?.toLowerCase()
    if (!isNodeId(nodeId)) return yield* refuse("not_found", "There is no such node.")
    const query = yield* readQuery(call.query, ["limit"])
    const limit = yield* readInt("limit", query.limit, LIMIT)
    const jobs = yield* (yield* JobSearch).search(operatorScope(call), { nodeId }, null, limit)
    return plain({ data: jobs.map(ownersViewOf) })
  })
)

export const qualityRoutes = {
  listEvaluationSets: listSets,
  getEvaluationSet: getSet,
  addEvaluationSet: addSet,
  listScores: scores,
  listTrials: trials,
  listNodeJobs: nodeJobs
}
