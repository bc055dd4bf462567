/** The architectures that attune knows, by their name in config.json. */
import { badInput } from '../util/fault.ts'
import type { Architecture, Config } from './architecture.ts'
import { gemma, gemma2, gemma3 } from './gemma.ts'
import { gpt2 } from './gpt2.ts'
import { llama, mistral, qwen2, qwen3, smollm3 } from './llama.ts'
import { phi3 } from './phi3.ts'
import { classifier } from './scored.ts'
import { refuseUnsupported } from './unsupported.ts'

export const architectures: readonly Architecture[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  gemma,
  gemma2,
  gemma3,
  phi3,
  gpt2,
]

/** Throws Faults: 'architecture' for one that is not in the list, 'bad-config' for a setting that is not supported. */
export const architectureOf = (config: Config, file: string): Architecture => {
  const scored = architectures.map(classifier)
  const found = [...architectures, ...scored].find(({ name }) => config.architectures.includes(name))
  if (found) {
    refuseUnsupported(found, config, file)
    return found
  }
  const isScored = config.architectures.some((name) => name.endsWith('ForSequenceClassification'))
  const known = (isScored ? scored : architectures).map(({ name }) => name).join(', ')
  throw badInput('architecture', `${config.architectures.join(', ')} is not supported; attune knows ${known}`, { file })
}
