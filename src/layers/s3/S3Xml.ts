/**
 * The little XML that S3 answers with: a list of keys, or an error. Only texts of known elements are taken, and a list is one only when its
 * root says so: a page of a proxy, or half a document, is never read as an empty bucket.
 */
export interface ListPage {
  readonly keys: ReadonlyArray<string>
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" }

const decoded = (text: string): string =>
  text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|([a-z]{2,4}));/g, (whole, hex, decimal, name) => {
    if (name !== undefined) return NAMED[name] ?? whole
    const point = hex === undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex, 16)
    return point <= 0x10_ffff ? String.fromCodePoint(point) : whole
  })

/** Elements of this name that hold nothing but text: text of XML never contains `<`. */
const texts = (xml: string, element: string): ReadonlyArray<string> =>
  [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, "g"))].map(([, text]) => decoded(text ?? ""))

const DECLARATION = /^\s*(?:<\?xml[^>]*\?>\s*)?/
const LIST = /^<ListBucketResult(?:\s[^>]*)?>[\s\S]*<\/ListBucketResult>\s*$/
const ERROR = /^<Error(?:\s[^>]*)?>/

/** One page of ListObjectsV2; null when the text is none. */
export const readList = (xml: string): ListPage | null => {
  const body = xml.replace(DECLARATION, "")
  if (!LIST.test(body)) return null
  const keys = [...body.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)].map(
    ([, object]) => texts(object ?? "", "Key")[0]
  )
  const [truncated] = texts(body, "IsTruncated")
  const [next = null] = truncated === "true" ? texts(body, "NextContinuationToken") : []
  // More is there, but not from where: half a list would pass for a whole one.
  if (truncated === undefined || (truncated === "true" && next === null)) return null
  return keys.every((key) => key !== undefined) ? { keys, next } : null
}

/** The code of an error document, `NoSuchKey`; null when it names none. */
export const readErrorCode = (xml: string): string | null => {
  const body = xml.replace(DECLARATION, "")
  const [code] = ERROR.test(body) ? texts(body, "Code") : []
  return code !== undefined && /^\w{1,64}$/.test(code) ? code : null
}
