/** I11: every mailbox is within its bound, no consumer holds more than its prefetch, and when all is over no lease and no message is left behind. */
import type { Source } from "../../../src/layers/Transport.ts"
import type { Checker, Scene } from "../support/History.ts"

/** Looking at every mailbox at each call would be most of the work. */
const LOOK_EVERY = 24

export const makeI11 = (): Checker => {
  let seen = 0
  return {
    name: "I11",
    points: ["Transport.take", "Traces.append", "Daemons.beat"],
    during: ({ point, args, result }, scene) => {
      if (point === "Transport.take" && Number(result) > mayHold(args, scene))
        return `${result} deliveries are held, ${mayHold(args, scene)} may be`
      seen += 1
      return seen % LOOK_EVERY === 0 ? (deepest(scene) ?? null) : null
    },
    atEnd: (scene) => {
      const deep = deepest(scene)
      return [...(deep === undefined ? [] : [deep]), ...scene.leasesLeft()]
    }
  }
}

const mayHold = ([source, prefetch]: ReadonlyArray<unknown>, scene: Scene): number =>
  (source as Source)._tag === "Lane" ? scene.prefetch : Number(prefetch)

const deepest = ({ depths }: Scene): string | undefined => {
  const over = depths().find(({ depth, max }) => depth > max)
  return over === undefined ? undefined : `${over.what} holds ${over.depth}, ${over.max} may be`
}
