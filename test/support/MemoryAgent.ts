/**
 * A scripted agent without a WebSocket: it speaks the agents' protocol with real signatures over a socket in memory, answers from the prompt as
 * every simulated runtime does, goes on from a prefix, keeps what it said until it is settled, and obeys orders, good or bad.
 * What it does with an assignment is its `orders`; a test may also take each assignment in hand.
 */
import { Clock, Effect } from "effect"
import { fromPrivateKey, type Identity } from "../../src/agent/Identity.ts"
import { fresh, type SessionKey } from "../../src/agent/SessionKey.ts"
import { choicesIn, expectedAnswer, expectedEmbedding, restAfter } from "../../src/agent/SimulatedAnswer.ts"
import { promptTokensGuess } from "../../src/agent/Runtime.ts"
import type { AgentSocket } from "../../src/actors/node/AgentSocket.ts"
import { piecesHash, requestSha256 } from "../../src/layers/Signatures.ts"
import {
  AGENT_PROTOCOL,
  type AgentFrame,
  type DaemonFrame,
  type HandshakeClaim,
  type Piece
} from "../../src/schemas/AgentFrame.ts"
import type { JobId, NodeId } from "../../src/schemas/Ids.ts"
import type { Gpu, NodeProfile } from "../../src/schemas/NodeProfile.ts"
import { randomBytes } from "node:crypto"

export type AssignFrame = Extract<DaemonFrame, { _tag: "Assign" }>
type FrameOf<Tag extends AgentFrame["_tag"]> = Extract<AgentFrame, { _tag: Tag }>

export interface Closed {
  readonly code: number
  readonly reason: string
}

/** One attempt as the agent keeps it. */
export interface Held {
  readonly assign: AssignFrame
  epoch: number
  /** What there is to say, from `assign.firstSeq` on. */
  readonly script: ReadonlyArray<Piece>
  said: number
  result: ResultOptions | null
}

export interface ResultOptions {
  readonly promptTokens?: number
  readonly outputTokens?: number
  readonly wrongSignature?: boolean
  readonly wrongHash?: boolean
  readonly wrongRequest?: boolean
  readonly lastSeq?: number
  readonly gpu?: Gpu
}

export type Orders = "answer" | "hold" | "reject" | "mute" | ((held: Held, agent: MemoryAgent) => void)

export interface AgentOptions {
  readonly identity?: Identity
  readonly profile?: Partial<NodeProfile>
  readonly environment?: "testnet" | "mainnet"
  readonly orders?: Orders
  /** What it does with test inferences; it answers them unless told otherwise. */
  readonly testOrders?: Orders
  readonly claim?: (claim: HandshakeClaim) => HandshakeClaim
  readonly authenticate?: (frame: FrameOf<"Authenticate">) => AgentFrame
}

export const MODELS: NodeProfile["models"] = [
  { name: "sim-small", endpoints: ["chat", "completions"], canContinue: true, loaded: true },
  { name: "sim-embed", endpoints: ["embeddings"], canContinue: false, loaded: true }
]

const freshIdentity = (): Identity => fromPrivateKey(Uint8Array.from([1, ...randomBytes(31)]))

/** Both ends of a socket in memory. What one end says the other hears in a turn of its own. */
const makeSocket = (hear: (text: string) => void, closed: (end: Closed) => void) => {
  let queue: Array<string> = []
  let open = true
  let waiting: (() => void) | null = null
  const wake = () => {
    const resume = waiting
    waiting = null
    resume?.()
  }
  const end = (code: number, reason: string) => {
    if (!open) return
    open = false
    queueMicrotask(() => closed({ code, reason }))
    wake()
  }
  const socket: AgentSocket = {
    address: "127.0.0.1",
    receive: Effect.callback<ReadonlyArray<string> | null>((resume) => {
      const answer = () => {
        if (queue.length > 0) {
          const texts = queue
          queue = []
          return resume(Effect.succeed(texts))
        }
        if (!open) return resume(Effect.succeed(null))
        waiting = () => queueMicrotask(answer)
      }
      answer()
      return Effect.sync(() => void (waiting = null))
    }),
    send: (text) => {
      if (open) queueMicrotask(() => hear(text))
      return open
    },
    close: (code, reason) => Effect.sync(() => end(code, reason))
  }
  const say = (text: string) => {
    if (!open) return
    queue.push(text)
    wake()
  }
  return { socket, say, end, isOpen: () => open }
}

type Socket = ReturnType<typeof makeSocket>

export class MemoryAgent {
  readonly identity: Identity
  readonly options: AgentOptions
  orders: Orders
  testOrders: Orders
  /** Every frame of every session, as they came. */
  readonly heard: Array<DaemonFrame> = []
  readonly closes: Array<Closed> = []
  /** Assignments of jobs, tests not counted. */
  readonly assigned: Array<AssignFrame> = []
  readonly tests: Array<AssignFrame> = []
  readonly held = new Map<string, Held>()
  registrations = 0
  private readonly clock: Clock.Clock
  private key: SessionKey = fresh()
  private socket: Socket | null = null
  private number = 0
  private registered = false

  constructor(clock: Clock.Clock, options: AgentOptions) {
    this.clock = clock
    this.options = options
    this.identity = options.identity ?? freshIdentity()
    this.orders = options.orders ?? "answer"
    this.testOrders = options.testOrders ?? "answer"
  }

  static readonly make = (options: AgentOptions = {}) =>
    Effect.map(Clock.Clock, (clock) => new MemoryAgent(clock, options))

  get nodeId(): NodeId {
    return this.identity.nodeId
  }

  get isConnected(): boolean {
    return this.registered && this.socket?.isOpen() === true
  }

  /** A new session's socket; what an older one still hears is not heard. */
  open(): AgentSocket {
    this.number = 0
    this.registered = false
    this.key = fresh()
    const socket: Socket = makeSocket(
      (text) => {
        if (this.socket === socket) this.hear(JSON.parse(text) as DaemonFrame)
      },
      (end) => {
        this.closes.push(end)
        if (this.socket === socket) this.socket = null
      }
    )
    this.socket = socket
    return socket.socket
  }

  /** Beats as often as it was told, while it is connected; ends with the scope. */
  readonly beatOn = Effect.suspend(() => {
    const everyMs = this.heard.findLast((frame) => frame._tag === "Registered")?.heartbeatMs ?? 10_000
    return Effect.forkScoped(
      Effect.forever(
        Effect.andThen(
          Effect.sleep(everyMs),
          Effect.sync(() => void (this.isConnected && this.beat()))
        )
      )
    )
  })

  beat(more: Partial<FrameOf<"Heartbeat">> = {}): void {
    this.send({ _tag: "Heartbeat", slotsUsed: this.held.size, healthy: true, digest: "", gpus: [], ...more })
  }

  /** Before the session is registered nothing is said; what an agent keeps it says again when it is asked. */
  send(frame: AgentFrame): void {
    if (this.registered) this.sendNumbered(++this.number, frame)
  }

  sendNumbered(n: number, frame: AgentFrame): void {
    this.sendRaw(JSON.stringify({ n, frame }))
  }

  sendRaw(text: string): void {
    this.socket?.say(text)
  }

  /** The connection breaks without a word. */
  die(): void {
    const { socket } = this
    this.socket = null
    this.registered = false
    socket?.end(1006, "")
  }

  /** Loses all that it kept, as a restart does. */
  forget(): void {
    this.held.clear()
  }

  private hear(frame: DaemonFrame): void {
    this.heard.push(frame)
    switch (frame._tag) {
      case "Challenge":
        return this.authenticate(frame)
      case "Registered":
        this.registrations += 1
        this.registered = true
        return this.send({ _tag: "Holding", attempts: [...this.held.values()].map(holdingOf) })
      case "Assign":
        return this.onAssign(frame)
      case "Resume":
        return this.onResume(frame)
      case "Cancel":
      case "Settled":
        return void this.held.delete(keyOf(frame))
      default:
        return
    }
  }

  private authenticate({ serverId, nonce }: Extract<DaemonFrame, { _tag: "Challenge" }>): void {
    const environment = this.options.environment ?? "testnet"
    const honest: HandshakeClaim = {
      domain: "resultity/authenticate/v1",
      environment,
      nodeId: this.nodeId,
      serverId,
      nonce,
      timestamp: this.clock.currentTimeMillisUnsafe(),
      sessionKey: this.key.publicHex
    }
    const claim = this.options.claim?.(honest) ?? honest
    const { timestamp, sessionKey } = claim
    const profile = {
      name: "memory",
      agentVersion: "test",
      runtime: "simulated",
      subclouds: [],
      gpus: [],
      slots: 4,
      models: MODELS,
      ...this.options.profile
    }
    const signature = this.identity.signHandshake(claim)
    const ids = { protocol: AGENT_PROTOCOL, environment: claim.environment, nodeId: this.nodeId }
    const frame = { _tag: "Authenticate" as const, ...ids, timestamp, sessionKey, signature, profile }
    this.sendNumbered(++this.number, this.options.authenticate?.(frame) ?? frame)
  }

  private onAssign(assign: AssignFrame): void {
    const held: Held = { assign, epoch: assign.epoch, script: scriptOf(assign), said: 0, result: null }
    const isTest = assign.deadlineMs === 60_000 && assign.outputTokensMax === 8
    if (isTest) this.tests.push(assign)
    else this.assigned.push(assign)
    this.held.set(keyOf(assign), held)
    const orders = isTest ? this.testOrders : this.orders
    if (typeof orders === "function") return orders(held, this)
    if (orders === "mute") return
    if (orders === "reject") return this.reject(held, "busy")
    this.accept(held)
    if (orders === "answer") this.finish(held)
  }

  private onResume({ jobId, attempt, epoch, fromSeq }: Extract<DaemonFrame, { _tag: "Resume" }>): void {
    const held = this.held.get(keyOf({ jobId, attempt }))
    if (held === undefined) {
      return this.send({ _tag: "Fail", jobId, attempt, epoch, code: "not_held", fault: "node" })
    }
    held.epoch = epoch
    const pieces = held.script.slice(0, held.said).filter(({ seq }) => seq >= fromSeq)
    if (pieces.length > 0) this.send({ _tag: "Pieces", ...idsOf(held), pieces })
    if (held.result !== null) this.sendResult(held, held.result)
  }

  of(jobId: JobId): Held {
    const found = [...this.held.values()].findLast(({ assign }) => assign.jobId === jobId)
    if (found === undefined) throw new Error(`${jobId} is not held`)
    return found
  }

  accept(held: Held): void {
    this.send({ _tag: "Accept", ...idsOf(held) })
  }

  reject(held: Held, code: string): void {
    this.held.delete(keyOf(held.assign))
    this.send({ _tag: "Reject", ...idsOf(held), code })
  }

  fail(held: Held, code: string, fault: "node" | "job"): void {
    this.held.delete(keyOf(held.assign))
    this.send({ _tag: "Fail", ...idsOf(held), code, fault })
  }

  /** The next pieces of the answer, as far as there are any. */
  say(held: Held, count: number): void {
    const pieces = held.script.slice(held.said, held.said + count)
    held.said += pieces.length
    if (pieces.length > 0) this.send({ _tag: "Pieces", ...idsOf(held), pieces })
  }

  /** The rest of the answer and its signed result. */
  finish(held: Held, how: ResultOptions = {}): void {
    this.say(held, held.script.length)
    this.result(held, how)
  }

  /** The signed result over what was said so far. */
  result(held: Held, how: ResultOptions = {}): void {
    held.result = how
    this.sendResult(held, how)
  }

  private sendResult(held: Held, how: ResultOptions): void {
    const { body, endpoint, salt } = held.assign
    const hash = piecesHash(salt)
    const said = held.script.slice(0, held.said)
    for (const piece of said) hash.add(piece)
    const { firstSeq } = held.assign
    const told = {
      ...idsOf(held),
      model: String(body["model"]),
      requestSha256: how.wrongRequest === true ? "cd".repeat(32) : requestSha256(salt, endpoint, body),
      firstSeq,
      lastSeq: how.lastSeq ?? firstSeq + said.length - 1,
      promptTokens: how.promptTokens ?? promptTokensGuess(held.assign),
      outputTokens: how.outputTokens ?? said.filter(({ text }) => text !== "").length,
      piecesSha256: how.wrongHash === true ? "ab".repeat(32) : hash.digest()
    }
    const signer = how.wrongSignature === true ? fresh() : this.key
    const signature = signer.signResult({ domain: "resultity/result/v2", ...told })
    this.send({ ...told, _tag: "Result", signature, ...(how.gpu === undefined ? {} : { gpu: how.gpu }) })
  }
}

const keyOf = ({ jobId, attempt }: { readonly jobId: string; readonly attempt: number }) => `${jobId}/${attempt}`
const idsOf = ({ assign: { jobId, attempt }, epoch }: Held) => ({ jobId, attempt, epoch })
const holdingOf = (held: Held) => {
  const { firstSeq } = held.assign
  return { ...idsOf(held), firstSeq, lastSeq: firstSeq + held.said - 1, done: held.result !== null }
}

/** What every node says to this assignment, from its first number on. */
export const scriptOf = ({ endpoint, body, prefix, firstSeq }: AssignFrame): ReadonlyArray<Piece> => {
  const choices = Array.from({ length: choicesIn(endpoint, body) }, (_, choice) => choice)
  const said = new Map(prefix.map(({ choice, text }) => [choice, text]))
  const over = new Set(prefix.filter(({ finished }) => finished).map(({ choice }) => choice))
  const open = choices.filter((choice) => !over.has(choice))
  const pieces: Array<Omit<Piece, "seq">> = open.flatMap((choice) => {
    if (endpoint === "embeddings") {
      return [{ choice, text: "", extra: { embedding: expectedEmbedding(body, choice) }, finish: "stop" as const }]
    }
    const answer = expectedAnswer(endpoint, body, choice)
    const texts = restAfter(answer, said.get(choice) ?? "").map((text) => ({ choice, text }))
    return [...texts, { choice, text: "", finish: answer.finish }]
  })
  return pieces.map((piece, at) => ({ seq: firstSeq + at, ...piece }))
}
