/**
 * Which of an attempt's failures speak of the node alone. Two nodes that fail a job in the same way are a sign against the job, but not when
 * what they did was to vanish, to stay silent when asked, or to lie: otherwise two liars could have each other forgiven.
 */

/** The attempt is gone with its node: nothing of it can be asked for any more. */
const LOSSES: ReadonlySet<string> = new Set(["node_lost", "attempt_lost", "not_held", "pieces_gone"])
const DEEDS: ReadonlySet<string> = new Set(["accept_timeout", "bad_signature", "result_mismatch", "pieces_missing"])

export const isLoss = (code: string): boolean => LOSSES.has(code)

/** True when this failure, even at two nodes, says nothing of the job. */
export const isNodesOwn = (code: string): boolean => LOSSES.has(code) || DEEDS.has(code)
