/** Namespaces in memory. Each is born with its empty account, so that no transaction has to ask whether there is one. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { refuse } from "../../schemas/Refusal.ts"
import { type Driver, make, Namespaces } from "../Namespaces.ts"
import { byText } from "./MemoryRecords.ts"
import { emptyBalance, MemoryState, type State } from "./MemoryState.ts"

const all = (state: State) => [...state.accounts.values()].map(({ namespace }) => namespace)

const driver = (state: State): Driver => ({
  create: (namespace) =>
    Effect.suspend(() => {
      const { id, name, environment } = namespace
      const known = state.accounts.get(id)?.namespace
      if (known?.name === name && known.environment === environment) return Effect.succeed(known)
      const taken = all(state).some((other) => other.name === name && other.environment === environment)
      if (known !== undefined || taken) {
        return Effect.fail(refuse("conflict", `The name "${name}" is taken in ${environment}. Choose another.`))
      }
      const account = { namespace, balance: emptyBalance, entries: [], open: new Set<never>(), remembered: new Map() }
      state.accounts.set(id, account)
      return Effect.succeed(namespace)
    }),
  get: (id) => Effect.sync(() => state.accounts.get(id)?.namespace ?? null),
  list: Effect.sync(() => all(state).toSorted((a, b) => byText(a.name, b.name) || byText(a.id, b.id))),
  amend: (id, rules) =>
    Effect.suspend(() => {
      const account = state.accounts.get(id)
      if (account === undefined) return Effect.fail(refuse("not_found", "There is no such namespace."))
      account.namespace = { ...account.namespace, rules }
      return Effect.succeed(account.namespace)
    })
})

export const layer: Layer.Layer<Namespaces, never, MemoryState> = Layer.effect(
  Namespaces,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
