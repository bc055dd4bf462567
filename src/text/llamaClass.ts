/**
 * transformers 5 does not run the tokenizer.json of a LlamaTokenizer as it stands: the class keeps vocabulary, merges
 * and post-processor and puts its own pipeline around them, in which the space marker goes before the first word of the
 * text only. Old files add it behind every special token too, so `<s>\n` is [1, 13] to one and [1, 29871, 13] to the
 * other. Models trained today are trained on the former; this is where attune follows.
 */
import type { Json, Shape } from './shape.ts'
import { shape } from './shape.ts'

/** The file as transformers 5 reads it; untouched for other classes, byte-level files and other families' models. */
export const asLlamaClass = (file: Shape, config: Shape | undefined, modelType: string | undefined): Shape => {
  const model = file.at('model')
  const isBpe = (model.optional('type')?.value ?? 'BPE') === 'BPE' && model.has('merges')
  if (!isLlamaClass(config, modelType) || !isBpe || isByteLevel(file)) return file
  const prefixed = config?.optional('add_prefix_space')?.flag() ?? true
  const legacy = config?.optional('legacy')?.flag() ?? false
  return shape(file.file, {
    ...file.record(),
    normalizer: null,
    pre_tokenizer: {
      type: 'Metaspace',
      replacement: '▁',
      prepend_scheme: prefixed ? (legacy ? 'always' : 'first') : 'never',
      split: false,
    },
    decoder: {
      type: 'Sequence',
      decoders: prefixed ? [...decoders, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : decoders,
    },
    model: { ...model.record(), fuse_unk: true, byte_fallback: true, ignore_merges: false },
  })
}

const decoders = [
  { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
]

/** Other model types that name this class (Phi-3, Mistral, ...) are read as their file says. */
export const isLlamaClass = (config: Shape | undefined, modelType: string | undefined): boolean => {
  const name = config?.optional('tokenizer_class')?.value
  return (
    (name === 'LlamaTokenizer' || name === 'LlamaTokenizerFast') && (modelType === undefined || modelType === 'llama')
  )
}

const isByteLevel = (file: Shape): boolean =>
  ['pre_tokenizer', 'decoder', 'normalizer'].some((key) => mentions(file.record()[key]))

const mentions = (part: unknown): boolean => {
  if (Array.isArray(part)) return part.some(mentions)
  if (typeof part !== 'object' || part === null) return false
  return (part as Json).type === 'ByteLevel' || Object.values(part).some(mentions)
}
