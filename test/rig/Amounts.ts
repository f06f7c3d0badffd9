/** Whole micro-credits of a decimal string of credits. */
export const micro = (credits: string): bigint => {
  const [whole = "0", part = ""] = credits.split(".")
  return BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, "0"))
}
