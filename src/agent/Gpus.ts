/**
 * What graphics cards the machine has and how busy they are, as `nvidia-smi` tells. A machine without it, or with one
 * that hangs or answers nonsense, has none: a node may run on its processor alone, and knowing the cards is never worth
 * a failure.
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import type { Gpu } from "../schemas/NodeProfile.ts"

const ASKED = ["--query-gpu=name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader,nounits"]
const TIMEOUT_MS = 3_000
const GPUS_MAX = 32

export const gpus: Effect.Effect<ReadonlyArray<Gpu>> = Effect.callback((resume) => {
  const child = execFile("nvidia-smi", ASKED, { timeout: TIMEOUT_MS }, (error, stdout) =>
    resume(Effect.succeed(error === null ? gpusIn(stdout) : []))
  )
  return Effect.sync(() => void child.kill())
})

/** The cards in the comma-separated answer; lines that make no sense are left out. `utilisation` is from 0 to 1. */
export const gpusIn = (answer: string): ReadonlyArray<Gpu> =>
  answer
    .split("\n")
    .map((line) => line.split(",").map((field) => field.trim()))
    .flatMap(([name = "", total, used, busy]) => {
      const vramMiB = natural(total)
      if (name === "" || vramMiB === null) return []
      const usedMiB = natural(used)
      const percent = natural(busy)
      return [
        {
          name: name.slice(0, 128),
          vramMiB,
          ...(usedMiB === null ? {} : { usedMiB }),
          ...(percent === null ? {} : { utilisation: percent / 100 })
        }
      ]
    })
    .slice(0, GPUS_MAX)

const natural = (text: string | undefined): number | null =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null
