/** What a chunk of a trace holds: JSON text of pieces, which begins with a bracket, or the name of a file that holds such a text. */
import type { GridFSBucket } from "mongodb"
import type { TokenEvent } from "../../schemas/TokenEvent.ts"
import * as LargeTexts from "./LargeTexts.ts"

/** Bytes: a head with its last chunk stays well below a mebibyte. */
const CHUNK_MAX = 256 * 1024

export const chunkOf = async (
  files: GridFSBucket,
  jobId: string,
  pieces: ReadonlyArray<TokenEvent>
): Promise<string> => {
  const text = JSON.stringify(pieces)
  return LargeTexts.isLong(text, CHUNK_MAX) ? LargeTexts.write(files, jobId, text) : text
}

export const piecesIn = async (
  files: GridFSBucket,
  chunks: ReadonlyArray<string>
): Promise<ReadonlyArray<TokenEvent>> => {
  const found: Array<TokenEvent> = []
  for (const chunk of chunks) {
    const text = chunk.startsWith("[") ? chunk : await LargeTexts.read(files, chunk)
    for (const piece of JSON.parse(text) as ReadonlyArray<TokenEvent>) found.push(piece)
  }
  return found
}
