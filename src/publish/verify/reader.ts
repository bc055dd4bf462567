/** What an export is compared by: a program that reads it. */
export type Conversation = readonly { role: string; content: string }[]

/** The program that reads an export, as far as an export is compared by it: llama.cpp, or another in its place. */
export type ExportReader = {
  /** What reports call it. */
  name: string
  /** Ids of a text in which special tokens count as such, without what is added around it. */
  tokenize(text: string): readonly number[]
  /** Whether it puts the beginning token before a prompt. */
  addsBos: boolean
  bosId?: number
  eosId?: number
  /** Whether it stops at this id. */
  stopsAt(id: number): boolean
  /** The chat template that it finds in the file. */
  chatTemplate?: string
  /** The prompt that it makes of a conversation itself, for the answer to come; without it attune renders the template. */
  render?(messages: Conversation): string
  /** Log-probabilities of each id but the first, given those before it. */
  logps(ids: readonly number[]): Promise<readonly number[]>
  close(): Promise<void>
}
