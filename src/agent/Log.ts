/**
 * How an agent speaks to its operator: a constant sentence and the facts beside it. Never text of a prompt or an
 * answer.
 */
export type Log = (message: string, facts: Readonly<Record<string, string | number | boolean>>) => void
