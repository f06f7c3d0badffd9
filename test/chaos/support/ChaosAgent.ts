/**
 * An agent with a character: what it does with each assignment is drawn when it comes. It connects again when its session is gone, to whichever
 * daemon it finds, keeps what it said until it is settled, and writes down how many attempts it runs. It holds its own slots no guard: what it is
 * given beyond them shows.
 */
import type { Held } from "../../support/MemoryAgent.ts"
import { MemoryAgent } from "../../support/MemoryAgent.ts"
import type { Identity } from "../../../src/agent/Identity.ts"
import { fromPrivateKey } from "../../../src/agent/Identity.ts"
import type { DaemonFrame } from "../../../src/schemas/AgentFrame.ts"
import { Dice } from "./Dice.ts"
import type { History } from "./History.ts"
import type { AgentPlan, Character } from "./Plan.ts"
import type { Process, Sim } from "./Sim.ts"

/** Chances of what happens to one assignment. */
interface Manner {
  readonly pauseMs: readonly [number, number]
  /** Breaks off in mid-stream: the session, the process with all that it kept, the runtime, or nothing more is heard. */
  readonly cut: number
  readonly restart: number
  readonly fail: number
  readonly stall: number
  readonly reject: number
  readonly mute: number
  readonly lie: number
}

const GOOD: Manner = {
  pauseMs: [1, 30],
  cut: 0,
  restart: 0,
  fail: 0,
  stall: 0,
  reject: 0,
  mute: 0,
  lie: 0
}
const MANNERS: Readonly<Record<Character, Manner>> = {
  swift: { ...GOOD, pauseMs: [0, 5] },
  steady: { ...GOOD, pauseMs: [10, 60] },
  slow: { ...GOOD, pauseMs: [50, 400] },
  flaky: { ...GOOD, cut: 0.25, restart: 0.12, fail: 0.05 },
  moody: { ...GOOD, reject: 0.25, mute: 0.06, stall: 0.06, fail: 0.05 },
  liar: { ...GOOD, lie: 0.3 }
}

export interface AgentHouse {
  readonly number: number
  readonly sim: Sim
  readonly process: Process
  readonly dice: Dice
  readonly history: History
  /** Opens a session with some living daemon; false when there is none. */
  readonly connect: (agent: ChaosAgent) => boolean
}

export class ChaosAgent extends MemoryAgent {
  readonly plan: AgentPlan
  /** Good as gold from the end of the faults on. */
  calm = false
  private readonly house: AgentHouse
  private awayUntil = 0
  private beatAt = 0

  constructor(house: AgentHouse, plan: AgentPlan) {
    super(clockOf(house), {
      identity: identityOf(house.dice, house.number),
      profile: profileOf(plan),
      orders: (held) => this.obey(held)
    })
    this.house = house
    this.plan = plan
    this.live()
  }

  get running(): number {
    return [...this.held.values()].filter(({ result }) => result === null).length
  }

  /** Whether the agent, as it is, is to hear this frame; what it knows better than the script is put right first. */
  hears(frame: DaemonFrame): boolean {
    if (frame._tag === "Cancel" || frame._tag === "Settled") {
      this.note("ended", frame)
      return true
    }
    if (frame._tag !== "Assign") return true
    for (const [key, { assign, epoch }] of this.held) {
      if (assign.jobId !== frame.jobId) continue
      if (epoch === frame.epoch && assign.attempt === frame.attempt) return false
      if (epoch < frame.epoch) this.held.delete(key)
    }
    return true
  }

  /** The session breaks; it comes back after so long. */
  cut(awayMs: number): void {
    this.awayUntil = this.house.sim.now + awayMs
    this.die()
  }

  restart(awayMs: number): void {
    this.forget()
    this.cut(awayMs)
  }

  /** Looks after its session: often while it has none. */
  private live(): void {
    const { sim, process, dice } = this.house
    process.after(this.isConnected ? dice.between(100, 400) : dice.between(20, 150), () => {
      if (!this.isConnected && sim.now >= this.awayUntil) this.house.connect(this)
      if (this.isConnected && sim.now >= this.beatAt) {
        this.beatAt = sim.now + HEARTBEAT_MS
        this.beat()
      }
      this.live()
    })
  }

  private obey(held: Held): void {
    const { dice, process } = this.house
    const manner = this.calm ? GOOD : MANNERS[this.plan.character]
    this.note("assigned", held.assign)
    sayNews(held)
    if (this.house.number % 2 === 1) sayInPairs(held)
    if (dice.chance(manner.mute)) return
    process.after(dice.between(0, 60), () => {
      if (!this.keeps(held)) return
      if (dice.chance(manner.reject)) {
        this.reject(held, dice.pick(["busy", "warming_up"]))
        return this.note("ended", held.assign)
      }
      this.accept(held)
      this.go(held, manner)
    })
  }

  /** Some pieces, then some more after a pause, whatever became of the session meanwhile. */
  private go(held: Held, manner: Manner): void {
    const { dice, process } = this.house
    process.after(dice.between(...manner.pauseMs), () => {
      if (!this.keeps(held)) return
      const left = held.script.length - held.said
      const calm = this.calm
      if (!calm && dice.chance(manner.cut / 3)) this.cut(dice.between(50, 2500))
      else if (!calm && dice.chance(manner.restart / 3)) return this.restart(dice.between(50, 2500))
      else if (!calm && dice.chance(manner.fail / 3)) {
        this.fail(held, "runtime_error", "node")
        return this.note("ended", held.assign)
      } else if (!calm && dice.chance(manner.stall / 3)) return
      if (left > 0) {
        this.say(held, dice.between(1, 5))
        return this.go(held, manner)
      }
      const lies = !calm && dice.chance(manner.lie)
      this.result(
        held,
        lies ? dice.pick([{ wrongHash: true }, { wrongSignature: true }, { outputTokens: 100_000 }]) : {}
      )
      this.note("ended", held.assign)
    })
  }

  private keeps(held: Held): boolean {
    return this.held.get(`${held.assign.jobId}/${held.assign.attempt}`) === held && held.result === null
  }

  private note(what: "assigned" | "ended", { jobId, attempt }: Pick<Held["assign"], "jobId" | "attempt">): void {
    const { sim, history } = this.house
    const { nodeId, running, plan } = this
    const { slots, region } = plan
    history.attempts.push({ at: sim.now, nodeId, what, jobId, attempt, running, slots, region })
  }
}

/** As the settings of a run say. */
export const HEARTBEAT_MS = 1000

/** Vectors are numbered by their inputs: an agent makes them all again and sends only those that nobody has. */
const sayNews = (held: Held): void => {
  const { endpoint, firstSeq } = held.assign
  if (endpoint !== "embeddings" || firstSeq === 1) return
  const news = held.script.filter(({ choice }) => choice >= firstSeq - 1)
  Object.assign(held, { script: news.map((piece, at) => ({ ...piece, seq: firstSeq + at })) })
}

/**
 * Every other agent says two words in one piece, as runtimes differ: whoever goes on from a position that he does not have says something else than was
 * shown.
 */
const sayInPairs = (held: Held): void => {
  if (held.assign.endpoint === "embeddings") return
  const pairs: Array<Held["script"][number]> = []
  for (const piece of held.script) {
    const last = pairs.at(-1)
    const joins = last !== undefined && last.choice === piece.choice && piece.finish === undefined
    if (joins && last.text.trim().split(" ").length < 2)
      pairs[pairs.length - 1] = { ...last, text: last.text + piece.text }
    else pairs.push(piece)
  }
  const { firstSeq } = held.assign
  Object.assign(held, { script: pairs.map((piece, at) => ({ ...piece, seq: firstSeq + at })) })
}

const clockOf = ({ sim }: AgentHouse) => ({ currentTimeMillisUnsafe: () => sim.now }) as never

/** Making a key takes longer than many an answer, so runs draw from the same few; each agent of a run from its own. */
const KEYS_EACH = 16
const identities = new Map<number, Identity>()

const identityOf = (dice: Dice, agent: number): Identity => {
  const number = agent * KEYS_EACH + dice.between(1, KEYS_EACH)
  const known = identities.get(number)
  if (known !== undefined) return known
  const made = fromPrivateKey(Uint8Array.from([1, ...new Dice(number).bytes(31)]))
  identities.set(number, made)
  return made
}

const profileOf = ({ slots, region, canContinue }: AgentPlan) => ({
  slots,
  region,
  models: [
    {
      name: "sim-small",
      endpoints: ["chat" as const, "completions" as const],
      canContinue,
      loaded: true
    },
    { name: "sim-embed", endpoints: ["embeddings" as const], canContinue: false, loaded: true }
  ]
})
