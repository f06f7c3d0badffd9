/**
 * Takes jobs off their lanes. What it owns: a consumer on every lane that was opened. The prefetch bounds what waits in this daemon for a slot;
 * the rest waits with the broker. A delivery is acknowledged by the job's actor, after its claim.
 */
import * as Effect from "effect/Effect"
import type { ActorContext, ActorSpec, Behavior } from "../../kernel/Actor.ts"
import type { JobSurvey } from "../../layers/JobStore.ts"
import { waitOut } from "../../layers/Outage.ts"
import { inTrace } from "../../layers/Traced.ts"
import type { Delivery, Transport } from "../../layers/Transport.ts"
import { daemonAt } from "../../schemas/Address.ts"
import type { Message } from "../../schemas/Envelope.ts"
import { laneName, laneNamed, type Lane } from "../../schemas/Job.ts"
import type { JobSupervisor } from "./JobSupervisor.ts"

export type IntakeMessage =
  | { readonly _tag: "LanesOpened"; readonly lanes: ReadonlyArray<Lane> }
  | { readonly _tag: "LookAgain" }

type JobQueued = Extract<Message, { _tag: "JobQueued" }>

export interface IntakeHouse {
  readonly transport: Transport["Service"]
  readonly survey: JobSurvey["Service"]
  readonly jobs: JobSupervisor["Service"]
  readonly lanePrefetch: number
}

export const INTAKE = "job-intake"
/** A lane whose opening was not heard is found by this look at the deciding store. */
const LOOK_AGAIN = "15 seconds"
const TOPIC_PREFETCH = 256

interface IntakeState {
  readonly house: IntakeHouse
  readonly self: ActorContext<IntakeMessage>
  readonly lanes: Set<string>
}

export const spec = (house: IntakeHouse): ActorSpec<IntakeMessage, IntakeState> => ({
  address: INTAKE,
  kind: "intake",
  behavior: behavior(house),
  restart: "permanent"
})

const behavior = (house: IntakeHouse): Behavior<IntakeMessage, IntakeState> => ({
  init: (self) =>
    Effect.gen(function* () {
      yield* self.fork(hearOpenings(house, self))
      self.self.tellUnsafe({ _tag: "LookAgain" })
      return { house, self, lanes: new Set<string>() }
    }),
  receive: (state, message) => Effect.as(receive(state, message), state)
})

const receive = (state: IntakeState, message: IntakeMessage): Effect.Effect<void> => {
  switch (message._tag) {
    case "LanesOpened":
      return Effect.forEach(message.lanes, (lane) => consume(state, lane), { discard: true })
    case "LookAgain":
      return lookAgain(state)
  }
}

const hearOpenings = ({ transport }: IntakeHouse, self: ActorContext<IntakeMessage>) =>
  waitOut(
    Effect.scoped(
      Effect.gen(function* () {
        const consumer = yield* transport.consume({ _tag: "Topic", topic: "lane" }, TOPIC_PREFETCH)
        while (true) {
          for (const { envelope, ack } of yield* consumer.take) {
            const lane = envelope.message._tag === "LaneOpened" ? laneNamed(envelope.message.lane) : null
            if (lane !== null) self.self.tellUnsafe({ _tag: "LanesOpened", lanes: [lane] })
            yield* ack
          }
        }
      })
    )
  )

const lookAgain = ({ house, self }: IntakeState) =>
  Effect.gen(function* () {
    yield* self.fork(
      Effect.map(waitOut(house.survey.lanes), (lanes) => {
        self.self.tellUnsafe({ _tag: "LanesOpened", lanes: lanes.map(({ lane }) => lane) })
      })
    )
    yield* self.after("look", LOOK_AGAIN, { _tag: "LookAgain" })
  })

const consume = ({ house, self, lanes }: IntakeState, lane: Lane): Effect.Effect<void> => {
  const name = laneName(lane)
  if (lanes.has(name)) return Effect.void
  lanes.add(name)
  const once = Effect.scoped(
    Effect.gen(function* () {
      const consumer = yield* house.transport.consume({ _tag: "Lane", lane }, house.lanePrefetch)
      while (true) {
        for (const delivery of yield* consumer.take) {
          const { message } = delivery.envelope
          if (message._tag === "JobQueued") yield* take(house, message, delivery)
          else yield* park(house, delivery)
        }
      }
    })
  )
  return self.fork(waitOut(once))
}

/** Its readers are, most likely, where it was accepted. */
const take = ({ jobs }: IntakeHouse, { jobId, namespaceId }: JobQueued, delivery: Delivery) => {
  const reader = daemonAt(delivery.envelope.replyTo)
  const followers = reader === null ? [] : [reader]
  const { traceparent } = delivery.envelope
  return inTrace("job.deliver", { traceparent, kind: "consumer", attributes: { "job.id": jobId } })(
    jobs.start(jobId, namespaceId, { delivery, followers, grant: null, from: null })
  )
}

/** What is no job does not belong in a lane; it is kept where an operator finds it. */
const park = ({ transport }: IntakeHouse, { envelope, ack }: Delivery) =>
  Effect.andThen(transport.publish({ _tag: "Parked", reason: "not a job" }, envelope), ack)
