/** The rig's end of the clients' process. */
import { fork } from "node:child_process"
import { createWriteStream } from "node:fs"
import { join } from "node:path"
import { withUs } from "./Children.ts"
import type { ClientsOptions, Order, Report } from "./ClientsChild.ts"

export interface Clients {
  readonly ask: (clients: number) => void
  /** No new operations; resolves with the number of those that did not end. */
  readonly finish: () => Promise<number>
  readonly leave: () => Promise<void>
  readonly died: Promise<never>
}

const CHILD = join(import.meta.dirname, "ClientsChild.ts")

export const startClients = async (options: ClientsOptions, folder: string): Promise<Clients> => {
  const child = withUs(
    fork(CHILD, [JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, NODE_OPTIONS: "" }
    })
  )
  const said = createWriteStream(join(folder, "clients.err"), { flags: "a" })
  child.stdout?.pipe(said, { end: false })
  child.stderr?.pipe(said, { end: false })
  let leaving = false
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const died = gone.then((): Promise<never> => {
    if (leaving) return new Promise<never>(() => undefined)
    throw new Error("the process of the clients ended; see clients.err")
  })
  died.catch(() => undefined)
  const reported = <Tag extends Report["_tag"]>(tag: Tag) =>
    new Promise<Extract<Report, { readonly _tag: Tag }>>((resolve) => {
      const hear = (report: Report) => {
        if (report._tag !== tag) return
        child.off("message", hear)
        resolve(report as Extract<Report, { readonly _tag: Tag }>)
      }
      child.on("message", hear)
    })
  const tell = (order: Order) => void child.send(order)
  await Promise.race([reported("ready"), died])
  return {
    ask: (clients) => tell({ _tag: "ask", clients }),
    finish: async () => {
      const finished = reported("finished")
      tell({ _tag: "finish" })
      const { open } = await Promise.race([finished, died])
      return open
    },
    leave: async () => {
      leaving = true
      if (child.connected) tell({ _tag: "leave" })
      await gone
      said.end()
    },
    died
  }
}
