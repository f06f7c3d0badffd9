/**
 * Imported into a child before its program (`node --import`): answers over the channel how much it holds and how much it has worked. The heap is
 * counted after full collections, so the child is started with --expose-gc. It keeps nothing alive.
 */
import { setImmediate } from "node:timers/promises"
import type { Used } from "./Probe.ts"

const COLLECTIONS = 4

const measure = async (): Promise<Used> => {
  for (let at = 0; at < COLLECTIONS; at++) {
    globalThis.gc?.()
    // Finalizers run between two turns.
    await setImmediate()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return { heapBytes: heapUsed + external, rssBytes: rss, cpuMs: (user + system) / 1000 }
}

process.on("message", () => {
  void measure().then((used) => process.send?.(used))
})
process.channel?.unref()
