/** The audit trail in memory: one list, each row hashed over the row before it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Audit, type AuditFact, type Driver, FIRST_HASH, hashOf, make } from "../Audit.ts"
import { MemoryState, type State } from "./MemoryState.ts"

const driver = (state: State): Driver => ({
  append: (fact) => Effect.sync(() => append(state, fact)),
  list: (afterSeq, limit) => Effect.sync(() => state.audit.slice(afterSeq, afterSeq + Math.max(limit, 0)))
})

const append = (state: State, fact: AuditFact) => {
  const hash = hashOf(state.audit.at(-1)?.hash ?? FIRST_HASH, fact)
  const row = { ...fact, seq: state.audit.length + 1, hash }
  state.audit.push(row)
  return row
}

export const layer: Layer.Layer<Audit, never, MemoryState> = Layer.effect(
  Audit,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
