/** A model in a program: generate, chat, score, embed, count tokens. */
import { encodePrompt } from '../data/examples.ts'
import { rowReader } from '../data/formats.ts'
import type { Message } from '../data/messages.ts'
import type { Row } from '../data/rows.ts'
import { endIds } from '../generate/generate.ts'
import { worthPacking } from '../generate/memory.node.ts'
import { checkPrompt, openScheduler, type Scheduler } from '../generate/scheduler.ts'
import { score } from '../generate/score.ts'
import type { FinishReason } from '../generate/sequence.ts'
import { idsOnly } from '../generate/tokenization.node.ts'
import { embeddingsOf, type Pooling } from '../passes/embeddings.ts'
import type { Compute } from '../passes/int8.ts'
import { type OpenedModel, openModel } from '../passes/open.node.ts'
import type { Quantize } from '../passes/quantize.ts'
import { type Reward, rewardsOf } from '../passes/scores.ts'
import { atPlace, badInput, Fault, runFailure, withNote } from '../util/fault.ts'
import { makeResources, type Resources } from '../util/resources.ts'
import { checked, faultInSettings, inWordsOfSettings } from './given.ts'
import type { RowText, SftRow } from './rows.ts'
import { makeRun, type Run } from './run.ts'
import { generateSchema, samplingOptions } from './sampling.ts'
import { rewardInput, scoreInput } from './scoreInputs.ts'
import type { GenerateOptions } from './settings.ts'

/** What `load` opens: a folder, a hub id, a run, a PEFT adapter that names its base, or the result of a training run. */
export type ModelName = string | { readonly model: string }

/** How `load` and `loadRewardModel` open a model. */
export type LoadOptions = {
  /** A PEFT adapter of that model, or a run that trained one (default: that of the run which `model` names). */
  adapter?: string
  /** The device to compute on (default: auto). */
  device?: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  /** CPU threads (default: one a core); they do not change any result. */
  threads?: number
  /** Quantize the weights of the layers' linear modules to 8 or 4 bits while the model is loaded (default: none). */
  quantize?: Quantize
  /**
   * How the products of those modules are computed: in fp32, or in 8-bit numbers, which is faster on most processors: exactly
   * (int8), or with inputs rounded as well (int8-fast) (default: fp32).
   */
  compute?: Compute
  /** Called with bytes fetched from the hub, then with tensors read. */
  onProgress?: (progress: { phase: 'download' | 'load'; done: number; total: number }) => void
}

/** A completion. */
export type Completion = {
  /** The text, without the end token or the text of `stop` that ended it. */
  text: string
  /** Generated tokens, the end token included. */
  ids: number[]
  /** Of each token, by the model's own distribution (temperature 1, nothing removed), in nats. */
  logps: number[]
  /** An end token, a text of `stop`, or `maxNewTokens`. */
  finishReason: FinishReason
}

/** Iterate over the pieces of the text as they are made, or await the whole. */
export type Generation = Run<string, Completion>

/** How likely a model finds a text, in nats. */
export type Score = {
  /** The sum over its tokens. */
  logp: number
  /** How many tokens are counted. */
  tokens: number
  /** The log-probability of each of them, in order. */
  tokenLogps: number[]
}

/** How `embed` makes one vector of a text. */
export type EmbedOptions = {
  /** The mean over the tokens of a text, or the state of its last token, which alone has read all of it (default: mean). */
  pooling?: Pooling
  /** Divide each vector by its length, so that a dot product is the cosine (default: true). */
  normalize?: boolean
}

type OneOrMany<In, Out> = {
  (item: In): Promise<Out>
  (items: readonly In[]): Promise<Out[]>
}

type Common = {
  /** Such as LlamaForCausalLM. */
  readonly architecture: string
  /** The longest text in tokens, prompt and completion together. */
  readonly context: number
  /**
   * The last hidden states of a text after the final norm, as one vector of `hidden_size` numbers. A text has the tokens that
   * the tokenizer puts before it.
   */
  embed: {
    (text: string, options?: EmbedOptions): Promise<Float32Array>
    (texts: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>
  }
  /** The tokens of a text, with the special tokens that the tokenizer adds. */
  tokenize(text: string): { ids: number[]; tokens: string[] }
  /** The number of tokens that a prompt has, as text or as messages under the chat template. */
  count(prompt: RowText): number
  /** Ends the engine. `await using` calls it too. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A model that writes, as `load` opens it. Close it at the end: it holds a thread and its weights. */
export type LanguageModel = Common & {
  /**
   * Completes a text, messages or token ids. Completions that are asked for at the same time are decoded together; each
   * depends on its own prompt, options and seed alone.
   */
  generate(prompt: RowText, options?: GenerateOptions & { signal?: AbortSignal }): Generation
  /** Answers a user's message, or the last of several messages, by the chat template of the model. */
  chat(messages: string | readonly Message[], options?: GenerateOptions & { signal?: AbortSignal }): Generation
  /** Log-probabilities: of rows with a prompt those of the completion, of others those of the whole text. */
  score: OneOrMany<SftRow, Score>
}

/** A model that gives scores, as `loadRewardModel` opens it. Close it at the end: it holds a thread and its weights. */
export type RewardModel = Common & {
  /** Rewards. A probabilistic reward model gives the expected score, its standard deviation and the distribution. */
  score: OneOrMany<SftRow, Reward>
}

const nameOf = (name: ModelName): string => (typeof name === 'string' ? name : name.model)

export const loadLanguageModel = (name: ModelName, options: LoadOptions = {}): Promise<LanguageModel> =>
  inWordsOfSettings(async () => {
    const opened = await openModel({ ...options, model: nameOf(name) }).catch((error) => {
      const isReward = error instanceof Fault && error.code === 'no-language-head'
      throw isReward ? withNote(error, '; open it with loadRewardModel') : error
    })
    const use = lifetime(opened)
    return { ...common(opened, use), ...generation(opened, use), score: scorer(opened, use) }
  })

export const loadRewardModel = (name: ModelName, options: LoadOptions = {}): Promise<RewardModel> =>
  inWordsOfSettings(async () => {
    const opened = await openModel({ ...options, model: nameOf(name), head: 'scores' })
    const use = lifetime(opened)
    return { ...common(opened, use), score: rewarder(opened, use) }
  })

const encoderOf = ({ tokenizer, dir }: OpenedModel) => tokenizer ?? idsOnly(dir)

/** How long a model can be used. */
type Lifetime = Resources & {
  /** Throws a Fault 'closed'. */
  requireOpen(): void
}

const lifetime = (opened: OpenedModel): Lifetime => {
  const { own, close } = makeResources()
  own(opened)
  let closing: Promise<void> | undefined
  return {
    own,
    close: () => (closing ??= close()),
    requireOpen() {
      if (closing) throw runFailure('closed', 'the model is closed')
    },
  }
}

const common = (opened: OpenedModel, { close, requireOpen }: Lifetime): Common => {
  const { model } = opened
  const encoder = encoderOf(opened)
  const embedAll = (texts: readonly string[], { pooling = 'mean', normalize = true }: EmbedOptions = {}) =>
    inWordsOfSettings(async () => {
      requireOpen()
      const ids = texts.map((text, row) => {
        const made = encodePrompt(encoder, text)
        checkPrompt(model, made, { row })
        return made
      })
      return embeddingsOf(model, ids, { pooling, normalize })
    })
  return {
    architecture: model.architecture.name,
    context: model.config.max_position_embeddings,
    embed: (async (texts: string | readonly string[], options?: EmbedOptions) =>
      typeof texts === 'string' ? (await embedAll([texts], options))[0] : embedAll(texts, options)) as Common['embed'],
    tokenize(text) {
      const { tokenizer, dir } = opened
      if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer', { file: dir })
      const { ids, tokens } = tokenizer.encode(text)
      return { ids, tokens }
    },
    count: (prompt) => encodePrompt(encoder, prompt).length,
    close,
    [Symbol.asyncDispose]: close,
  }
}

// Completions

type Asked = GenerateOptions & { signal?: AbortSignal }

const generation = (opened: OpenedModel, { own, requireOpen }: Lifetime): Pick<LanguageModel, 'generate' | 'chat'> => {
  const { model, tokenizer, dir, generationConfig } = opened
  const encoder = encoderOf(opened)
  const eosIds = endIds(model.config.raw, generationConfig, tokenizer?.eosId)
  let scheduler: Scheduler | undefined
  /** Copies of the weights are made for the first completion, and only then. */
  const open = () => {
    requireOpen()
    return (scheduler ??= own(
      openScheduler(model, tokenizer, { packed: worthPacking(model, Number.POSITIVE_INFINITY) }),
    ))
  }
  async function* pieces(prompt: RowText, { signal, ...given }: Asked): AsyncGenerator<string, Completion> {
    try {
      const settings = checked(generateSchema, given, 'generate()')
      const options = { ...settings, ...samplingOptions(settings, encoder, model.config.vocab_size), eosIds }
      const whole: Completion = { text: '', ids: [], logps: [], finishReason: 'length' }
      const request = { prompt: encodePrompt(encoder, prompt), options, signal }
      for await (const { text, ids, logps, finishReason = whole.finishReason } of open().submit(request)) {
        whole.text += text
        whole.ids.push(...ids)
        whole.logps.push(...logps)
        whole.finishReason = finishReason
        if (text) yield text
      }
      return whole
    } catch (error) {
      throw faultInSettings(error)
    }
  }
  const generate = (prompt: RowText, options: Asked = {}): Generation => makeRun(() => pieces(prompt, options))
  return {
    generate,
    chat(messages: string | readonly Message[], options?: Asked): Generation {
      if (!tokenizer?.chat)
        throw badInput('no-template', 'has no chat template; use generate() with a text, or another model', {
          file: dir,
        })
      return generate(typeof messages === 'string' ? [{ role: 'user', content: messages }] : [...messages], options)
    },
  }
}

// Scores

/** A row of a program, read as the row of a file. */
const readRow = (record: object, row: number): Row => {
  const made = rowReader('score()', 'rows').read({ value: record, row, line: row + 1 }).rows[0]
  if (made) return made
  throw badInput('bad-row', 'holds nothing to score', { row })
}

const limitsOf = ({ model: { config } }: OpenedModel) => ({
  positions: config.max_position_embeddings,
  vocabulary: config.vocab_size,
})

/** A function of one row or of several from one of several. */
const oneOrMany = <In extends object, Out>(all: (rows: readonly In[]) => Promise<Out[]>): OneOrMany<In, Out> =>
  ((rows: In | readonly In[]) =>
    inWordsOfSettings(async () => (Array.isArray(rows) ? all(rows) : (await all([rows as In]))[0]))) as OneOrMany<
    In,
    Out
  >

const scorer = (opened: OpenedModel, { requireOpen }: Lifetime): LanguageModel['score'] =>
  oneOrMany(async (rows) => {
    requireOpen()
    const options = { completionOnly: true, assistantOnly: false }
    const inputs = rows.map((record, row) =>
      atPlace({ row }, () => scoreInput(encoderOf(opened), readRow(record, row), limitsOf(opened), options)),
    )
    const scores: Score[] = []
    for await (const tokenLogps of score(opened.model, inputs))
      scores.push({ logp: tokenLogps.reduce((a, b) => a + b, 0), tokens: tokenLogps.length, tokenLogps })
    return scores
  })

const rewarder = (opened: OpenedModel, { requireOpen }: Lifetime): RewardModel['score'] =>
  oneOrMany(async (rows) => {
    requireOpen()
    const trees = rows.map((record, row) =>
      atPlace({ row }, () => rewardInput(encoderOf(opened), readRow(record, row), limitsOf(opened))),
    )
    return (await rewardsOf(opened.model, trees)).map(([reward]) => reward)
  })
