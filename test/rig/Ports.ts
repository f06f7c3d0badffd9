/**
 * Ports that stay ours while the process that listens there is dead for a moment: free now, and below those that the system hands out to
 * connections by itself.
 */
import { createServer } from "node:net"
import type { Dice } from "../chaos/support/Dice.ts"

const LEAST = 20_000
const MOST = 31_999

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

export const lastingPorts = async (dice: Dice, count: number): Promise<ReadonlyArray<number>> => {
  const found = new Set<number>()
  for (let tries = 0; tries < 1000 && found.size < count; tries++) {
    const port = dice.between(LEAST, MOST)
    if (!found.has(port) && (await isFree(port))) found.add(port)
  }
  if (found.size < count) throw new Error(`no ${count} free ports from ${LEAST} to ${MOST}`)
  return [...found]
}
