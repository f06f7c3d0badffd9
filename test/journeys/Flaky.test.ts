/**
 * Streams whose node breaks in the middle: its attempt fails, its session is lost, or its process is killed. `RESULTITY_BREAKS` times the first
 * two by turns, a fifth as often the last; no client may lose, repeat or reorder a token.
 */
import { assert, describe, it } from "@effect/vitest"
import { join } from "node:path"
import { seeded } from "../../src/agent/SimulatedAnswer.ts"
import type { JobRecord } from "../../src/schemas/JobRecord.ts"
import { type Daemon, order, startDaemon } from "../support/Daemon.ts"
import { controlJob, findings } from "../support/Invariants.ts"
import { type Load, startLoad, wrongAnswers } from "../support/Load.ts"
import { activeNode, type SimulatedNode, startNode } from "../support/Nodes.ts"
import { temporaryFolder } from "../support/Process.ts"

const BREAKS = Number(process.env["RESULTITY_BREAKS"] ?? 20)
const KILLS = Math.ceil(BREAKS / 5)
const TIMEOUT = { timeout: 120_000 + BREAKS * 5_000 }

/** Of the streams of the flaky node. */
const OFTEN = 0.8

/** A node that breaks in its test inferences never serves: its first draws have to be good ones. */
const seedThatBeginsWell = (): number => {
  for (let seed = 1; ; seed++) {
    const draw = seeded(seed)
    if ([draw(), draw(), draw()].every((drawn) => drawn >= OFTEN)) return seed
  }
}

/** A daemon that goes on trusting a node which always breaks, and one reliable node that has not room for all. */
const aPatientDaemon = async (): Promise<Daemon> => {
  const daemon = await startDaemon()
  await order(daemon, "/control/settings", { changes: { cooldownFaults: 1000 } })
  startNode(daemon.nodesUrl, { name: "reliable", slots: 4 })
  await activeNode(daemon, "reliable")
  return daemon
}

/** Moments at which an attempt that had spoken was broken off. */
const breaksIn = (record: JobRecord | null): number => {
  let spoke = false
  let breaks = 0
  for (const { moment } of record?.moments ?? []) {
    if (moment._tag === "Tokens") spoke = true
    if (spoke && (moment._tag === "NodeLost" || moment._tag === "AttemptFailed")) breaks += 1
    if (moment._tag === "Claimed") spoke = false
  }
  return breaks
}

const makeCount = (daemon: Daemon, load: Load) => {
  let counted = 0
  let breaks = 0
  return async () => {
    for (; counted < load.accepted.length; counted++) {
      const { record } = await controlJob(daemon, load.accepted[counted]?.reading.jobId ?? "")
      breaks += breaksIn(record)
    }
    return breaks
  }
}

const check = async (name: string, daemon: Daemon, load: Load, breaks: number) => {
  console.log(`${name}: ${load.accepted.length} streams, ${load.pieces()} pieces, ${breaks} breaks in mid-stream`)
  assert.deepStrictEqual(wrongAnswers(load.accepted), [])
  assert.deepStrictEqual(
    load.accepted.filter(({ ended }) => ended.state !== "completed"),
    []
  )
  assert.deepStrictEqual(await findings(daemon), [])
}

describe("streams whose node breaks", () => {
  it(`go on without a gap or a repeat, over ${BREAKS} failed attempts and lost sessions`, TIMEOUT, async () => {
    const daemon = await aPatientDaemon()
    startNode(daemon.nodesUrl, { name: "flaky", character: { breaks: OFTEN }, seed: seedThatBeginsWell() })
    await activeNode(daemon, "flaky")
    const load = startLoad({ where: async () => daemon }, { clients: 12, draw: () => 0, wordsMin: 60 })
    const count = makeCount(daemon, load)
    while ((await count()) < BREAKS) await load.morePieces(60)
    await load.finish()
    await check("Flaky", daemon, load, await count())
  })

  it(`go on without a gap or a repeat, when the node's process is killed ${KILLS} times`, TIMEOUT, async () => {
    const daemon = await aPatientDaemon()
    const mortal: SimulatedNode = { name: "mortal", identity: join(temporaryFolder(), "node.key") }
    let node = startNode(daemon.nodesUrl, mortal)
    await activeNode(daemon, "mortal")
    const load = startLoad({ where: async () => daemon }, { clients: 12, draw: () => 0, wordsMin: 120 })
    for (let kill = 0; kill < KILLS; kill++) {
      await load.morePieces(500)
      await node.kill("SIGKILL")
      node = startNode(daemon.nodesUrl, mortal)
      await node.line(/^registered/)
    }
    await load.finish()
    const breaks = await makeCount(daemon, load)()
    assert.isAtLeast(breaks, KILLS)
    await check("Flaky by kills", daemon, load, breaks)
  })
})
