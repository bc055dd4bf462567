/** llama.cpp as the reader of an export, through node-llama-cpp, which is not installed with attune. */
import { resolve } from 'node:path'
import { badInput } from '../../util/fault.ts'
import { loadEngine } from './engine.ts'
import type { ExportReader } from './reader.ts'

/** What is used of node-llama-cpp 3. */
type Engine = { getLlama(options: object): Promise<Llama> }
type Llama = {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>
  dispose(): Promise<void>
}
type LlamaModel = {
  tokenize(text: string, specialTokens: boolean): number[]
  tokens: { bos: number | null; eos: number | null; shouldPrependBosToken: boolean }
  isEogToken(id: number): boolean
  fileInfo: { metadata: { tokenizer?: { chat_template?: string } } }
  createContext(options: object): Promise<LlamaContext>
  dispose(): Promise<void>
}
type LlamaContext = {
  getSequence(): {
    controlledEvaluate(input: unknown[]): Promise<({ next: { probabilities?: Map<number, number> } } | undefined)[]>
  }
  dispose(): Promise<void>
}

/** Throws a Fault 'no-package' where node-llama-cpp is missing, and 'gguf' for a file that llama.cpp cannot load. */
export const openLlamaReader = async (file: string, from?: string): Promise<ExportReader> => {
  const { getLlama } = await loadEngine<Engine>('node-llama-cpp', 'runs llama.cpp', from)
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' })
  try {
    const model = await llama.loadModel({ modelPath: resolve(file) })
    return readerOf(model, llama)
  } catch (error) {
    await llama.dispose()
    throw badInput('gguf', `llama.cpp cannot load it: ${error instanceof Error ? error.message : error}`, { file })
  }
}

const readerOf = (model: LlamaModel, llama: Llama): ExportReader => ({
  name: 'llama.cpp',
  tokenize: (text) => model.tokenize(text, true),
  addsBos: model.tokens.shouldPrependBosToken,
  bosId: model.tokens.bos ?? undefined,
  eosId: model.tokens.eos ?? undefined,
  stopsAt: (id) => model.isEogToken(id),
  chatTemplate: model.fileInfo.metadata.tokenizer?.chat_template,
  logps: async (ids) => {
    const cache = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' }
    const context = await model.createContext({ contextSize: ids.length + 8, flashAttention: false, ...cache })
    try {
      const asked = { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } }
      const outputs = await context.getSequence().controlledEvaluate(ids.slice(0, -1).map((id) => [id, asked]))
      return ids.slice(1).map((id, i) => Math.log(outputs[i]?.next.probabilities?.get(id) ?? 0))
    } finally {
      await context.dispose()
    }
  },
  close: async () => {
    await model.dispose()
    await llama.dispose()
  },
})
