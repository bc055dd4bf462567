/** Opens a text model by a folder, a hub id, the name of a run, or the address of an OpenAI-compatible server. */
import { filesOf } from '../../checkpoint/folder.node.ts'
import { type EndpointOptions, isUrl, openEndpoint, splitUrl } from '../../endpoint/open.node.ts'
import { shareModel } from '../../generate/sharedModel.node.ts'
import { type OpenModelOptions, openModel } from '../../passes/open.node.ts'
import { badInput } from '../../util/fault.ts'
import { kebab } from '../../util/kebab.ts'
import { sha256Files } from '../../util/sha256.node.ts'
import type { Sharing } from '../../util/sharing.ts'
import { localTextModel } from './localModel.ts'
import { remoteTextModel } from './remoteModel.ts'
import type { TextModel } from './textModel.ts'

export type TextModelSettings = Omit<OpenModelOptions, 'model' | 'head'> &
  Omit<EndpointOptions, 'url' | 'model'> & {
    /** Name of the model on the server; also after `#` in the address. By default its only one. */
    modelName?: string
    /** Sequences that a local model decodes at once. */
    batchSize?: number
    /** Workers that may write what a local model says. */
    sharing?: Sharing
  }

/** What only a local model has. */
const localOnly = ['adapter', 'quantize', 'compute'] as const satisfies readonly (keyof TextModelSettings)[]

/**
 * @param spec a folder, a hub id, a run's name or folder; or an address `URL`, `URL#MODEL`
 * Faults: those of `openModel`, 'no-tokenizer'; those of `openEndpoint`; 'bad-flag' for a setting that the model cannot honour.
 */
export const openTextModel = async (spec: string, settings: TextModelSettings = {}): Promise<TextModel> => {
  if (isUrl(spec)) {
    const local = localOnly.find((key) => settings[key] !== undefined && !['none', 'fp32'].includes(settings[key]))
    if (local)
      throw badInput('bad-flag', `works only with local models, and ${spec} is a server`, { flag: `--${kebab(local)}` })
    if (settings.sharing)
      throw badInput('bad-flag', `shares out what this machine computes, and ${spec} is a server`, {
        flag: '--workers',
      })
    const { url, model } = splitUrl(spec)
    return remoteTextModel(await openEndpoint({ ...settings, url, model: settings.modelName ?? model }))
  }
  if (settings.modelName !== undefined)
    throw badInput('bad-flag', `names a model on a server, and ${spec} is a local one; leave it out`)
  const opened = await openModel({ ...settings, model: spec })
  const { model, tokenizer, generationConfig, dir, adapterDir, files, close } = opened
  const hashes = async () => sha256Files(await filesOf({ dir, adapter: adapterDir }, files))
  try {
    if (!tokenizer)
      throw badInput('no-tokenizer', 'has no tokenizer, and is to read text; give another model', { file: dir })
    const { quantize = 'none', compute = 'fp32', sharing, batchSize } = settings
    const share = sharing && shareModel(opened, { quantize, compute }, sharing).sampling
    return {
      ...localTextModel({ name: spec, model, tokenizer, generationConfig, batchSize, share }),
      identity: async () => [
        (await hashes()).map(({ sha256 }) => sha256),
        quantize,
        ...(compute === 'fp32' ? [] : [compute]),
      ],
      files: hashes,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
