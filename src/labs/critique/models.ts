/** The model that writes and the one that judges it. Of local models only one is open at a time. */
import type { Spent } from '../../endpoint/client.ts'
import { isUrl } from '../../endpoint/open.node.ts'
import type { Form } from '../../feedback/constitution/dialogue.ts'
import { openTextModel, type TextModelSettings } from '../../feedback/textModel/openTextModel.ts'
import type { TextModel } from '../../feedback/textModel/textModel.ts'
import { sum } from '../../statistics/summary.ts'
import { badInput } from '../../util/fault.ts'
import type { CritiqueSettings } from './settings.ts'

export type AskedModel = {
  name: string
  form: Form
  /** Equal for models that write the same: what their texts are kept by. */
  identity: unknown
  /** Opens it, or gives it as it is open already. */
  open(): Promise<TextModel>
}

export type AskedModels = {
  model: AskedModel
  /** The same as `model` where no other was given. */
  judge: AskedModel
  /** Of all calls so far; undefined where no server was asked. */
  spent(): Spent | undefined
  close(): Promise<void>
}

/**
 * Opens both once, so that mistakes are found before anything is asked. Throws Faults of `openTextModel`, and 'no-template'
 * for --chat where a model has none.
 */
export const openModels = async (settings: CritiqueSettings): Promise<AskedModels> => {
  const { model, adapter, modelName, judge, judgeModel } = settings
  const servers = new Map<string, TextModel>()
  let local: { key: string; opened: TextModel } | undefined
  const close = async () => {
    await local?.opened.close()
    local = undefined
  }
  const opener = (spec: string, name?: string, adapter?: string) => {
    const key = keyOf(spec, name, adapter)
    return async () => {
      const found = servers.get(key) ?? (local?.key === key ? local.opened : undefined)
      if (found) return found
      if (!isUrl(spec)) await close()
      const opened = await openTextModel(spec, { ...textModelSettings(settings, spec), modelName: name, adapter })
      if (opened.remote) servers.set(key, opened)
      else local = { key, opened }
      return opened
    }
  }
  const asked = async (open: () => Promise<TextModel>): Promise<AskedModel> => {
    const { name, chat, identity } = await open()
    if (settings.chat && !chat)
      throw badInput('no-template', `needs a chat template, and ${name} has none; leave it out, or take a chat model`, {
        flag: '--chat',
      })
    return { name, form: (settings.chat ?? chat) ? 'chat' : 'text', identity: await identity(), open }
  }
  try {
    // The model last: it is the first to be asked, and stays open until then
    if (judge === undefined && judgeModel !== undefined)
      throw badInput('bad-flag', 'names the model of a judge; give --judge too', { flag: '--judge-model' })
    const isOther = judge !== undefined && keyOf(judge, judgeModel) !== keyOf(model, modelName, adapter)
    const other = isOther ? await asked(opener(judge, judgeModel)) : undefined
    const own = await asked(opener(model, modelName, adapter))
    return {
      model: own,
      judge: other ?? own,
      spent: () => sumOf([...servers.values()].map(({ spent }) => spent)),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

const keyOf = (spec: string, name?: string, adapter?: string) => JSON.stringify([spec, name, adapter])

/** A judge behind a server is not given what only a local model takes. */
const textModelSettings = (settings: CritiqueSettings, spec: string): TextModelSettings => {
  const { device, threads, batchSize, quantize, keyEnv, concurrency, timeout, retries, price, onRetry } = settings
  const takesQuantize = !isUrl(spec) || spec === settings.model
  return {
    ...{ device, threads, batchSize, keyEnv, concurrency, timeout, retries, price, onRetry },
    ...(takesQuantize && { quantize }),
  }
}

const sumOf = (servers: readonly Readonly<Spent>[]): Spent | undefined => {
  if (!servers.length) return undefined
  const total = (of: (spent: Readonly<Spent>) => number) => sum(servers.map(of))
  const priced = servers.every(({ cost }) => cost !== undefined)
  return {
    asked: total(({ asked }) => asked),
    cached: total(({ cached }) => cached),
    retries: total(({ retries }) => retries),
    promptTokens: total(({ promptTokens }) => promptTokens),
    completionTokens: total(({ completionTokens }) => completionTokens),
    uncounted: total(({ uncounted }) => uncounted),
    ...(priced && { cost: total(({ cost }) => cost!) }),
  }
}
