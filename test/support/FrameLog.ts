/**
 * What came over a socket, in order, and waiting for what is still to come: the only way a test may wait for a frame.
 */
export interface FrameLog<F> {
  /** Everything so far. */
  readonly all: ReadonlyArray<F>
  readonly add: (frame: F) => void
  /** The first frame from `from` on that fits, waited for when it is not there yet. */
  readonly next: <G extends F>(fits: (frame: F) => frame is G, from?: number) => Promise<G>
  /** The first frame with this tag at or after this index. */
  readonly tagged: <Tag extends Tags<F>>(tag: Tag, from?: number) => Promise<Tagged<F, Tag>>
}
type Tags<F> = F extends { readonly _tag: infer Tag } ? Tag : never
type Tagged<F, Tag> = Extract<F, { readonly _tag: Tag }>

export const make = <F extends { readonly _tag: string }>(): FrameLog<F> => {
  const all: Array<F> = []
  const waiting = new Set<() => void>()
  const next = <G extends F>(fits: (frame: F) => frame is G, from = 0): Promise<G> =>
    new Promise((resolve) => {
      let at = from
      const look = (): void => {
        for (; at < all.length; at++) {
          const frame = all[at]
          if (frame === undefined || !fits(frame)) continue
          waiting.delete(look)
          return resolve(frame)
        }
      }
      waiting.add(look)
      look()
    })
  return {
    all,
    add: (frame) => {
      all.push(frame)
      for (const look of waiting) look()
    },
    next,
    tagged: (tag, from) => next((frame): frame is Tagged<F, typeof tag> => frame._tag === tag, from)
  }
}
