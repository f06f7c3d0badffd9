// Preloaded into programs that a document shows with fixed addresses: what they fetch from `host:port` goes to where REDIRECTS says, so that
// the document's text runs unchanged and nothing depends on which ports are free.
const redirects = new Map((process.env.REDIRECTS ?? "").split(",").map((pair) => pair.split("=")))
const { fetch } = globalThis
globalThis.fetch = (input, init) => {
  const url = new URL(typeof input === "object" && "url" in input ? input.url : input)
  const host = redirects.get(url.host)
  if (host === undefined) return fetch(input, init)
  url.host = host
  return fetch(typeof input === "object" && "url" in input ? new Request(url, input) : url, init)
}
