/** The architectures that attune knows, by their name in config.json. */
import { badInput } from '../util/fault.ts'
import type { Architecture, Config } from './architecture.ts'
import { llama, mistral, qwen2, qwen3, smollm3 } from './llama.ts'

export const architectures: readonly Architecture[] = [llama, mistral, qwen2, qwen3, smollm3]

export const architectureOf = (config: Config, file: string): Architecture => {
  const found = architectures.find(({ name }) => config.architectures.includes(name))
  if (found) return found
  const known = architectures.map(({ name }) => name).join(', ')
  throw badInput('architecture', `${config.architectures.join(', ')} is not supported; attune knows ${known}`, { file })
}
