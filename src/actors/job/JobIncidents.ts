/** Incidents that a job's actor raises. One that cannot be stored is logged: a job never waits for it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { freshIncidentId } from "../../schemas/Ids.ts"
import type { Incident, Severity } from "../../schemas/Incident.ts"
import type { JobActorState } from "./JobActorState.ts"

export const raise = (
  state: JobActorState,
  type: string,
  severity: Severity,
  observed: Schema.Json,
  expected: Schema.Json
): Effect.Effect<void> =>
  state.self.fork(stored(state, { kind: "anomaly", type, severity, observed, expected, subject: culpritOf(state) }))

type Told = Pick<Incident, "kind" | "type" | "severity" | "subject" | "observed" | "expected">

const culpritOf = ({ job, machine }: JobActorState): string =>
  machine.nodeId === null ? `job/${job.id}` : `node/${machine.nodeId}`

const stored = ({ job, machine, house }: JobActorState, told: Told): Effect.Effect<void> =>
  Effect.gen(function* () {
    const incident = {
      ...told,
      id: yield* freshIncidentId,
      stage: machine.phase,
      jobId: job.id,
      nodeId: machine.nodeId,
      namespaceId: job.namespaceId,
      at: yield* Clock.currentTimeMillis
    }
    yield* house.incidents.raise([incident])
  }).pipe(
    Effect.catch(({ during }) => Effect.logWarning("incident not stored", { type: told.type, jobId: job.id, during }))
  )

/** It went well, but slower than it should. Stored before the job's actor is told that it settled, because it ends with that word. */
export const warnIfSlow = (state: JobActorState, totalMs: number): Effect.Effect<void> => {
  const { slowJobMs } = state.settings
  if (totalMs <= slowJobMs) return Effect.void
  const told = { kind: "warning", type: "slow_job", severity: "low", subject: `job/${state.job.id}` } as const
  return stored(state, { ...told, observed: { totalMs }, expected: { totalMsMost: slowJobMs } })
}
