/** The architectures that attune knows, by their name in config.json. */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Architecture, Config } from './architecture.ts'
import { bert, roberta } from './bert.ts'
import { debertaV2 } from './deberta.ts'
import { gemma, gemma2, gemma3 } from './gemma.ts'
import { gemma4 } from './gemma4.ts'
import { gpt2 } from './gpt2.ts'
import { gptOss } from './gptOss.ts'
import { lfm2 } from './lfm2.ts'
import { granite, llama, ministral3, mistral, qwen2, qwen3, smollm3 } from './llama.ts'
import { graniteMoe, mixtral, qwen3Moe } from './mixtures.ts'
import { olmo2, olmo3 } from './olmo.ts'
import { pairRanker } from './pairRanker.ts'
import { phi3 } from './phi3.ts'
import { qwen35 } from './qwen35.ts'
import { classifier } from './scored.ts'
import { refuseUnsupported } from './unsupported.ts'

/** The language model of each `model_type`, for files that name no architecture, or the bare model without a head. */
const byModelType: Readonly<Record<string, Architecture>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  gemma,
  gemma2,
  gemma3_text: gemma3,
  gemma4_text: gemma4,
  phi3,
  olmo2,
  olmo3,
  granite,
  ministral3,
  lfm2,
  qwen3_5_text: qwen35,
  mixtral,
  qwen3_moe: qwen3Moe,
  granitemoe: graniteMoe,
  gpt_oss: gptOss,
  gpt2,
}

/** The language models that are supported. */
export const architectures: readonly Architecture[] = Object.values(byModelType)

/** The encoder of each `model_type`, whatever head its file was saved with. */
const encoderOf: Readonly<Record<string, Architecture>> = { bert, roberta, 'deberta-v2': debertaV2 }

/** The encoders that are supported. */
export const encoders: readonly Architecture[] = Object.values(encoderOf)
const rankers = encoders.map(pairRanker)

/** BertModel, BertForMaskedLM: the encoder, with or without a head that is not used. */
const isWithHead = ({ name }: Architecture, of: string) => {
  const family = name.replace(/Model$/, '')
  return of === name || (of.startsWith(`${family}For`) && !of.endsWith('ForCausalLM'))
}

const encoderNamed = (names: readonly string[], model_type: string): Architecture | undefined => {
  const own = Object.hasOwn(encoderOf, model_type) ? encoderOf[model_type] : undefined
  if (own && names.length === 0) return own
  return [...rankers.filter(({ name }) => names.includes(name)), ...encoders].find((each) =>
    each.pairs ? true : names.some((name) => isWithHead(each, name)),
  )
}

/** LlamaModel, Gemma3TextModel: what transformers saves of a model without its head. */
const isBare = (name: string) => /^\w+Model$/.test(name) && !name.endsWith('LMHeadModel')

/** Throws Faults: 'architecture' for one that is not in the list, 'bad-config' for a setting that is not supported. */
export const architectureOf = (config: Config, file: string): Architecture => {
  const formOf = (architecture: Architecture) => architecture.formOf?.(config) ?? architecture
  const forms = architectures.map(formOf)
  const scored = forms.map(classifier)
  const { architectures: names, model_type } = config
  const bare =
    names.every(isBare) && Object.hasOwn(byModelType, model_type) ? formOf(byModelType[model_type]) : undefined
  const found =
    [...forms, ...scored].find(({ name }) => names.includes(name)) ?? encoderNamed(names, model_type) ?? bare
  if (found) {
    refuseUnsupported(found, config, file)
    return found
  }
  if (names.length === 0)
    throw badInput(
      'architecture',
      `names no architecture, and of model_type ${quoted(model_type)} attune knows none; it knows ${[...Object.keys(byModelType), ...Object.keys(encoderOf)].join(', ')}`,
      { file },
    )
  const isScored = names.some((name) => name.endsWith('ForSequenceClassification'))
  const known = (isScored ? scored : [...architectures, ...encoders, ...rankers]).map(({ name }) => name).join(', ')
  throw badInput(
    'architecture',
    `${names.map((name) => quoted(name)).join(', ')} is not supported; attune knows ${known}`,
    { file },
  )
}
