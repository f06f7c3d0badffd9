/** `jobs`: finding them, following them, ending them. */
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, REASON } from "../Command.ts"
import { at } from "../Control.ts"
import { oneLine } from "../Plain.ts"
import { show } from "../Show.ts"
import { jobExport } from "./JobExport.ts"
import { jobList } from "./JobList.ts"
import { jobShow, JobRowView } from "./JobShow.ts"
import { jobReceipt } from "./Receipts.ts"
import { jobTail } from "./JobTail.ts"

const showExplanation = show(Schema.Struct({ sentences: Schema.Array(Schema.String) }), ({ sentences }) =>
  sentences.map((sentence) => `${oneLine(sentence)}\n`).join("")
)
const showCancelled = show(
  Schema.Struct({ row: JobRowView }),
  ({ row }) => `${row.job.id} is ${row.state}; ${row.charged} credits were charged.\n`
)

const explain: Command = {
  path: ["jobs", "explain"],
  args: [{ name: "ID", help: "the job" }],
  flags: [],
  summary: "why a job runs where it runs, or why it waits",
  examples: ["resultity jobs explain job_01j0example"],
  run: gets((input) => at("jobs", argument(input, 0), "explain"), showExplanation)
}

const cancel: Command = {
  path: ["jobs", "cancel"],
  args: [{ name: "ID", help: "the job" }],
  flags: [REASON],
  summary: "ends a job; what it has said by then is charged",
  notes: "A job that has ended otherwise is a conflict, exit code 5.",
  examples: ["resultity jobs cancel job_01j0example --reason 'the customer asked for it'"],
  run: posts((input) => at("jobs", argument(input, 0), "cancel"), showCancelled)
}

export const jobCommands: ReadonlyArray<Command> = [jobList, jobShow, jobTail, cancel, explain, jobExport, jobReceipt]
