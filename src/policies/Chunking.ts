/**
 * Where rows in the order of their keys are cut into blocks. A cut follows a key by its own hash and by nothing that stands before, so a row that
 * comes, goes or changes moves no cut but those beside it, and two snapshots share every other block. The least and the most bound a block's size;
 * after a cut that they forced, the next cut by hash brings two trees together again.
 */

export interface ChunkSizes {
  readonly least: number
  /** On average, beyond the least. */
  readonly aim: number
  readonly most: number
  readonly bytesMost: number
}

/** A block stays well below the 1 MiB that other programs take. */
export const ROWS: ChunkSizes = { least: 32, aim: 224, most: 1024, bytesMost: 524_288 }
export const LINKS: ChunkSizes = { least: 16, aim: 112, most: 512, bytesMost: 524_288 }

/** Whether a block ends after the entry with this key. Each level of a tree cuts by hashes of its own. */
export const endsChunk = (
  { least, aim, most, bytesMost }: ChunkSizes,
  held: { readonly count: number; readonly bytes: number },
  level: number,
  key: string
): boolean =>
  held.count >= most || held.bytes >= bytesMost || (held.count >= least && hash(`${level} ${key}`) % aim === 0)

/** FNV-1a over UTF-16, with the mixing of MurmurHash3 at its end: keys differ in their last signs only, and every bit has to depend on those. */
export const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
