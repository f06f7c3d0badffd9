/**
 * Where finished jobs are sent on to, as files of NDJSON for outside analytics: none unless the daemon's options name some. A place keeps what it is given
 * durably under its name, and the same name again replaces it, as the back ends of the archive do, which serve here too.
 */
import * as Context from "effect/Context"
import type { Driver } from "./Archive.ts"

export interface JobSink {
  /** As the options say it; where a sink stands is remembered by it. */
  readonly name: string
  readonly put: Driver["put"]
}

export const JobSinks = Context.Reference<ReadonlyArray<JobSink>>("resultity/layers/JobSinks", {
  defaultValue: () => []
})
