/** What to type after a run, by what it made. */

export type Ended = {
  method: string
  /** As a shell takes it. */
  folder: string
  interrupted: boolean
  /** The tokenizer of the model has a chat template. */
  chats: boolean
  /** It is a pair ranker. */
  pairs?: boolean
}

/** Commands, the most useful first. */
export const nextCommands = ({ method, folder, interrupted, chats, pairs }: Ended): string[] => {
  if (interrupted) return [`attune ${method} --output ${folder} --resume`]
  if (pairs) return [`attune rank --model ${folder} --data candidates.jsonl`]
  if (method === 'reward') return [`attune score --model ${folder} --data rows.jsonl`]
  return chats ? [`attune chat --model ${folder}`] : [`attune generate --model ${folder} --prompt "..."`]
}
