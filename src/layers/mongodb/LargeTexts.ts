/**
 * Input and output that would not fit into a document, as files beside it. A file is written whole under a new name before the document names it, and
 * never changed; one that no document names any more goes with its job.
 */
import { randomUUID } from "node:crypto"
import { text } from "node:stream/consumers"
import type { GridFSBucket } from "mongodb"
import type { JobDocument } from "./Collections.ts"

/** Characters; in bytes at most four times as many, and a document holds 16 MiB. */
const TEXT_MAX = 1_500_000

type Texts = Partial<Pick<JobDocument, "input" | "inputFile" | "output" | "outputFile">>

const write = (files: GridFSBucket, jobId: string, body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const name = `${jobId}/${randomUUID()}`
    const stream = files.openUploadStream(name, { metadata: { jobId } })
    stream.once("finish", () => resolve(name)).once("error", reject)
    stream.end(Buffer.from(body))
  })

/** The same fields, with files in place of what is too long. */
export const putAside = async <Fields extends Texts>(
  files: GridFSBucket,
  jobId: string,
  fields: Fields
): Promise<Fields> => {
  const aside: { -readonly [Field in keyof Texts]: Texts[Field] } = {}
  if ((fields.input?.length ?? 0) > TEXT_MAX) {
    aside.inputFile = await write(files, jobId, fields.input ?? "")
    aside.input = null
  }
  if ((fields.output?.length ?? 0) > TEXT_MAX) {
    aside.outputFile = await write(files, jobId, fields.output ?? "")
    aside.output = null
  }
  return { ...fields, ...aside }
}

export const isLong = ({ input, output }: Texts): boolean =>
  (input?.length ?? 0) > TEXT_MAX || (output?.length ?? 0) > TEXT_MAX

const read = (files: GridFSBucket, name: string): Promise<string> => text(files.openDownloadStreamByName(name))

/** The document with its texts. */
export const bringBack = async (files: GridFSBucket, stored: JobDocument): Promise<JobDocument> => {
  const { inputFile, outputFile } = stored
  if (inputFile === null && outputFile === null) return stored
  return {
    ...stored,
    input: inputFile === null ? stored.input : await read(files, inputFile),
    output: outputFile === null ? stored.output : await read(files, outputFile)
  }
}

/** All files of these jobs, named or not. */
export const drop = async (files: GridFSBucket, jobIds: ReadonlyArray<string>): Promise<void> => {
  for await (const file of files.find({ "metadata.jobId": { $in: jobIds } })) await files.delete(file._id)
}
