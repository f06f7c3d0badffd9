/**
 * Ends all members of a supervisor, in reverse start order, one after the other: who was started later may still need who
 * was started earlier. While it waits for one, the earlier ones go on working. It can be hastened (a drain whose time is up)
 * and made final (a restart overtaken by a shutdown) while it runs.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Child, Halt } from "./Child.ts"

export class StopAll {
  private readonly members: ReadonlyMap<string, Child>
  private readonly forget: (child: Child) => void
  private drain: boolean
  private current: Child | undefined = undefined
  final: boolean
  readonly done = Deferred.makeUnsafe<void>()

  constructor(halt: Halt, members: ReadonlyMap<string, Child>, forget: (child: Child) => void) {
    this.drain = halt.drain
    this.final = halt.final
    this.members = members
    this.forget = forget
  }

  /** Adds urgency or finality, see Child.halt. */
  urge(halt: Halt): void {
    if (this.drain === (this.drain && halt.drain) && this.final === (this.final || halt.final)) return
    this.drain &&= halt.drain
    this.final ||= halt.final
    this.current?.halt({ drain: this.drain, final: this.final }, () => {})
  }

  readonly run: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    for (const child of [...this.members.values()].toReversed()) {
      if (yield* this.stop(child)) this.forget(child)
    }
    this.current = undefined
    // Those that were stopped before it became final, and newcomers that were never launched.
    if (this.final) for (const child of [...this.members.values()].toReversed()) this.forget(child)
  })

  /** True when the child shall not come back. */
  private stop(child: Child): Effect.Effect<boolean> {
    return Effect.callback((resume) => {
      this.current = child
      const final = this.final || child.restart === "temporary"
      child.halt({ drain: this.drain, final }, (final) => resume(Effect.succeed(final)))
    })
  }
}
