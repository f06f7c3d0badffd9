/** Incidents that a job's actor raises. One that cannot be stored is logged: a job never waits for it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { freshIncidentId } from "../../schemas/Ids.ts"
import type { Severity } from "../../schemas/Incident.ts"
import type { JobActorState } from "./JobActorState.ts"

export const raise = (
  state: JobActorState,
  type: string,
  severity: Severity,
  observed: Schema.Json,
  expected: Schema.Json
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { job, machine, house, self } = state
    const incident = {
      id: yield* freshIncidentId,
      kind: "anomaly" as const,
      type,
      severity,
      subject: machine.nodeId === null ? `job/${job.id}` : `node/${machine.nodeId}`,
      stage: machine.phase,
      jobId: job.id,
      nodeId: machine.nodeId,
      namespaceId: job.namespaceId,
      observed,
      expected,
      at: yield* Clock.currentTimeMillis
    }
    yield* self.fork(
      Effect.catch(house.incidents.raise([incident]), ({ during }) =>
        Effect.logWarning("incident not stored", { type, jobId: job.id, during })
      )
    )
  })
