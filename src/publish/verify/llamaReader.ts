/** llama.cpp as the reader of an export, through node-llama-cpp, which is not installed with attune. */
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { badInput } from '../../util/fault.ts'
import type { ExportReader } from './reader.ts'

/** What is used of node-llama-cpp 3. */
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

const name = 'node-llama-cpp'

/** @param from the folder in whose node_modules it is; by default this one, then where attune is installed */
const load = async (from?: string): Promise<{ getLlama(options: object): Promise<Llama> }> => {
  const places = from === undefined ? [join(process.cwd(), 'x'), import.meta.url] : [join(resolve(from), 'x')]
  for (const place of places) {
    let path: string
    try {
      path = createRequire(place).resolve(name)
    } catch {
      continue
    }
    return import(pathToFileURL(path).href)
  }
  throw badInput(
    'no-package',
    `needs ${name}, which runs llama.cpp and is not installed with attune: npm install ${name} (with --ignore-scripts it takes the binaries that come with it), or say where it is with --engine DIR`,
    { flag: '--verify' },
  )
}

/** Throws a Fault 'no-package' where node-llama-cpp is missing, and 'gguf' for a file that llama.cpp cannot load. */
export const openLlamaReader = async (file: string, from?: string): Promise<ExportReader> => {
  const { getLlama } = await load(from)
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
