/** The settings of a run as people read them: named like flags, with values in words, and which of them are defaults. */
import type { RunInfo } from '../../runs/run.node.ts'
import { kebab } from '../../util/kebab.ts'
import { ratesOf } from './learningRates.ts'

/** learningRate -> --learning-rate */
export const flagOf = (key: string): string => `--${kebab(key)}`

/** yes, a.jsonl b.jsonl, prompt=question; nothing for a setting without a value. */
export const settingText = (value: unknown): string => {
  if (value === undefined || value === null) return ''
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.map(settingText).join(' ')
  // 0.00002 as 2e-5
  if (typeof value === 'number' && value > 0 && value < 1e-3) return value.toExponential()
  if (typeof value !== 'object') return String(value)
  return Object.entries(value)
    .map(([name, each]) => `${name}=${settingText(each)}`)
    .join(' ')
}

export type RunSetting = { key: string; value: unknown; usual: unknown; isDefault: boolean }

/** @param defaults of the method's schema */
export const settingsOf = (
  { method, config, adapter }: RunInfo,
  defaults: Readonly<Record<string, unknown>>,
): RunSetting[] => {
  const rate = ratesOf(method, adapter !== undefined)?.default
  return Object.entries(config)
    .filter(([key]) => key !== 'resume')
    .map(([key, value]) => {
      const usual = key === 'learningRate' ? rate : defaults[key]
      // Self-play has a list of rates
      return { key, value, usual, isDefault: settingText(value) === settingText(usual) }
    })
}
