/** What a child holds and how much it has worked, by its own account. Needs `flags` and a channel at its start. */
import { pathToFileURL } from "node:url"
import { ask, type Child, support } from "./Children.ts"

export interface Used {
  /** After garbage collection, with what lies outside of the heap. */
  readonly heapBytes: number
  readonly rssBytes: number
  /** Processor time since its start. */
  readonly cpuMs: number
}

export const flags: ReadonlyArray<string> = ["--expose-gc", "--import", pathToFileURL(support("probeMain.ts")).href]

export const used = (child: Child): Promise<Used> => ask<Used>(child, {})
