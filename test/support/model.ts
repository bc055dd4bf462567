/** Golden checkpoints on an in-process backend, and golden rows as packed batches. */
import { readFile } from 'node:fs/promises'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { parseConfig } from '../../src/models/config.ts'
import { matchWeights, renamed } from '../../src/models/load.ts'
import { architectureOf } from '../../src/models/registry.ts'
import type { PlacedBatch } from '../../src/passes/layout.ts'
import { putWeights } from '../../src/passes/load.ts'
import { makeModel } from '../../src/passes/model.ts'
import type { Backend } from '../../src/runtime/backend.ts'
import { fileSource } from '../../src/util/files.node.ts'
import { fixture } from './golden.ts'

export const goldenModel = async (backend: Backend, name: string, configFile = 'config.json') => {
  const folder = fixture(`models/${name}`)
  const config = parseConfig(JSON.parse(await readFile(`${folder}/${configFile}`, 'utf8')), configFile)
  const architecture = architectureOf(config, configFile)
  const { tensors } = await openSafetensors(await fileSource(`${folder}/model.safetensors`))
  const { params } = matchWeights(architecture, config, renamed(architecture, tensors), folder)
  return makeModel({ architecture, config, backend, params: await putWeights(backend, params) })
}

/** Packs padded rows into a batch whose targets are all next tokens, with the place in [B, T] of each token. */
export const packRows = (ids: readonly number[], mask: readonly number[], B: number): PlacedBatch => {
  const T = ids.length / B
  const places = [...ids.keys()].filter((place) => mask[place])
  const at = new Map(places.map((place, n) => [place, n]))
  const targets = places.filter((place) => place % T < T - 1 && mask[place + 1])
  const firstOf = (place: number) => mask.indexOf(1, place - (place % T)) % T
  return {
    B,
    T,
    ids: places.map((place) => ids[place]),
    positions: places.map((place) => (place % T) - firstOf(place)),
    places,
    groups: places.map(() => 0),
    segments: places.map(() => 0),
    targets: { index: targets.map((place) => at.get(place)!), label: targets.map((place) => ids[place + 1]) },
  }
}

/** Folders of tiny random checkpoints with what transformers computes from them: one of each architecture, or several. */
export const goldenModels = [
  'llama-gqa-untied',
  'llama-tied',
  'llama-rope-scaled',
  'mistral-sliding',
  'qwen2',
  'qwen3',
  'smollm3',
  'gemma2',
  'gemma3',
  'gemma4',
  'gemma4-dense',
  'gemma4-moe',
  'phi3',
  'llama-yarn',
  'olmo2',
  'olmo3',
  'granite',
  'phi4-mini',
  'ministral3',
  'lfm2',
  'lfm2-biased',
  'qwen3.5',
  'mixtral',
  'qwen3-moe',
  'granite-moe',
  'gpt-oss',
  'gpt2',
]
