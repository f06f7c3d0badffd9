/**
 * `QualityReach` over the gate and the nodes' supervisor. A trial is admitted in the name of the environment's system namespace, which is made and given
 * credits when it is needed; both stand in the audit. From the gate on nothing tells its job from others but the node that it is for.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Audit } from "../../layers/Audit.ts"
import { CreditLedger } from "../../layers/CreditLedger.ts"
import { Namespaces } from "../../layers/Namespaces.ts"
import { boundOf } from "../../policies/TrialShape.ts"
import { Credits, MICRO, toDecimal } from "../../schemas/Credits.ts"
import type { Environment } from "../../schemas/Job.ts"
import { type Caller, defaultRules, SYSTEM_NAME, systemKeyId, systemNamespaceId } from "../../schemas/Namespace.ts"
import { runtimeBody } from "../../schemas/openai/RuntimeBody.ts"
import { Admission } from "../job/Admission.ts"
import { NodeSupervisor } from "../node/NodeSupervisor.ts"
import { QualityReach, type TrialOrder } from "../QualityReach.ts"

/** Below this the next trial brings a grant along. */
const FLOOR = 1_000n * MICRO
const TOP_UP = Credits.make(1_000_000n * MICRO)
const OPEN_JOBS_MAX = 1000
const ACTOR = "sweeper/blind"
const REASON = "the network asks its own nodes"

export const layer = Layer.effect(
  QualityReach,
  Effect.gen(function* () {
    const gate = yield* Admission
    const nodes = yield* NodeSupervisor
    const callerOf = yield* makeCallers
    return QualityReach.of({
      admit: Effect.fn("QualityReach.admit")(function* (order) {
        const caller = yield* callerOf(order.environment)
        const { row } = yield* gate.admit(caller, requestOf(order))
        return row.job.id
      }),
      restrict: nodes.restrict,
      lift: nodes.lift
    })
  })
)

const requestOf = ({ trialId, nodeId, model, endpoint, mode, deadlineMs, request }: TrialOrder) => ({
  endpoint,
  mode,
  model,
  request: { ...request, model },
  body: runtimeBody({ ...request, model }),
  outputTokensMax: boundOf(request),
  choices: 1,
  priority: null,
  constraints: { node: nodeId },
  onNodeLoss: null,
  deadlineMs,
  clientTag: null,
  workflow: null,
  idempotencyKey: trialId,
  traceparent: null
})

const makeCallers = Effect.gen(function* () {
  const namespaces = yield* Namespaces
  const ledger = yield* CreditLedger
  const audit = yield* Audit
  const told = (action: string, id: string, detail: Readonly<Record<string, string>>, at: number) =>
    audit.append({ actor: ACTOR, action, subject: `namespace/${id}`, reason: REASON, detail, at })
  return Effect.fnUntraced(function* (environment: Environment) {
    const id = systemNamespaceId(environment)
    const at = yield* Clock.currentTimeMillis
    let namespace = yield* namespaces.get(id)
    if (namespace === null) {
      const rules = { ...defaultRules, openJobsMax: OPEN_JOBS_MAX }
      namespace = yield* namespaces.create({ id, name: SYSTEM_NAME, environment, rules, createdAt: at })
      yield* told("namespace.create", id, { name: SYSTEM_NAME, environment }, at)
    }
    const { available, granted } = yield* ledger.balance(id)
    if (available < FLOOR) {
      // Named for what was granted before, so that two who see the same balance grant once.
      const reference = `trials/${granted}`
      yield* ledger.grant({ namespaceId: id, amount: TOP_UP, reference, at })
      yield* told("credits.grant", id, { amount: toDecimal(TOP_UP), reference }, at)
    }
    return { namespace, keyId: systemKeyId(environment) } satisfies Caller
  })
})
