/** Processes that must not outlive the rig, however it ends. */
import type { ChildProcess } from "node:child_process"

const alive = new Set<ChildProcess>()

process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

export const withUs = <Child extends ChildProcess>(child: Child): Child => {
  alive.add(child)
  child.once("exit", () => alive.delete(child))
  return child
}
