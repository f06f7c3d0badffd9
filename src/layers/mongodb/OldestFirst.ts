/**
 * The first of many in the order of a time, without a long sort. As many as are wanted, whichever, already tell how far up the first can lie, so a
 * server that cannot read an index in order (FerretDB) sorts no more than is below that. What it gives unasked stands about in the order of its
 * arrival, so that is little more than is wanted.
 */
import type { Collection, Document, Filter, FindCursor, FindOptions } from "mongodb"

export interface Question<D extends Document> {
  readonly collection: Collection<D>
  readonly filter: Filter<D>
  /** A time that all that the filter lets through have, in Unix milliseconds; equals come in the order of their ids. */
  readonly by: keyof D & string
  readonly hint: string
  readonly limit: number
  readonly options: FindOptions
}

/** What the server is asked in the end. */
export const sorted = <D extends Document>({ collection, filter, by, hint, limit, options }: Question<D>) =>
  collection
    .find(filter, options)
    .hint(hint)
    .sort({ [by]: 1, _id: 1 })
    .limit(limit) as unknown as FindCursor<D>

export const oldestFirst = async <D extends Document>(question: Question<D>): Promise<ReadonlyArray<D>> => {
  const { collection, filter, by, hint, limit, options } = question
  const some = collection
    .find(filter, { ...options, projection: { _id: 0, [by]: 1 } })
    .hint(hint)
    .limit(limit)
  let [count, last] = [0, Number.NEGATIVE_INFINITY]
  for await (const found of some) {
    count++
    last = Math.max(last, Number(found[by]))
  }
  if (count === limit) {
    const bounded = { ...filter, [by]: { ...filter[by], $lte: last } } as Filter<D>
    const first = await sorted({ ...question, filter: bounded }).toArray()
    // Fewer only if some went meanwhile; a page that is not full would say that nothing follows.
    if (first.length === limit) return first
  }
  return count === 0 ? [] : sorted(question).toArray()
}
