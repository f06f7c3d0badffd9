/**
 * Keeps its children alive, as OTP's supervisor does. After a crash it restarts the child (oneForOne), the child and those
 * started after it (restForOne), or all (oneForAll), after a backoff that holds nobody else up. More than `intensity`
 * restarts within `period` exhaust its budget: it stops its children and escalates: a nested supervisor counts as one
 * crashed child of its parent, the root fails `escalated`. Restarted children keep their mailboxes.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ActorSpec, RestartKind } from "./Actor.ts"
import type { ActorEvents } from "./ActorEvents.ts"
import { AlreadyStarted, type Escalated } from "./ActorErrors.ts"
import type { ActorRef } from "./ActorRef.ts"
import type { ActorSnapshot, Registry } from "./Registry.ts"
import { SupervisorNode, type SupervisorOptions } from "./SupervisorNode.ts"
import * as Tree from "./Tree.ts"

export { AlreadyStarted, Escalated } from "./ActorErrors.ts"
export type { SupervisorOptions } from "./SupervisorNode.ts"

export interface Supervisor {
  readonly address: string

  /**
   * Starts a child with the caller's services (but not its trace span). Returns at once: messages wait in the mailbox until
   * `init` is through. A supervisor that is draining or stopped returns a stopped actor.
   */
  readonly start: <M, S, R = never>(spec: ActorSpec<M, S, R>) => Effect.Effect<ActorRef<M>, AlreadyStarted, R>

  /**
   * Starts a supervisor below this one; permanent unless said otherwise. When it is restarted its children come back, except
   * temporary ones. Dies with AlreadyStarted if the address is taken.
   */
  readonly startSupervisor: (
    options: SupervisorOptions & { readonly restart?: RestartKind }
  ) => Effect.Effect<Supervisor>

  /** Drains that child, ends it for good and forgets it; waits for that. False if there is none. */
  readonly stopChild: (address: string) => Effect.Effect<boolean>

  /**
   * Ends the incarnation of that child, or of one further below (interrupting it), and starts the next without backoff or budget. False if
   * there is none.
   */
  readonly restartChild: (address: string) => Effect.Effect<boolean>

  /** Addresses in start order. */
  readonly children: Effect.Effect<ReadonlyArray<string>>
  readonly snapshot: Effect.Effect<ActorSnapshot>

  /**
   * Takes no new children and ends those there are in reverse start order. Each finishes its mailbox within its `drainMax`
   * and is then interrupted; after `timeout` the rest are interrupted at once. Completes when all have ended.
   */
  readonly drain: (timeout: Duration.Input) => Effect.Effect<void>

  /** Fails when the budget is exhausted and all children have ended; waits until then. */
  readonly escalated: Effect.Effect<never, Escalated>
}

/** A root supervisor. Closing the scope without `drain` interrupts the children, still in reverse start order. */
export const make = (
  options: SupervisorOptions
): Effect.Effect<Supervisor, never, Scope.Scope | Registry | ActorEvents> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.flatMap(Tree.make, (tree) => enter(new SupervisorNode(options, tree, undefined), tree)),
      (node) => node.close
    ),
    facade
  )

export const Supervisor = { make }

const enter = (node: SupervisorNode, tree: Tree.Tree): Effect.Effect<SupervisorNode> =>
  tree.registry.register(node)
    ? Effect.sync(() => {
        node.launch()
        return node
      })
    : Effect.die(new AlreadyStarted({ address: node.address }))

const facade = (node: SupervisorNode): Supervisor => ({
  address: node.address,
  start: (spec) => node.start(spec),
  startSupervisor: (options) => Effect.map(Effect.orDie(node.startSupervisor(options)), facade),
  stopChild: (address) => node.stopChild(address),
  restartChild: (address) => node.restartChild(address),
  children: Effect.sync(() => node.addresses()),
  snapshot: Effect.sync(() => node.snapshot()),
  drain: (timeout) => node.drain(timeout),
  escalated: Deferred.await(node.escalated)
})
