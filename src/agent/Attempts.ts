/**
 * What runs on this node and what is kept: every attempt from its acceptance until the daemon settles or cancels it,
 * across any number of sessions. After a reconnect nothing of an attempt is sent but its name in `Holding`, until the
 * daemon asks for it with `Resume`: only then the epoch is known under which it goes on. Memory is bounded, and so is
 * how long an orphan is kept.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import type { DaemonFrame } from "../schemas/AgentFrame.ts"
import type { Gpu, ServedModel } from "../schemas/NodeProfile.ts"
import { append, type AttemptEnd, type HeldAttempt, hold, rewind, takePiecesFrame } from "./HeldAttempt.ts"
import { factsOf, KeptAttempts } from "./KeptAttempts.ts"
import type { Log } from "./Log.ts"
import { type Outlet, tellEnd } from "./Outlet.ts"
import { type Assignment, promptTokensGuess, type Runtime, type RuntimeChunk, RuntimeFailed } from "./Runtime.ts"

/** Characters of pieces kept over all attempts. */
const KEPT_SIZE_MAX = 128 * 1024 * 1024
const SWEEP_EVERY = "30 seconds"

export interface AttemptsOptions {
  readonly runtime: Runtime
  readonly slots: number
  /** The models as last discovered. */
  readonly models: () => ReadonlyArray<ServedModel>
  /** The first card, as last seen. */
  readonly gpu: () => Gpu | undefined
  readonly log: Log
  readonly keptSizeMax?: number
}

type FrameOf<Tag extends DaemonFrame["_tag"]> = Extract<DaemonFrame, { readonly _tag: Tag }>
export type AttemptFrame = FrameOf<"Assign" | "Resume" | "Acknowledge" | "Cancel" | "Settled">
type Usage = Extract<RuntimeChunk, { readonly _tag: "Usage" }>
type Fork = (effect: Effect.Effect<void>) => { readonly interruptUnsafe: () => void }

export const make = Effect.fnUntraced(function* (options: AttemptsOptions) {
  const clock = yield* Clock.Clock
  const attempts = new Attempts(options, () => clock.currentTimeMillisUnsafe(), yield* FiberSet.makeRuntime())
  yield* Effect.sync(() => attempts.sweep()).pipe(Effect.delay(SWEEP_EVERY), Effect.forever, Effect.forkScoped)
  return attempts
})

export class Attempts {
  readonly #options: AttemptsOptions
  readonly #now: () => number
  readonly #fork: Fork
  readonly #kept: KeptAttempts
  /** Open while runtimes may be read. */
  readonly #room = Latch.makeUnsafe(true)
  #outlet: Outlet | null = null
  #leaving: string | null = null

  constructor(options: AttemptsOptions, now: () => number, fork: Fork) {
    this.#options = options
    this.#now = now
    this.#fork = fork
    this.#kept = new KeptAttempts(options.keptSizeMax ?? KEPT_SIZE_MAX, options.log)
  }

  get slotsUsed(): number {
    return this.#kept.running
  }

  /** Waits until nothing runs. */
  get quiet(): Effect.Effect<void> {
    return this.#kept.quiet.await
  }

  /** Waits until nothing is kept. */
  get empty(): Effect.Effect<void> {
    return this.#kept.empty.await
  }

  /** A session is registered: tells it what is held. */
  attach(outlet: Outlet): void {
    this.#outlet = outlet
    const attempts = [...this.#kept.all()]
    for (const attempt of attempts) {
      attempt.attached = false
      attempt.endFrame = null
    }
    outlet.wire.send({ _tag: "Holding", attempts: attempts.map(holdingOf) })
    if (this.#leaving !== null) outlet.wire.send({ _tag: "Bye", reason: this.#leaving })
    this.#adjust()
  }

  detach(): void {
    this.#outlet = null
    this.#adjust()
  }

  handle(frame: AttemptFrame): void {
    if (this.#outlet === null) return
    const attempt = this.#kept.find(frame)
    switch (frame._tag) {
      case "Assign":
        return this.#assign(frame, attempt, this.#outlet)
      case "Resume":
        return this.#resume(frame, attempt, this.#outlet)
      case "Acknowledge":
        if (attempt !== undefined) attempt.durableSeq = Math.max(attempt.durableSeq, frame.seq)
        return
      case "Cancel":
      case "Settled":
        if (attempt !== undefined) this.#kept.drop(attempt)
        return this.#adjust()
    }
  }

  /** The wire takes pieces again. */
  flow(): void {
    for (const attempt of this.#kept.all()) this.#pump(attempt)
    this.#adjust()
  }

  /** The daemon has read this session's frames up to this number: failures told by them need no repeat. */
  confirm(frameNumber: number): void {
    for (const attempt of this.#kept.all()) {
      const told = attempt.endFrame !== null && attempt.endFrame <= frameNumber
      if (attempt.end?._tag === "Failed" && told) this.#kept.drop(attempt)
    }
  }

  /** From now on every assignment is declined; told to this session and to later ones. */
  stopTaking(reason: string): void {
    if (this.#leaving !== null) return
    this.#leaving = reason
    this.#outlet?.wire.send({ _tag: "Bye", reason })
  }

  sweep(): void {
    this.#kept.sweep(this.#now())
    this.#adjust()
  }

  #assign(frame: FrameOf<"Assign">, known: HeldAttempt | undefined, { wire }: Outlet): void {
    const ids = { jobId: frame.jobId, attempt: frame.attempt, epoch: frame.epoch }
    if (known?.epoch === frame.epoch) return void wire.send({ _tag: "Accept", ...ids })
    // A later epoch fences what this node did for the job before; the slot is the new attempt's.
    for (const older of this.#kept.all()) {
      if (older.jobId === frame.jobId && older.epoch < frame.epoch) this.#kept.drop(older)
    }
    const code = known !== undefined && known.epoch > frame.epoch ? "stale" : this.#whyNot(frame)
    if (code !== null) return void wire.send({ _tag: "Reject", ...ids, code })
    const attempt = hold(frame, this.#now())
    this.#kept.add(attempt)
    wire.send({ _tag: "Accept", ...ids })
    const fiber = this.#fork(this.#perform(attempt, frame, frame.deadlineMs))
    attempt.stop = () => fiber.interruptUnsafe()
  }

  #whyNot(frame: FrameOf<"Assign">): string | null {
    if (this.#leaving !== null) return "draining"
    const served = this.#options.models().find(({ name }) => name === frame.body["model"])
    if (served === undefined || !served.endpoints.includes(frame.endpoint)) return "unknown_model"
    return this.#options.runtime.declines(frame) ?? (this.slotsUsed >= this.#options.slots ? "busy" : null)
  }

  #resume(frame: FrameOf<"Resume">, attempt: HeldAttempt | undefined, { wire }: Outlet): void {
    const ids = { jobId: frame.jobId, attempt: frame.attempt, epoch: frame.epoch }
    if (attempt === undefined) return void wire.send({ _tag: "Fail", ...ids, code: "not_held", fault: "node" })
    if (frame.epoch < attempt.epoch) return
    if (rewind(attempt, frame.epoch, frame.fromSeq)) this.#pump(attempt)
    else {
      wire.send({ _tag: "Fail", ...ids, code: "pieces_gone", fault: "node" })
      this.#kept.drop(attempt)
    }
    this.#adjust()
  }

  #perform(attempt: HeldAttempt, assignment: Assignment, deadlineMs: number): Effect.Effect<void> {
    let usage: Usage | null = null
    const said = alreadySaid(assignment)
    return Stream.runForEachArray(this.#options.runtime.run(assignment), (chunks) =>
      Effect.suspend(() => {
        for (const chunk of chunks) if (chunk._tag === "Usage") usage = chunk
        if (!this.#say(attempt, said === 0 ? chunks : chunks.filter((chunk) => isNews(chunk, said))))
          return Effect.fail(tooBig)
        return this.#room.isOpen() ? Effect.void : this.#room.await
      })
    ).pipe(
      Effect.timeoutOrElse({ duration: Duration.millis(deadlineMs), orElse: () => Effect.fail(overdue) }),
      Effect.matchCause({
        onSuccess: () => this.#end(attempt, succeeded(attempt, assignment, usage)),
        onFailure: (cause) => {
          if (Cause.hasInterruptsOnly(cause)) return
          const { code, fault } = cause.reasons.find((reason) => reason._tag === "Fail")?.error ?? defect
          this.#options.log("an attempt failed", { ...factsOf(attempt), code, fault })
          this.#end(attempt, { _tag: "Failed", code, fault })
        }
      })
    )
  }

  /** Keeps and sends what the runtime said; false when a piece fits into no frame. */
  #say(attempt: HeldAttempt, chunks: ReadonlyArray<RuntimeChunk>): boolean {
    const before = attempt.size
    const fits = chunks.every((chunk) => chunk._tag !== "Delta" || append(attempt, chunk))
    this.#pump(attempt)
    this.#kept.grew(attempt.size - before)
    if (chunks.some((chunk) => chunk._tag === "LoseSession")) this.#outlet?.lose()
    this.#adjust()
    return fits
  }

  #end(attempt: HeldAttempt, end: AttemptEnd): void {
    if (!this.#kept.finish(attempt, end)) return
    this.#pump(attempt)
    this.#adjust()
  }

  /** Sends what this session's daemon wants of the attempt and has not got, as far as the wire takes it. */
  #pump(attempt: HeldAttempt): void {
    const outlet = this.#outlet
    if (outlet === null || !attempt.attached) return
    while (attempt.sendSeq < attempt.nextSeq) {
      if (!outlet.wire.writable()) return
      outlet.wire.sendText(takePiecesFrame(attempt))
    }
    if (attempt.end !== null && attempt.endFrame === null) {
      attempt.endFrame = tellEnd(outlet, attempt, attempt.end, this.#options.gpu())
    }
  }

  #adjust(): void {
    const open = !this.#kept.isFull && (this.#outlet === null || this.#outlet.wire.writable())
    if (open) this.#room.openUnsafe()
    else this.#room.closeUnsafe()
  }
}

/** Vectors are numbered by their inputs, so an attempt that goes on makes them all again and sends only those that nobody has. */
const alreadySaid = ({ endpoint, firstSeq }: Assignment): number => (endpoint === "embeddings" ? firstSeq - 1 : 0)
const isNews = (chunk: RuntimeChunk, said: number): boolean => chunk._tag !== "Delta" || chunk.choice >= said

const tooBig = new RuntimeFailed({ code: "piece_too_big", fault: "node" })
const overdue = new RuntimeFailed({ code: "deadline", fault: "node" })
/** A bug in the agent or its runtime's driver. */
const defect = new RuntimeFailed({ code: "agent_defect", fault: "node" })

const succeeded = (attempt: HeldAttempt, assignment: Assignment, usage: Usage | null): AttemptEnd => ({
  _tag: "Succeeded",
  promptTokens: usage?.promptTokens ?? promptTokensGuess(assignment),
  outputTokens: usage?.outputTokens ?? attempt.spoken
})

const holdingOf = (held: HeldAttempt) => ({
  jobId: held.jobId,
  attempt: held.attempt,
  epoch: held.epoch,
  firstSeq: held.firstSeq,
  lastSeq: held.nextSeq - 1,
  done: held.end !== null
})
