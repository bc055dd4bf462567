/** A studio with a folder of its own for tests of the playground, requests to it, and small models in its folder. */
import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { safetensorsChunks } from '../../src/checkpoint/safetensorsWrite.ts'
import { openStudio } from '../../src/studio/openStudio.node.ts'
import type { Sampling, TurnEvent } from '../../src/studio/play/api.ts'
import { fileSource, writeWhole } from '../../src/util/files.node.ts'
import { fixture } from './golden.ts'

export const sampling: Sampling = {
  ...{ temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 },
  ...{ maxNewTokens: 8, seed: 3 },
}

const token = 'the-token-of-the-owner-0123456789'

export const openPlayStudio = async () => {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'attune-play-')))
  const errors: unknown[] = []
  const studio = await openStudio({ root, host: '127.0.0.1', port: 0, token, onError: (error) => errors.push(error) })
  const send = (method: string, path: string, body?: unknown, as = token) =>
    fetch(`${studio.url}/api${path}`, {
      method,
      headers: {
        authorization: `Bearer ${as}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  return {
    ...{ root, studio, errors, send },
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all routes
    ask: async (method: string, path: string, body?: unknown): Promise<any> =>
      JSON.parse((await (await send(method, path, body)).text()) || 'null'),
    /** The events of a turn; `onEvent` sees each as it comes. */
    async turn(request: object, onEvent: (event: TurnEvent) => void = () => {}): Promise<TurnEvent[]> {
      const response = await send('POST', '/play/turn', { turn: 't', sampling, ...request })
      const events: TurnEvent[] = []
      let rest = ''
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        const parts = (rest + chunk).split('\n\n')
        rest = parts.pop()!
        for (const part of parts) {
          const event = JSON.parse(part.replace(/^data: /, ''))
          events.push(event)
          onEvent(event)
        }
      }
      return events
    },
    async close() {
      await studio.close()
      await rm(root, { recursive: true })
    },
  }
}

export const textOf = (events: readonly TurnEvent[], lane = 0) =>
  events.map((event) => (event.lane === lane ? (event.text ?? '') : '')).join('')

/** The stories model with a chat template that joins what was said. */
export const addStories = async (path: string) => {
  await cp(fixture('models/stories260K'), path, { recursive: true })
  const template = '{% for message in messages %}{{ message.content }}{% endfor %}'
  await writeFile(join(path, 'chat_template.jinja'), template)
}

/** The same with a score head in place of the language head, which prefers some words for no reason. */
export const addStoriesReward = async (path: string) => {
  const from = fixture('models/stories260K')
  await mkdir(path, { recursive: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await cp(join(from, name), join(path, name))
  const config = JSON.parse(await readFile(join(from, 'config.json'), 'utf8'))
  const scored = { ...config, architectures: ['LlamaForSequenceClassification'], num_labels: 1, pad_token_id: 0 }
  await writeFile(join(path, 'config.json'), JSON.stringify(scored))
  const { tensors } = await openSafetensors(await fileSource(join(from, 'model.safetensors')))
  const kept = [...tensors.values()]
    .filter(({ name }) => name !== 'lm_head.weight')
    .map((tensor) => ({ name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, data: () => tensor.bytes() }))
  const head = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i))
  const score = { name: 'score.weight', dtype: 'F32' as const, shape: [1, 64], data: () => head }
  await writeWhole(join(path, 'model.safetensors'), safetensorsChunks([...kept, score]))
}
