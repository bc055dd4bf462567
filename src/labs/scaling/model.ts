/**
 * The decoder of the scaling laws, with random weights: one attention head of dimension 64, context 256, feed-forward
 * ratio 4. The vocabulary is the plan's: 13 tokens, or 128,256, of which the embedded tokenizer uses thirteen.
 */
import { resolveHubModel } from '../../checkpoint/hub.node.ts'
import type { Architecture, Config } from '../../models/architecture.ts'
import { parseConfig } from '../../models/config.ts'
import { initWeights } from '../../models/init.ts'
import { architectureOf } from '../../models/registry.ts'
import { modelFiles } from '../../models/save.ts'
import { writeModelFolder } from '../../publish/modelFolder.ts'
import { loadTokenizerFolder } from '../../text/tokenizer.node.ts'
import { badInput } from '../../util/fault.ts'
import { characterTokenizer, writeCharacterTokenizer } from '../demo/model.ts'
import type { Plan } from './settings.ts'

/** Width and depth of a model. */
export type Size = { hidden: number; layers: number }

/** `dir` is the folder of the tokenizer; undefined for the embedded one. */
export type SweepTokenizer = { dir?: string; eosId: number; size: number; count(text: string): number }

/** Throws Faults for a name that is no model, and 'bad-tokenizer' for a tokenizer that does not fit the vocabulary. */
export const openSweepTokenizer = async (name: string | undefined, vocabulary: number): Promise<SweepTokenizer> => {
  if (name === undefined)
    return { eosId: characterTokenizer.eosId, size: characterTokenizer.size, count: (text) => text.length }
  const dir = await resolveHubModel(name)
  const tokenizer = await loadTokenizerFolder(dir)
  const refuse = (what: string) => badInput('bad-tokenizer', `${name} ${what}`, { flag: '--tokenizer' })
  if (!tokenizer) throw refuse('has no tokenizer.json')
  if (tokenizer.eosId === undefined) throw refuse('names no end token (eos_token), so completions would not end')
  if (tokenizer.size > vocabulary)
    throw refuse(`has ${tokenizer.size} tokens, more than the ${vocabulary} of this study; give --vocabulary`)
  const { eosId, size, encode } = tokenizer
  return { dir, eosId, size, count: (text) => encode(text, { specialTokens: false }).ids.length }
}

export const modelConfig = (
  { hidden, layers }: Size,
  vocabulary: number,
  eosId: number,
): { architecture: Architecture; config: Config } => {
  const config = parseConfig(
    {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      vocab_size: vocabulary,
      hidden_size: hidden,
      intermediate_size: 4 * hidden,
      num_hidden_layers: layers,
      num_attention_heads: 1,
      num_key_value_heads: 1,
      head_dim: 64,
      max_position_embeddings: 256,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      hidden_act: 'silu',
      tie_word_embeddings: true,
      // Wider than Llama's 0.02, at which so narrow a model learns nothing for hundreds of steps
      initializer_range: 0.05,
      eos_token_id: eosId,
    },
    'config.json',
  )
  return { config, architecture: architectureOf(config, 'config.json') }
}

/** Writes a model folder with random weights, as transformers reads it. */
export const writeRandomModel = async (
  dir: string,
  size: Size,
  plan: Plan,
  tokenizer: SweepTokenizer,
  seed: number,
): Promise<void> => {
  const { architecture, config } = modelConfig(size, plan.vocabulary, tokenizer.eosId)
  const params = initWeights(architecture, config, seed)
  const files = modelFiles({ architecture, config, params }, 'F32', { eos_token_id: tokenizer.eosId })
  await writeModelFolder(dir, files, {
    stem: 'model',
    tokenizerFrom: tokenizer.dir === undefined ? undefined : { dir: tokenizer.dir },
  })
  if (tokenizer.dir === undefined) await writeCharacterTokenizer(dir, config.max_position_embeddings)
}
