/** I1: for each namespace, at every instant, granted = available + reserved + spent, nothing below zero, and each figure the sum of its entries. */
import type { Balance } from "../../../src/schemas/Credits.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { Checker, Scene } from "../support/History.ts"
import type { Account } from "../../../src/layers/memory/MemoryState.ts"

export const I01: Checker = {
  name: "I01",
  points: ["JobStore.admit", "JobStore.finish", "JobStore.release", "JobStore.claim"],
  during: (_, scene) => problems(scene)[0] ?? null,
  atEnd: problems
}

function problems({ state }: Scene): ReadonlyArray<string> {
  const found: Array<string> = []
  for (const account of state.accounts.values()) {
    const { id } = account.namespace
    const { granted, available, reserved, spent } = account.balance
    if (granted !== available + reserved + spent)
      found.push(`${id}: ${granted} is not ${available} + ${reserved} + ${spent}`)
    if (available < 0n || reserved < 0n || spent < 0n) found.push(`${id}: less than nothing`)
    const summed = sumOf(account)
    for (const figure of ["granted", "available", "reserved", "spent"] as const) {
      if (summed[figure] !== account.balance[figure]) {
        found.push(`${id}: ${figure} is ${account.balance[figure]}, its entries say ${summed[figure]}`)
      }
    }
    let open = 0n
    for (const { row, account: payer } of state.jobs.values()) {
      if (payer === account && !isTerminal(row.state)) open += row.job.reserved
    }
    if (open !== reserved) found.push(`${id}: ${reserved} is reserved, open jobs explain ${open}`)
  }
  return found
}

const sumOf = ({ entries }: Account): Record<keyof Balance, bigint> => {
  const sum = { granted: 0n, available: 0n, reserved: 0n, spent: 0n }
  for (const { kind, amount } of entries) {
    if (kind === "grant") sum.granted += amount
    if (kind === "grant" || kind === "refund") sum.available += amount
    if (kind === "reserve") sum.available -= amount
    if (kind === "reserve") sum.reserved += amount
    if (kind === "settle" || kind === "refund") sum.reserved -= amount
    if (kind === "settle") sum.spent += amount
  }
  return sum
}
