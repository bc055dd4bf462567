/** `attune init`: a model with random weights, drawn as transformers does, for tests, demos and training from scratch. */
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { parseConfig } from '../../models/config.ts'
import { initWeights } from '../../models/init.ts'
import { architectureOf } from '../../models/registry.ts'
import { modelFiles } from '../../models/save.ts'
import { refuseTaken, storedAs, writeModelFolder } from '../../publish/modelFolder.ts'
import { loadTokenizerFolder } from '../../text/tokenizer.node.ts'
import { badInput } from '../../util/fault.ts'
import { jsonFile } from '../../util/files.node.ts'
import { whole } from '../../util/format.ts'
import { countParameters } from '../../util/shape.ts'
import { command } from '../command.ts'

const schema = z.object({
  config: z.string().meta({ value: 'FILE' }).describe('config.json of an architecture that attune supports'),
  tokenizer: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('a folder with the tokenizer to copy into the model'),
  output: z.string().meta({ value: 'DIR' }).describe('the model folder to write'),
  seed: z.number().int().nonnegative().default(42).describe('random seed of the weights'),
  saveDtype: z.enum(['float32', 'bfloat16', 'float16']).default('float32').describe('data type of the weights'),
})

export default command({
  summary: 'Make a model with random weights',
  example: 'init --config CONFIG.json --tokenizer SmolLM2-135M --output random-model',
  schema,
  async run({ config: file, tokenizer, output, seed, saveDtype }, { out }) {
    await refuseTaken(output)
    const config = parseConfig(await jsonFile(file), file)
    const architecture = architectureOf(config, file)
    const tokenizerFrom = tokenizer === undefined ? undefined : await checkTokenizer(tokenizer, config.vocab_size)
    const params = initWeights(architecture, config, seed)
    const files = modelFiles({ architecture, config, params }, storedAs[saveDtype])
    await writeModelFolder(output, files, { stem: 'model', tokenizerFrom })
    const parameters = countParameters(params.values())
    if (out.json) await out.jsonLine({ model: output, architecture: architecture.name, parameters, seed })
    else await out.text(`${output}: ${architecture.name} with ${whole(parameters)} random parameters`)
  },
})

/** @returns the folder; `path` may also be its tokenizer.json */
const checkTokenizer = async (path: string, vocabulary: number): Promise<{ dir: string }> => {
  const dir = (await stat(path).catch(() => undefined))?.isFile() ? dirname(path) : path
  const tokenizer = await loadTokenizerFolder(dir)
  if (!tokenizer) throw badInput('no-tokenizer', 'holds no tokenizer.json', { file: dir, flag: '--tokenizer' })
  if (tokenizer.size > vocabulary)
    throw badInput('bad-config', `the tokenizer has ids up to ${tokenizer.size - 1}, but vocab_size is ${vocabulary}`, {
      flag: '--tokenizer',
    })
  return { dir }
}
