/** A namespace that has nearly spent what it was granted. */
import type { DetectorRules } from "../../schemas/DetectorRules.ts"
import type { Balance } from "../../schemas/Credits.ts"
import type { NamespaceId } from "../../schemas/Ids.ts"
import { between, type Findings, type Verdict } from "./Verdict.ts"

export const LOW_BALANCE = "low_balance"

export interface Account {
  readonly namespaceId: NamespaceId
  readonly balance: Pick<Balance, "granted" | "available">
}

/** To a tenth of a percent, in whole numbers until the last step: amounts are beyond what a double holds. */
const leftPercent = ({ granted, available }: Account["balance"]): number => Number((available * 1000n) / granted) / 10

export const judge = (accounts: ReadonlyArray<Account>, { balance: rules }: DetectorRules): Findings => {
  const verdicts = accounts
    .filter(({ balance }) => balance.granted > 0n)
    .map(({ namespaceId, balance }): Verdict => {
      const left = leftPercent(balance)
      return {
        subject: `namespace/${namespaceId}`,
        // Turned round, because here little is bad.
        standing: between(-left, -2 * rules.lowPercent, -rules.lowPercent),
        severity: left <= 0 ? "medium" : "low",
        namespaceId,
        observed: { leftPercent: left },
        expected: { leftPercentAbove: rules.lowPercent }
      }
    })
  return { type: LOW_BALANCE, kind: "warning", verdicts }
}
