/** A small model with a byte-level tokenizer that reads up to three digits at once, and a chat template. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { parseConfig } from '../../src/models/config.ts'
import { initWeights } from '../../src/models/init.ts'
import { architectureOf } from '../../src/models/registry.ts'
import { modelFiles } from '../../src/models/save.ts'
import { writeModelFolder } from '../../src/publish/modelFolder.ts'
import { loadTokenizerFolder } from '../../src/text/tokenizer.node.ts'
import { fixture, fixtureJson } from './golden.ts'

const chatMl =
  "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/** @param work an empty folder @returns the model's, in it */
export const makeChatModel = async (work: string): Promise<string> => {
  const from = join(work, 'tokenizer')
  const bundle = JSON.parse(gunzipSync(await readFile(fixture('text/tokenizers/bpe-llama3.json.gz'))).toString())
  await mkdir(from)
  await writeFile(join(from, 'tokenizer.json'), JSON.stringify(bundle['tokenizer.json']))
  await writeFile(join(from, 'tokenizer_config.json'), JSON.stringify(bundle['tokenizer_config.json']))
  await writeFile(join(from, 'chat_template.jinja'), chatMl)
  const tokenizer = (await loadTokenizerFolder(from))!
  const raw = await fixtureJson('models/llama-tied/config.json')
  const config = parseConfig({ ...raw, vocab_size: tokenizer.size, eos_token_id: tokenizer.eosId }, 'x')
  const architecture = architectureOf(config, 'x')
  const model = { architecture, config, params: initWeights(architecture, config, 7) }
  const dir = join(work, 'model')
  await writeModelFolder(dir, modelFiles(model, 'F32'), { stem: 'model', tokenizerFrom: { dir: from } })
  return dir
}
