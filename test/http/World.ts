/**
 * Both listeners on ports of the system's choice, over memory back ends, with an admission and streams that play what a test wrote down. Every
 * test makes its own, so nothing it counts is another's.
 */
import { Clock, Context, Deferred, Effect, Layer, Option, Redacted, Ref } from "effect"
import { Admission, type JobRequest } from "../../src/actors/job/Admission.ts"
import { type JobSignal, JobStreams } from "../../src/actors/job/JobStreams.ts"
import { type AgentSocket, NodeSupervisor } from "../../src/actors/node/NodeSupervisor.ts"
import { LongWork } from "../../src/actors/LongWork.ts"
import { SweepSupervisor } from "../../src/actors/sweep/SweepSupervisor.ts"
import * as Backends from "../../src/Backends.ts"
import { LogRequests } from "../../src/http/RequestLog.ts"
import * as Server from "../../src/http/Server.ts"
import { ReceiptDesk } from "../../src/actors/ReceiptDesk.ts"
import { Registry } from "../../src/kernel/Registry.ts"
import { ApiKeys, digestOf } from "../../src/layers/ApiKeys.ts"
import { DaemonConfig } from "../../src/layers/DaemonConfig.ts"
import { Namespaces } from "../../src/layers/Namespaces.ts"
import type { Outage } from "../../src/layers/Outage.ts"
import { Readiness } from "../../src/layers/Readiness.ts"
import type { JobId } from "../../src/schemas/Ids.ts"
import type { JobRow } from "../../src/schemas/JobState.ts"
import type { Namespace } from "../../src/schemas/Namespace.ts"
import { type Refusal, refuse } from "../../src/schemas/Refusal.ts"
import { Snapshots } from "../../src/snapshots/Snapshots.ts"
import type { TokenEvent } from "../../src/schemas/TokenEvent.ts"
import { aDaemonId, aJob, aNamespace, anApiKey, endedRow } from "../support/factories.ts"

/** What happens to the next job. */
export interface Script {
  /** Admission says no. */
  readonly refuse?: Refusal | Outage
  /** What each take gives; afterwards nothing comes any more. */
  readonly takes: ReadonlyArray<ReadonlyArray<JobSignal>>
  readonly row?: Partial<JobRow>
}

export class World extends Context.Service<
  World,
  {
    readonly url: string
    readonly control: string
    readonly namespace: Namespace
    readonly other: Namespace
    readonly key: string
    readonly otherKey: string
    readonly play: (script: Script) => void
    /** Puts a job there that was admitted earlier. */
    readonly place: (row: JobRow, takes?: ReadonlyArray<ReadonlyArray<JobSignal>>) => void
    readonly admitted: ReadonlyArray<JobRequest>
    readonly cancelled: ReadonlyArray<{ readonly jobId: JobId; readonly cause: string }>
    /** Completes with the first cancellation. */
    readonly firstCancel: Effect.Effect<void>
    readonly sockets: ReadonlyArray<AgentSocket>
    readonly restricted: ReadonlyArray<string>
  }
>()("test/http/World") {}

export const pieces = (...texts: ReadonlyArray<string>): JobSignal => ({
  _tag: "Tokens",
  events: texts.map((text, at) => ({ seq: at + 1, choice: 0, text, offsetMs: at }))
})

export const tokens = (...events: ReadonlyArray<Omit<TokenEvent, "offsetMs">>): JobSignal => ({
  _tag: "Tokens",
  events: events.map((event) => ({ ...event, offsetMs: 1 }))
})

/** The end of the job that is being played. */
export const ended = (over: Partial<JobRow> = {}): JobSignal => ({ _tag: "Ended", row: endedRow(over) })

export const happy: Script = { takes: [[pieces("Hel", "lo"), ended()]] }

const standingSweeper = {
  name: "expiry",
  leader: null,
  epoch: 1,
  watermark: null,
  sweptAt: null,
  swept: 0,
  lastError: null,
  everyMs: 500,
  leads: true
}

const notFound = refuse("not_found", "There is no such job in this namespace.", { param: "id" })

interface Played {
  readonly row: JobRow
  readonly takes: ReadonlyArray<ReadonlyArray<JobSignal>>
}

/** Signals after a position; the row in them is the job's own. */
const after = ({ row, takes }: Played, position: number): ReadonlyArray<ReadonlyArray<JobSignal>> =>
  takes
    .map((signals) =>
      signals.flatMap((signal): ReadonlyArray<JobSignal> => {
        if (signal._tag === "Ended") return [{ _tag: "Ended", row: { ...signal.row, job: row.job } }]
        if (signal._tag === "Behind") return position >= signal.lastSeq ? [] : [signal]
        const events = signal.events.filter(({ seq }) => seq > position)
        return events.length === 0 ? [] : [{ _tag: "Tokens", events }]
      })
    )
    .filter((signals) => signals.length > 0)

const makeState = Effect.gen(function* () {
  const namespace = aNamespace()
  const other = aNamespace()
  return {
    namespace,
    other,
    key: `rsk-${"a".repeat(43)}`,
    otherKey: `rsk-${"b".repeat(43)}`,
    script: happy as Script,
    jobs: new Map<JobId, Played>(),
    keyed: new Map<string, JobId>(),
    admitted: [] as Array<JobRequest>,
    cancelled: [] as Array<{ readonly jobId: JobId; readonly cause: string }>,
    firstCancel: yield* Deferred.make<void>(),
    sockets: [] as Array<AgentSocket>,
    restricted: [] as Array<string>,
    draining: yield* Ref.make(false)
  }
})
type State = Effect.Success<typeof makeState>
class PlayState extends Context.Service<PlayState, State>()("test/http/Played") {}

const admission = Layer.effect(
  Admission,
  Effect.map(PlayState, (state) =>
    Admission.of({
      admit: (caller, request) =>
        Effect.gen(function* () {
          state.admitted.push(request)
          const { refuse: refusal, row, takes } = state.script
          if (refusal !== undefined) return yield* Effect.fail(refusal)
          const known = request.idempotencyKey === null ? undefined : state.keyed.get(request.idempotencyKey)
          const existing = known === undefined ? undefined : state.jobs.get(known)
          if (existing !== undefined) return { row: existing.row, created: false }
          const job = aJob({
            namespaceId: caller.namespace.id,
            endpoint: request.endpoint,
            mode: request.mode,
            model: request.model,
            acceptedAt: yield* Clock.currentTimeMillis
          })
          if (request.idempotencyKey !== null) state.keyed.set(request.idempotencyKey, job.id)
          const queued = { ...endedRow({ state: "queued", attempt: 0, finishedAt: null, ...row }), job }
          state.jobs.set(job.id, { row: queued, takes })
          return { row: queued, created: true }
        })
    })
  )
)

const streams = Layer.effect(
  JobStreams,
  Effect.map(PlayState, (state) => {
    const find = (scope: { readonly _tag: string; readonly namespaceId?: string }, jobId: JobId) => {
      const played = state.jobs.get(jobId)
      const sees =
        played !== undefined && (scope._tag === "Operator" || scope.namespaceId === played.row.job.namespaceId)
      return sees ? Effect.succeed(played) : Effect.fail(notFound)
    }
    return JobStreams.of({
      subscribe: (scope, jobId, position) =>
        Effect.map(find(scope, jobId), (played) => {
          const left = [...after(played, position)]
          return {
            take: Effect.suspend(() =>
              Option.match(Option.fromNullishOr(left.shift()), { onNone: () => Effect.never, onSome: Effect.succeed })
            )
          }
        }),
      row: (scope, jobId) => Effect.map(find(scope, jobId), ({ row }) => row),
      cancel: (scope, jobId, cause) =>
        Effect.gen(function* () {
          const { row } = yield* find(scope, jobId)
          state.cancelled.push({ jobId, cause })
          yield* Deferred.succeed(state.firstCancel, undefined)
          return { ...row, state: "cancelled" as const, errorCode: cause, finishedAt: 3 }
        }),
      explain: (scope, jobId) => Effect.as(find(scope, jobId), ["The job waits."])
    })
  })
)

const supervisors = Layer.unwrap(
  Effect.map(PlayState, (state) => {
    const row = (nodeId: string) => Effect.succeed({ nodeId } as never)
    return Layer.mergeAll(
      Layer.succeed(NodeSupervisor, {
        serve: (socket) =>
          Effect.gen(function* () {
            state.sockets.push(socket)
            while (true) {
              const frames = yield* socket.receive
              if (frames === null) return
              for (const frame of frames) socket.send(`echo:${frame}`)
            }
          }),
        restrict: (nodeId, { kind }) =>
          Effect.andThen(
            Effect.sync(() => state.restricted.push(`${kind} ${nodeId}`)),
            row(nodeId)
          ),
        lift: (nodeId, kind) =>
          Effect.andThen(
            Effect.sync(() => state.restricted.push(`-${kind} ${nodeId}`)),
            row(nodeId)
          ),
        drain: () => Effect.fail(refuse("not_found", "The node has no session."))
      }),
      Layer.succeed(SweepSupervisor, {
        list: Effect.succeed([standingSweeper]),
        sweep: (name, dryRun) =>
          name === "expiry"
            ? Effect.succeed({ name, dryRun, swept: 3, detail: {} })
            : Effect.fail(refuse("not_found", "There is no such sweeper.")),
        sweepWatched: (name, told) => Effect.as(told(3), { name, dryRun: false, swept: 3, detail: {} })
      }),
      Layer.succeed(Readiness, {
        probe: Effect.succeed([{ name: "jobs", required: true, up: true, latencyMs: 1 }]),
        draining: Ref.get(state.draining),
        startDrain: Ref.set(state.draining, true)
      })
    )
  })
)

export interface Wishes {
  readonly controlKey?: string
  readonly controlHost?: string
  readonly logs?: boolean
  readonly ratePerSecond?: number
}

const config = ({ controlKey, controlHost = "127.0.0.1" }: Wishes) =>
  Layer.succeed(DaemonConfig, {
    daemonId: aDaemonId(),
    dataFolder: "/nowhere",
    host: "127.0.0.1",
    port: 0,
    controlHost,
    controlPort: 0,
    controlKey: controlKey === undefined ? null : Redacted.make(controlKey),
    trustedProxies: [],
    environment: "testnet",
    drainMs: 0,
    silenceMaxMs: null,
    lanePrefetch: 1
  })

const outbound = Backends.outbound({ schemes: ["https"], ranges: [] })

const world = ({ ratePerSecond = 1000 }: Wishes) =>
  Layer.effect(
    World,
    Effect.gen(function* () {
      const state = yield* PlayState
      const { publicUrl, controlUrl } = yield* Server.Listeners
      const namespaces = yield* Namespaces
      const keys = yield* ApiKeys
      for (const [namespace, secret] of [
        [state.namespace, state.key],
        [state.other, state.otherKey]
      ] as const) {
        yield* namespaces.create(namespace)
        yield* keys.insert(anApiKey({ namespaceId: namespace.id, ratePerSecond }), digestOf(secret))
      }
      return World.of({
        ...state,
        url: publicUrl,
        control: controlUrl,
        play: (script) => void (state.script = script),
        place: (row, takes = []) => void state.jobs.set(row.job.id, { row, takes }),
        firstCancel: Deferred.await(state.firstCancel)
      })
    })
  )

/** Everything above, also the memory back ends for tests that look behind the doors. */
export const makeWorld = (wishes: Wishes = {}) =>
  world(wishes).pipe(
    Layer.provideMerge(Server.layer),
    Layer.provideMerge(
      Layer.mergeAll(
        admission,
        streams,
        supervisors,
        Registry.layer,
        ReceiptDesk.layer,
        LongWork.layer,
        Snapshots.layer
      )
    ),
    Layer.provideMerge(Layer.mergeAll(Backends.memory, outbound, Layer.effect(PlayState, makeState), config(wishes))),
    Layer.provideMerge(Layer.succeed(LogRequests, wishes.logs ?? false))
  )

export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // Bodies of many shapes are looked into by many tests.
  readonly body: Readonly<Record<string, never>> & {
    readonly job?: { readonly state: string; readonly usage: Readonly<Record<string, number>> }
    readonly error: { readonly code: string; readonly param: string; readonly message: string; readonly type: string }
  }
}

/** One request, with the key unless another authorization is given. */
export const ask = (
  path: string,
  {
    body,
    method,
    headers = {},
    key
  }: { body?: unknown; method?: string; headers?: Record<string, string>; key?: string | null } = {}
) =>
  Effect.flatMap(World, (world) =>
    Effect.promise(async (): Promise<Answered> => {
      const secret = key === undefined ? world.key : key
      const response = await fetch(path.startsWith("http") ? path : `${world.url}${path}`, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: {
          ...(secret === null ? {} : { authorization: `Bearer ${secret}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers
        },
        ...(body === undefined
          ? {}
          : { body: typeof body === "string" || body instanceof Uint8Array ? (body as never) : JSON.stringify(body) })
      })
      const text = await response.text()
      const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json")
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: isJson && text !== "" ? JSON.parse(text) : {}
      }
    })
  )

export const chat = (over: object = {}) => ({ model: "tiny", messages: [{ role: "user", content: "Hi" }], ...over })

/** The data of each event of a stream. */
export const dataOf = (text: string): ReadonlyArray<string> =>
  text.split("\n\n").flatMap((event) => {
    const line = event.split("\n").find((one) => one.startsWith("data: "))
    return line === undefined ? [] : [line.slice(6)]
  })
