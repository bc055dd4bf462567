/** Models, rows and cases of the benchmark: what attune and the peer each run. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { loadTokenizerFolder } from '../dist/text/tokenizer.node.js'

const here = dirname(new URL(import.meta.url).pathname)
const fixtures = join(here, '..', 'test', 'fixtures')

/** SmolLM2-135M's shape. */
export const smollm2 = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  head_dim: 64,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  initializer_range: 0.02,
  bos_token_id: 1,
  eos_token_id: 2,
}

/** A small model with Llama 3's vocabulary: the head is nearly all of it. */
const wide = { ...smollm2, vocab_size: 128_256, hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 4 }

/** Models of the scaling lab: one attention head of 64. */
const lab = (hidden_size, num_hidden_layers) => ({
  ...{ ...smollm2, vocab_size: 128_256, hidden_size, intermediate_size: 4 * hidden_size, num_hidden_layers },
  ...{ num_attention_heads: 1, num_key_value_heads: 1, head_dim: 64, max_position_embeddings: 256 },
})

/** Pseudo-random token ids, equal on every machine. */
const ids = (length, seed, vocabulary) => Array.from({ length }, (_, i) => (Math.imul(i + 1, 2_654_435_761 + seed * 40_503) >>> 8) % vocabulary)

const jsonl = (path, rows) => writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

const texts = (count, length, vocabulary) => Array.from({ length: count }, (_, i) => ({ input_ids: ids(length, i, vocabulary) }))

const equalPairs = (count) =>
  Array.from({ length: count }, (_, i) => ({
    prompt_input_ids: ids(120, 3 * i, 49_152),
    chosen_input_ids: ids(136, 3 * i + 1, 49_152),
    rejected_input_ids: ids(136, 3 * i + 2, 49_152),
  }))

/** Lists of four responses whose prompt is three times as long as a response. */
const lists = (count) => Array.from({ length: count }, (_, i) => ({ prompt_input_ids: ids(192, 5 * i, 49_152), responses: [1, 2, 3, 4].map((k) => ({ input_ids: ids(64, 5 * i + k, 49_152) })), ranks: [1, 2, 3, 4] }))

/** The texts of these lists as pairs without a prompt, so that nothing is shared. */
const unshared = (rows) => rows.flatMap(({ prompt_input_ids: prompt, responses }) => {
  const [a, b, c, d] = responses.map(({ input_ids }) => [...prompt, ...input_ids])
  return [[a, b], [c, d]].map(([chosen, rejected]) => ({ prompt_input_ids: [], chosen_input_ids: chosen, rejected_input_ids: rejected }))
})

const prompts = (count) => Array.from({ length: count }, (_, i) => ({ prompt_input_ids: ids(24, i, 49_152) }))

/** HH-RLHF pairs as token ids of the 260K model's tokenizer, those with at most 512 tokens in prompt and responses. */
const realPairs = async (count) => {
  const tokenizer = await loadTokenizerFolder(join(fixtures, 'models', 'stories260K'))
  const encode = (text, specialTokens) => tokenizer.encode(text, { specialTokens }).ids
  const pairs = []
  for (const line of hhLines()) {
    const row = JSON.parse(line)
    const cut = row.chosen.lastIndexOf('\n\nAssistant:') + '\n\nAssistant:'.length
    if (row.chosen.slice(0, cut) !== row.rejected.slice(0, cut)) continue
    const prompt = encode(row.chosen.slice(0, cut), true)
    const [chosen, rejected] = [row.chosen, row.rejected].map((text) => [...encode(text.slice(cut), false), 2])
    if (chosen.length < 2 || rejected.length < 2 || prompt.length + chosen.length + rejected.length > 512) continue
    pairs.push({ prompt_input_ids: prompt, chosen_input_ids: chosen, rejected_input_ids: rejected })
    if (pairs.length === count) break
  }
  return pairs
}

export const hhLines = () => {
  const whole = join(here, '..', '..', 'shared', 'data', 'hh-rlhf', 'harmless-base-test.jsonl.gz')
  const path = process.env.HH_RLHF ?? (existsSync(whole) ? whole : join(fixtures, 'data', 'hh-excerpt.jsonl.gz'))
  return gunzipSync(readFileSync(path)).toString('utf8').split('\n').filter(Boolean)
}

/** DeBERTa-v3-large's shape with fewer layers and tokens, as a pair ranker: 4 of 24 layers cost a sixth of the whole. */
const ranker = {
  architectures: ['DebertaV2PairRM'],
  model_type: 'deberta-v2',
  vocab_size: 1005,
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 4,
  num_attention_heads: 16,
  max_position_embeddings: 512,
  max_relative_positions: -1,
  position_buckets: 256,
  relative_attention: true,
  share_att_key: true,
  norm_rel_ebd: 'layer_norm',
  pos_att_type: ['p2c', 'c2p'],
  position_biased_input: false,
  type_vocab_size: 0,
  pad_token_id: 0,
  layer_norm_eps: 1e-7,
  hidden_act: 'gelu',
  n_tasks: 1,
  ...{ source_prefix_id: 1001, cand1_prefix_id: 1002, cand2_prefix_id: 1003, cand_prefix_id: 1004 },
}

/** HH-RLHF rows in both orders, as LLM-Blender takes them: eight rows with the first order, then the same eight with the other. */
const rankedPairs = (count) => {
  const wordsOf = (text) => ids(Math.max(1, Math.round(text.length / 4.2)), text.length, 990).map((id) => id + 3)
  const part = (marker, text) => [1, marker, ...wordsOf(text), 2]
  const rows = hhLines().slice(0, count).map((line) => {
    const { chosen, rejected } = JSON.parse(line)
    const cut = chosen.lastIndexOf('\n\nAssistant:') + '\n\nAssistant:'.length
    const joined = (a, b) => ({ input_ids: [...part(1001, chosen.slice(0, cut)), ...part(1002, a.slice(cut)), ...part(1003, b.slice(cut))] })
    return [joined(chosen, rejected), joined(rejected, chosen)]
  })
  const eights = Array.from({ length: Math.ceil(rows.length / 8) }, (_, i) => rows.slice(8 * i, 8 * i + 8))
  return eights.flatMap((eight) => [0, 1].flatMap((order) => eight.map((row) => row[order])))
}

export const makeModel = (work, cli, name, config, seed = 42) => {
  if (existsSync(join(work, name, 'model.safetensors'))) return
  writeFileSync(join(work, `${name}.json`), JSON.stringify(config))
  const made = spawnSync(process.execPath, [cli, 'init', '--config', join(work, `${name}.json`), '--output', join(work, name), '--seed', String(seed)])
  if (made.status !== 0) throw new Error(made.stderr.toString())
}

export const makeInputs = async (work, cli) => {
  makeModel(work, cli, 'smollm2', smollm2)
  makeModel(work, cli, 'smollm2-teacher', smollm2, 7)
  makeModel(work, cli, 'wide', wide)
  makeModel(work, cli, 'lab64', lab(64, 2))
  makeModel(work, cli, 'lab256', lab(256, 4))
  makeModel(work, cli, 'ranker', ranker)
  jsonl(join(work, 'ranked.jsonl'), rankedPairs(16))
  jsonl(join(work, 'texts.jsonl'), texts(64, 256, 49_152))
  jsonl(join(work, 'long.jsonl'), texts(32, 1024, 128_256))
  jsonl(join(work, 'short.jsonl'), texts(128, 32, 128_256))
  jsonl(join(work, 'equal.jsonl'), equalPairs(32))
  jsonl(join(work, 'lists.jsonl'), lists(16))
  jsonl(join(work, 'unshared.jsonl'), unshared(lists(16)))
  jsonl(join(work, 'prompts.jsonl'), prompts(128))
  jsonl(join(work, 'real.jsonl'), await realPairs(64))
}

/** The task with quantized weights. The peer has no kernels for them on a CPU. */
const quantized = ({ peer: _, ...task }, format) => ({ ...task, args: [...task.args, '--quantize', format] })

/**
 * The task with products in each form: rows beside that in fp32, whose peers they have. torchao's int8 training is a peer of
 * training with whole rows of tokens.
 */
const inForms = (task) => [
  task,
  ...['int8', 'int8-fast'].map((form) => ({
    ...task,
    name: `${task.name}, ${form}`,
    args: [...task.args, '--compute', form],
    low: false,
    ofPeer: task.name,
    torchao: form === 'int8' && task.method === 'sft',
  })),
]

const withoutPeer = ({ peer: _, ...task }) => task

const onPolicy = (task) => ({
  ...task,
  args: [...task.args, '--reward', join(here, 'oddTokens.mjs'), '--num-generations', '4', '--max-new-tokens', '64', '--kl-coef', '0'],
})

/** On-policy distillation from a teacher of the same size. */
const taught = (work, task) => {
  const teacher = ['--teacher', join(work, 'smollm2-teacher')]
  return {
    ...task,
    args: [...task.args, ...teacher, '--lmbda', '1', '--beta', '1', '--temperature', '1', '--max-new-tokens', '64'],
    peer: [...task.peer, ...teacher],
  }
}

const lora = ['--lora-r', '32', '--lora-alpha', '64', '--lora-dropout', '0', '--lora-target', 'q_proj,v_proj']

export const cases = (work, quick) => {
  const steps = ['--max-steps', quick ? '5' : '7', '--no-shuffle', '--epochs', '1', '--learning-rate', '1e-5', '--save-every', '1000']
  const at = (model, data) => ['--model', join(work, model), '--data', join(work, data)]
  const task = (name, method, model, data, batch, adapter, extra = {}) => ({
    name,
    method,
    args: [...at(model, data), '--batch-size', String(batch), ...steps, ...(adapter ? lora : [])],
    peer: [method, ...at(model, data), '--batch-size', String(batch), '--steps', quick ? '5' : '7', ...(adapter ? ['--lora'] : [])],
    ...extra,
  })
  return [
    ...inForms(task('LoRA, language model, 4 x 256', 'sft', 'smollm2', 'texts.jsonl', 4, true, { low: true })),
    ...inForms(task('full fine-tuning, 4 x 256', 'sft', 'smollm2', 'texts.jsonl', 4, false)),
    ...inForms(task('DPO LoRA, 2 pairs of 120 + 136', 'dpo', 'smollm2', 'equal.jsonl', 2, true, { low: true })),
    ...['int4', 'nf4'].map((format) => quantized(task(`DPO QLoRA ${format}, 2 pairs of 120 + 136`, 'dpo', 'smollm2', 'equal.jsonl', 2, true, { low: true }), format)),
    ...inForms(task('DPO LoRA, 4 real HH-RLHF pairs', 'dpo', 'smollm2', 'real.jsonl', 4, true, { low: true })),
    task('vocabulary 128,256, 4 x 1,024', 'sft', 'wide', 'long.jsonl', 4, true),
    ...inForms(task('reward model LoRA, 2 pairs of 120 + 136', 'reward', 'smollm2', 'equal.jsonl', 2, true, { low: true })),
    withoutPeer(task('reward model LoRA, 2 lists of 4, 192 + 64', 'reward', 'smollm2', 'lists.jsonl', 2, true)),
    withoutPeer(task('the same responses, prompt not shared', 'reward', 'smollm2', 'unshared.jsonl', 4, true)),
    ...inForms(onPolicy(task('GRPO LoRA, 8 prompts x 4 x 64', 'grpo', 'smollm2', 'prompts.jsonl', 8, true))),
    taught(work, task('distill LoRA, 8 prompts x 64', 'distill', 'smollm2', 'prompts.jsonl', 8, true)),
    task('scaling lab, hidden 64, 16 x 32', 'sft', 'lab64', 'short.jsonl', 16, false),
    task('scaling lab, hidden 256, 16 x 32', 'sft', 'lab256', 'short.jsonl', 16, false),
  ]
}

export const rankCase = "pair ranking, 4 layers of DeBERTa-v3-large's shape, 16 HH-RLHF rows in both orders"

/** The most telling rows, for the short form of the bench: those of training, of decoding. */
export const shortCases = ['LoRA, language model, 4 x 256', 'DPO LoRA, 2 pairs of 120 + 136', 'first token of 512']

/** Decoding cases: batch size, tokens per prompt, new tokens per completion. */
export const decodeCases = [
  { name: 'decode, 64 + 64 tokens, batch 1', batch: 1, prompt: 64, fresh: 64 },
  { name: 'decode, 64 + 64 tokens, batch 16', batch: 16, prompt: 64, fresh: 64 },
  { name: 'first token of 512', batch: 1, prompt: 512, fresh: 1 },
  ...['int8', 'int8-fast'].flatMap((compute) => [
    { name: `first token of 512, ${compute}`, batch: 1, prompt: 512, fresh: 1, compute, ofPeer: 'first token of 512' },
    { name: `decode, 64 + 64 tokens, batch 16, ${compute}`, batch: 16, prompt: 64, fresh: 64, compute, ofPeer: 'decode, 64 + 64 tokens, batch 16' },
  ]),
  ...['int8', 'int4', 'nf4'].flatMap((quantize) =>
    [1, 16].map((batch) => ({ name: `decode ${quantize}, batch ${batch}`, batch, prompt: 64, fresh: 64, quantize })),
  ),
]
