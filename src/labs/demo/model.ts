/** The model that the demo begins with: random weights, and a tokenizer of digits, plus, equals and an end token. */
import { join } from 'node:path'
import { parseConfig } from '../../models/config.ts'
import { initWeights } from '../../models/init.ts'
import { architectureOf } from '../../models/registry.ts'
import { modelFiles } from '../../models/save.ts'
import { writeModelFolder } from '../../publish/modelFolder.ts'
import { writeJson } from '../../report/files.node.ts'
import { countParameters } from '../../util/shape.ts'
import { demoConfig } from './settings.ts'

const end = '<end>'
const characters = [...'0123456789+=']

const plainToken = { single_word: false, lstrip: false, rstrip: false, normalized: false }

/** The id of the end token, and the number of tokens. */
export const characterTokenizer = { eosId: characters.length, size: characters.length + 1 }

/** tokenizer.json as the tokenizers library reads it: one token a character. */
const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [{ id: characters.length, content: end, special: true, ...plainToken }],
  normalizer: null,
  pre_tokenizer: { type: 'Split', pattern: { Regex: '.' }, behavior: 'Isolated', invert: false },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries([...characters, end].map((token, id) => [token, id])),
    unk_token: end,
  },
}

/** Writes the tokenizer's files into a model folder. */
export const writeCharacterTokenizer = async (dir: string, maxLength: number): Promise<void> => {
  const settings = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: end, model_max_length: maxLength }
  await writeJson(join(dir, 'tokenizer.json'), tokenizer)
  await writeJson(join(dir, 'tokenizer_config.json'), settings)
}

/** Writes a model folder as transformers reads it. @returns how many parameters it has */
export const writeDemoModel = async (dir: string, seed: number): Promise<number> => {
  const config = parseConfig(demoConfig, 'config.json')
  const architecture = architectureOf(config, 'config.json')
  const params = initWeights(architecture, config, seed)
  const files = modelFiles({ architecture, config, params }, 'F32', { eos_token_id: demoConfig.eos_token_id })
  await writeModelFolder(dir, files, { stem: 'model' })
  await writeCharacterTokenizer(dir, demoConfig.max_position_embeddings)
  return countParameters(params.values())
}
