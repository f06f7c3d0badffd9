/**
 * What daemons say to each other: hints over the broker, to a daemon's inbox or to a topic. A message may be lost or come twice; whoever acts on one
 * looks at the deciding store first. A call waits for an answer, and a lost answer is an Outage. Rooms say what they handle with `on`.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { DaemonConfig } from "../layers/DaemonConfig.ts"
import { Outage, waitOut } from "../layers/Outage.ts"
import { Transport, type Target } from "../layers/Transport.ts"
import { daemonAddress, daemonAt } from "../schemas/Address.ts"
import { freshEnvelope, type Envelope, type Message } from "../schemas/Envelope.ts"
import type { DaemonId, EnvelopeId } from "../schemas/Ids.ts"
import { refuse, Refusal } from "../schemas/Refusal.ts"

type Tag = Message["_tag"]
type Of<T extends Tag> = Extract<Message, { _tag: T }>

/** What comes of a message; the outcome goes back to a caller, and to nobody else. */
export type Handler<T extends Tag> = (
  message: Of<T>,
  envelope: Envelope
) => Effect.Effect<Schema.Json | void, Refusal | Outage>

const POSTS_MAX = 4096
const POSTS_AT_ONCE = 64
const PREFETCH = 256
const HANDLED_AT_ONCE = 32
/** A call that has no answer by then has failed; the callee may still do what it was asked. */
const CALL_MAX = "30 seconds"

export class Mail extends Context.Service<
  Mail,
  {
    /** Sent in the background; false when too many wait. Lost when the broker is out. */
    readonly post: (target: Target, message: Message) => boolean
    /** Afterwards the broker has it; to a daemon that is gone: an Outage. */
    readonly send: (to: DaemonId, message: Message) => Effect.Effect<void, Outage>
    /** What the other daemon's handler answered. */
    readonly call: (to: DaemonId, message: Message) => Effect.Effect<Schema.Json, Refusal | Outage>
    /** Handles a message as if it had come by mail, without an answer. */
    readonly handle: (message: Message) => Effect.Effect<void>
    readonly on: <T extends Tag>(tag: T, handler: Handler<T>) => Effect.Effect<void>
    /** Takes what comes to this daemon's inbox; once everybody has said what they handle. */
    readonly receive: Effect.Effect<never>
  }
>()("resultity/actors/Mail") {
  static readonly layer = Layer.effect(
    Mail,
    Effect.suspend(() => make)
  )

  /** The last layer of the actors: from here on mail is taken. */
  static readonly open = Layer.effectDiscard(Effect.flatMap(Mail, (mail) => Effect.forkScoped(mail.receive)))
}

interface Post {
  readonly target: Target
  readonly envelope: Envelope
}

/** What the parts of one daemon's mail share. */
interface Office {
  readonly transport: Transport["Service"]
  readonly daemonId: DaemonId
  readonly scope: Scope.Scope
  readonly handlers: Map<Tag, Handler<Tag>>
  readonly calls: Map<EnvelopeId, Deferred.Deferred<Schema.Json, Refusal>>
  readonly post: Mail["Service"]["post"]
}

const make = Effect.gen(function* () {
  const transport = yield* Transport
  const { daemonId } = yield* DaemonConfig
  const context = yield* Effect.context<never>()
  const posts = yield* Queue.bounded<Post>(POSTS_MAX)
  yield* Effect.forkScoped(Effect.forever(publishing(transport, posts)))
  const replyTo = daemonAddress(daemonId)
  const post = (target: Target, message: Message): boolean =>
    Queue.offerUnsafe(posts, { target, envelope: Effect.runSyncWith(context)(freshEnvelope(message, { replyTo })) })
  const office: Office = {
    transport,
    daemonId,
    scope: yield* Effect.scope,
    handlers: new Map(),
    calls: new Map(),
    post
  }
  return Mail.of({
    post,
    send: (to, message) =>
      Effect.flatMap(freshEnvelope(message, { replyTo }), (envelope) =>
        transport.publish({ _tag: "Inbox", daemonId: to }, envelope)
      ),
    call: Effect.fn("Mail.call")((to, message) => call(office, to, message)),
    handle: (message) => Effect.flatMap(freshEnvelope(message), (envelope) => onMessage(office, envelope)),
    on: (tag, handler) => Effect.sync(() => void office.handlers.set(tag, handler as never)),
    receive: receive(office)
  })
})

const publishing = (transport: Transport["Service"], posts: Queue.Dequeue<Post>) =>
  Effect.gen(function* () {
    const batch = yield* Queue.takeBetween(posts, 1, POSTS_AT_ONCE)
    const publishPost = ({ target, envelope }: Post) =>
      Effect.catch(transport.publish(target, envelope), ({ cause }) =>
        Effect.logDebug("message lost", { message: envelope.message._tag, cause: String(cause) })
      )
    yield* Effect.forEach(batch, publishPost, { concurrency: POSTS_AT_ONCE, discard: true })
  })

const call = ({ transport, calls, daemonId }: Office, to: DaemonId, message: Message) =>
  Effect.gen(function* () {
    const envelope = yield* freshEnvelope(message, { replyTo: daemonAddress(daemonId) })
    const answer = yield* Deferred.make<Schema.Json, Refusal>()
    calls.set(envelope.id, answer)
    return yield* Effect.andThen(
      transport.publish({ _tag: "Inbox", daemonId: to }, envelope),
      Deferred.await(answer)
    ).pipe(
      Effect.timeoutOrElse({ duration: CALL_MAX, orElse: () => Effect.fail(unanswered(message)) }),
      Effect.ensuring(Effect.sync(() => calls.delete(envelope.id)))
    )
  })

const outcomeOf = ({ handlers }: Office, envelope: Envelope) => {
  const { message } = envelope
  const handler = handlers.get(message._tag)
  return handler === undefined
    ? Effect.fail(refuse("not_available", `This daemon does not handle ${message._tag}: is it of an older version?`))
    : handler(message, envelope)
}

/** A handler's defect is its own: the next message is handled all the same. */
const onMessage = (office: Office, envelope: Envelope): Effect.Effect<void> => {
  const { message } = envelope
  if (message._tag === "Answered") return Effect.sync(() => onAnswer(office.calls, message))
  return outcomeOf(office, envelope).pipe(
    Effect.result,
    Effect.tap((result) => answerTo(office.post, envelope, result)),
    Effect.catchCause((cause) => Effect.logError("message not handled", { message: message._tag, cause })),
    Effect.asVoid
  )
}

/** Acknowledged at once: a hint that dies with this daemon would find nobody to tell anyway. */
const receive = (office: Office): Effect.Effect<never> => {
  const once: Effect.Effect<never, Outage> = Effect.scoped(
    Effect.gen(function* () {
      const consumer = yield* office.transport.consume({ _tag: "Inbox", daemonId: office.daemonId }, PREFETCH)
      while (true) {
        const deliveries = yield* consumer.take
        for (const delivery of deliveries) yield* delivery.ack
        const handling = Effect.forEach(deliveries, ({ envelope }) => onMessage(office, envelope), {
          concurrency: HANDLED_AT_ONCE,
          discard: true
        })
        yield* Effect.forkIn(handling, office.scope)
      }
    })
  )
  return waitOut(once)
}

const unanswered = ({ _tag }: Message) =>
  new Outage({ of: "Mail", during: _tag, cause: new Error("no answer from the other daemon") })

const decodeRefusal = Schema.decodeUnknownResult(Schema.toCodecJson(Refusal))
const encodeRefusal = Schema.encodeSync(Schema.toCodecJson(Refusal))

const onAnswer = (calls: ReadonlyMap<EnvelopeId, Deferred.Deferred<Schema.Json, Refusal>>, answer: Of<"Answered">) => {
  const waiting = calls.get(answer.call)
  if (waiting === undefined) return
  if (answer.refusal === null) return void Deferred.doneUnsafe(waiting, Effect.succeed(answer.outcome))
  const refusal = Result.getOrElse(decodeRefusal(answer.refusal), () =>
    refuse("unavailable", "The other daemon refused in words that this one does not know.")
  )
  Deferred.doneUnsafe(waiting, Effect.fail(refusal))
}

/** Messages that are calls: their sender waits for what came of them. */
const CALLS: ReadonlySet<Tag> = new Set<Tag>(["DrainNode", "Sweep"])

const answerTo = (
  post: Mail["Service"]["post"],
  { id, message, replyTo }: Envelope,
  result: Result.Result<Schema.Json | void, Refusal | Outage>
) =>
  Effect.gen(function* () {
    const caller = daemonAt(replyTo)
    if (caller === null || !CALLS.has(message._tag)) {
      if (Result.isFailure(result))
        yield* Effect.logWarning("message refused", { message: message._tag, cause: String(result.failure) })
      return
    }
    const refusal = Result.isSuccess(result) ? null : toRefusal(result.failure)
    const outcome = Result.isSuccess(result) ? (result.success ?? null) : null
    post(
      { _tag: "Inbox", daemonId: caller },
      {
        _tag: "Answered",
        call: id,
        outcome,
        refusal: refusal === null ? null : (encodeRefusal(refusal) as Schema.Json)
      }
    )
  })

const toRefusal = (failure: Refusal | Outage): Refusal =>
  failure instanceof Refusal
    ? failure
    : refuse("unavailable", "The other daemon cannot reach a store now: try again.", { retryAfterMs: 1000 })
