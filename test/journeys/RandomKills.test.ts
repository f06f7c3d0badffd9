/**
 * A daemon that is killed at random moments under load, from its first line on, and started again, `RESULTITY_KILLS` times. The seed
 * (`RESULTITY_SEED`) settles what is drawn; the moments themselves depend on the machine.
 */
import { assert, describe, it } from "@effect/vitest"
import { seeded } from "../../src/agent/SimulatedAnswer.ts"
import { COMMAND, run } from "../support/Process.ts"
import { allEnded, findings } from "../support/Invariants.ts"
import { startLoad, wrongAnswers } from "../support/Load.ts"
import { startNode } from "../support/Nodes.ts"
import { makeReign, type Reign } from "../support/Reign.ts"

const KILLS = Number(process.env["RESULTITY_KILLS"] ?? 12)
const SEED = Number(process.env["RESULTITY_SEED"] ?? process.pid)
const PIECES_MAX = 1_200
const LINES_MAX = 6

/** A daemon that is killed before it is ready. */
const dieEarly = async ({ data }: Reign, lines: number): Promise<void> => {
  const daemon = run("daemon", [COMMAND, "daemon", "--data", data, "--port", "0", "--control-port", "0"])
  for (let heard = 0; heard < lines; heard++) await daemon.line(new RegExp(""), heard)
  await daemon.kill("SIGKILL")
}

describe("a daemon under load", () => {
  it(
    `keeps every promise, when it is killed ${KILLS} times (seed ${SEED})`,
    { timeout: 60_000 + KILLS * 10_000 },
    async () => {
      console.log(`RandomKills: RESULTITY_SEED=${SEED} RESULTITY_KILLS=${KILLS}`)
      const draw = seeded(SEED)
      // Two nodes die with their daemon, two go on without it.
      const reign = await makeReign({ nodes: ["swift", "flaky"] })
      startNode(reign.nodesUrl, { name: "apart" })
      startNode(reign.nodesUrl, { name: "shaky", character: { breaks: 0.2 }, seed: SEED })
      await reign.start()
      const load = startLoad(reign, { clients: 12, draw: seeded(SEED + 1), wordsMin: 120 })
      for (let kill = 0; kill < KILLS; kill++) {
        await load.morePieces(1 + Math.floor(draw() * PIECES_MAX))
        await reign.kill()
        if (draw() < 0.2) await dieEarly(reign, Math.floor(draw() * LINES_MAX))
        await reign.start()
        if ((kill + 1) % 25 === 0) console.log(`RandomKills: ${kill + 1} kills, ${load.accepted.length} jobs so far`)
      }
      await load.finish()
      const daemon = await reign.where()
      await allEnded(daemon)
      const states = Map.groupBy(load.accepted, ({ ended }) => ended.error?.cause ?? ended.state)
      console.log(
        `RandomKills: ${load.accepted.length} jobs, ${load.pieces()} pieces;`,
        Object.fromEntries([...states].map(([state, jobs]) => [state, jobs.length])),
        `read over ${load.accepted.reduce((sum, { reading }) => sum + reading.connections, 0)} more connections`
      )
      assert.deepStrictEqual(wrongAnswers(load.accepted), [])
      assert.deepStrictEqual(await findings(daemon), [])
    }
  )
})
