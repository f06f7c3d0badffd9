/** A job as the text that deciding stores keep of it. Amounts stand as decimal text, because JSON has no 64-bit integers. */
import type { Credits } from "../schemas/Credits.ts"
import type { Job } from "../schemas/Job.ts"

interface Facts extends Omit<Job, "reserved" | "quote"> {
  readonly reserved: string
  readonly quote: {
    readonly version: number
    readonly perPromptToken: string
    readonly perOutputToken: string
    readonly perRequest: string
  }
}

export const encodeJob = (job: Job): string => {
  const { version, perPromptToken, perOutputToken, perRequest } = job.quote
  const facts: Facts = {
    ...job,
    reserved: job.reserved.toString(),
    quote: {
      version,
      perPromptToken: perPromptToken.toString(),
      perOutputToken: perOutputToken.toString(),
      perRequest: perRequest.toString()
    }
  }
  return JSON.stringify(facts)
}

/** The same without the end user's tag. */
export const withoutTag = (facts: string): string =>
  JSON.stringify({ ...(JSON.parse(facts) as Facts), clientTag: null } satisfies Facts)

export const decodeJob = (text: string): Job => {
  const facts = JSON.parse(text) as Facts
  const { version, perPromptToken, perOutputToken, perRequest } = facts.quote
  return {
    ...facts,
    reserved: credits(facts.reserved),
    quote: {
      version,
      perPromptToken: credits(perPromptToken),
      perOutputToken: credits(perOutputToken),
      perRequest: credits(perRequest)
    }
  }
}

const credits = (text: string) => BigInt(text) as Credits
