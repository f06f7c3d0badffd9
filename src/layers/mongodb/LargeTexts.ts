/**
 * Texts that would make a document too large, as files (GridFS) beside it. A file is written whole under a name that was never used before anything
 * names it, and never changed; so whoever reads a name reads all of it. One that nothing names any more goes with its job.
 */
import { text } from "node:stream/consumers"
import { type GridFSBucket, ObjectId } from "mongodb"
import { BODIES, type Body, type JobDocument } from "./Collections.ts"
import type { Fields } from "./JobFields.ts"

/** Bytes. All bodies of this size together still fit into a document four times over. */
const BODY_MAX = 512 * 1024

export const isLong = (body: string, max = BODY_MAX): boolean => body.length > max / 3 && Buffer.byteLength(body) > max

export const longBodies = (fields: Fields): ReadonlyArray<Body> => BODIES.filter((body) => isLong(fields[body] ?? ""))

/** Durable when it answers; returns the name. */
export const write = (files: GridFSBucket, jobId: string, body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const id = new ObjectId()
    const stream = files.openUploadStreamWithId(id, jobId, {
      metadata: { jobId },
      writeConcern: { w: "majority", journal: true }
    })
    stream.once("finish", () => resolve(id.toHexString())).once("error", reject)
    stream.end(Buffer.from(body))
  })

export const read = (files: GridFSBucket, name: string): Promise<string> =>
  text(files.openDownloadStream(ObjectId.createFromHexString(name)))

/** Names by body, for those that are too long. */
export const putAside = async (
  files: GridFSBucket,
  jobId: string,
  fields: Fields
): Promise<Partial<Record<Body, string>>> => {
  const names: Partial<Record<Body, string>> = {}
  for (const body of longBodies(fields)) names[body] = await write(files, jobId, fields[body] ?? "")
  return names
}

/** The document with its texts. */
export const bringBack = async (files: GridFSBucket, stored: JobDocument): Promise<JobDocument> => {
  const texts: Partial<Record<Body, string>> = {}
  for (const body of BODIES) {
    const name = stored.files[body]
    if (typeof name === "string") texts[body] = await read(files, name)
  }
  return { ...stored, ...texts }
}

export const drop = async (files: GridFSBucket, names: ReadonlyArray<string>): Promise<void> => {
  for (const name of names) await files.delete(ObjectId.createFromHexString(name))
}

/** All files of these jobs, named or not. */
export const dropAll = async (files: GridFSBucket, jobIds: ReadonlyArray<string>): Promise<void> => {
  const found = files.find({ "metadata.jobId": { $in: [...jobIds] } }).project<{ _id: ObjectId }>({ _id: 1 })
  for (const { _id } of await found.toArray()) await files.delete(_id)
}

/** All files of this job but those that are still named. */
export const dropBut = async (files: GridFSBucket, jobId: string, kept: ReadonlyArray<string>): Promise<void> => {
  const found = files.find({ "metadata.jobId": jobId }).project<{ _id: ObjectId }>({ _id: 1 })
  for (const { _id } of await found.toArray()) if (!kept.includes(_id.toHexString())) await files.delete(_id)
}
