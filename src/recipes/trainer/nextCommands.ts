/** What to type after a run, by what it made. */

export type Ended = {
  method: string
  /** As a shell takes it. */
  folder: string
  interrupted: boolean
  /** The tokenizer of the model has a chat template. */
  chats: boolean
}

/** Commands, the most useful first. */
export const nextCommands = ({ method, folder, interrupted, chats }: Ended): string[] => {
  if (interrupted) return [`attune ${method} --output ${folder} --resume`]
  if (method === 'reward') return [`attune score --model ${folder} --data rows.jsonl`]
  return chats ? [`attune chat --model ${folder}`] : [`attune generate --model ${folder} --prompt "..."`]
}
