/** Judges a finished run: every rule reads the whole history once. Each rule is proved by a bad history that it alone finds. */
import { H06Truncation, H07Streams, H08Idempotency, H09Refusals, H15Answers } from "./checkers/Answers.ts"
import { H01Lost, H02Settlement, H03Credits, H04Histories, H05Charge, H14Ended } from "./checkers/Jobs.ts"
import { H10Records, H11Isolation, H12Privacy, H13Nodes } from "./checkers/Truth.ts"
import { type Finding, type History, type HistoryRule, opsOf } from "./History.ts"

export const RULES: ReadonlyArray<HistoryRule> = [
  H01Lost,
  H02Settlement,
  H03Credits,
  H04Histories,
  H05Charge,
  H06Truncation,
  H07Streams,
  H08Idempotency,
  H09Refusals,
  H10Records,
  H11Isolation,
  H12Privacy,
  H13Nodes,
  H14Ended,
  H15Answers
]

export const judge = (history: History): ReadonlyArray<Finding> => {
  const ops = opsOf(history.clients)
  return RULES.flatMap(({ rule, check }) => Array.from(check(history, ops), (what) => ({ rule, what })))
}
