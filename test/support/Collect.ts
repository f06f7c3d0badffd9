/** All that comes, as a list. */
export const collect = async <A>(source: AsyncIterable<A>): Promise<Array<A>> => {
  const all: Array<A> = []
  for await (const item of source) all.push(item)
  return all
}
