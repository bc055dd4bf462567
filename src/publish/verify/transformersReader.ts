/** transformers.js as the reader of an export, which is not installed with attune. */
import { basename, dirname, resolve } from 'node:path'
import { badInput } from '../../util/fault.ts'
import { loadEngine } from './engine.ts'
import type { Conversation, ExportReader } from './reader.ts'

/** What is used of transformers.js 4. */
type Engine = {
  AutoTokenizer: { from_pretrained(name: string): Promise<EngineTokenizer> }
  AutoModelForCausalLM: { from_pretrained(name: string): Promise<EngineModel> }
  Tensor: new (type: 'int64', data: BigInt64Array, shape: readonly number[]) => unknown
  env: object
}
type EngineTokenizer = {
  encode(text: string, options: { add_special_tokens: boolean }): number[]
  bos_token_id?: number | null
  eos_token_id?: number | null
  chat_template: string | Readonly<Record<string, string>> | null
  apply_chat_template(messages: Conversation, options: object): string
}
type EngineModel = {
  (inputs: object): Promise<{ logits: { dims: readonly number[]; data: Float32Array } }>
  generation_config: { eos_token_id?: number | readonly number[] | null } | null
  dispose(): Promise<unknown>
}

/** Throws a Fault 'no-package' where @huggingface/transformers is missing, and 'onnx' for a folder that it cannot load. */
export const openTransformersReader = async (folder: string, from?: string): Promise<ExportReader> => {
  const engine = await loadEngine<Engine>('@huggingface/transformers', 'is transformers.js', from)
  const path = resolve(folder)
  Object.assign(engine.env, { allowRemoteModels: false, localModelPath: dirname(path) })
  try {
    const model = await engine.AutoModelForCausalLM.from_pretrained(basename(path))
    // a model of ids alone has none
    const tokenizer = await engine.AutoTokenizer.from_pretrained(basename(path)).catch(() => undefined)
    return readerOf(engine, model, tokenizer)
  } catch (error) {
    throw badInput('onnx', `transformers.js cannot load it: ${error instanceof Error ? error.message : error}`, {
      file: folder,
    })
  }
}

const readerOf = ({ Tensor }: Engine, model: EngineModel, tokenizer: EngineTokenizer | undefined): ExportReader => {
  const ends = [model.generation_config?.eos_token_id ?? []].flat()
  const bosId = tokenizer?.bos_token_id ?? undefined
  const templates = tokenizer?.chat_template ?? undefined
  const tensor = (values: readonly number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
  return {
    name: 'transformers.js',
    tokenize: (text) => tokenizer?.encode(text, { add_special_tokens: false }) ?? [],
    addsBos: bosId !== undefined && tokenizer?.encode('', { add_special_tokens: true })[0] === bosId,
    bosId,
    eosId: tokenizer ? (tokenizer.eos_token_id ?? undefined) : ends[0],
    stopsAt: (id) => ends.includes(id),
    chatTemplate: typeof templates === 'object' ? templates.default : templates,
    render: (messages) => {
      try {
        return tokenizer!.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true })
      } catch (error) {
        return String(error)
      }
    },
    logps: async (ids) => {
      const { logits } = await model({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) })
      const V = logits.dims[2]
      return ids.slice(1).map((id, t) => {
        const scores = logits.data.subarray(t * V, (t + 1) * V) // [V]
        const top = scores.reduce((a, b) => Math.max(a, b))
        return scores[id] - top - Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0))
      })
    },
    close: async () => {
      await model.dispose()
    },
  }
}
