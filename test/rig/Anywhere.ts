/**
 * A listener that leads each connection to a daemon drawn by chance, to another one when that one refuses: an agent that knows one address reaches any
 * daemon, and comes back anywhere.
 */
import { connect, createServer, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import type { Dice } from "../chaos/support/Dice.ts"

export interface Anywhere {
  readonly port: number
  readonly close: () => void
}

export const openAnywhere = async (targets: ReadonlyArray<number>, dice: Dice): Promise<Anywhere> => {
  const server = createServer((near) => {
    const first = dice.between(0, targets.length - 1)
    lead(near, targets, first, targets.length)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() }
}

const lead = (near: Socket, targets: ReadonlyArray<number>, at: number, left: number): void => {
  near.once("error", () => near.destroy())
  const port = targets[at % targets.length]
  if (left === 0 || port === undefined) return void near.destroy()
  const far = connect(port, "127.0.0.1")
  let open = false
  far.once("connect", () => {
    open = true
    near.pipe(far)
    far.pipe(near)
  })
  far.once("error", () => {
    if (open) near.destroy()
    else lead(near, targets, at + 1, left - 1)
  })
  far.once("close", () => open && near.destroy())
  near.once("close", () => far.destroy())
}
