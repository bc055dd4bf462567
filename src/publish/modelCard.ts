/**
 * The model card (README.md) of an uploaded result, from what its run folder holds: what another needs to repeat the run, and
 * nothing of this machine: file names without their folders, no rows, no paths.
 */
import { basename } from 'node:path'
import { stringify } from 'yaml'
import { repoOfPath } from '../checkpoint/hubRepo.node.ts'
import { givenName } from '../runs/modelName.node.ts'
import type { RunInfo } from '../runs/run.node.ts'

export type CardFacts = {
  /** owner/name */
  name: string
  kind: 'model' | 'adapter'
  info: RunInfo
  /** Of the weights that are uploaded. */
  step: number
  /** Which step that is, where the run went on after it. */
  best?: string
  metrics: Readonly<Record<string, number>>
  evalMetrics: Readonly<Record<string, number>>
}

export const modelCard = ({ name, kind, info, step, best, metrics, evalMetrics }: CardFacts): string => {
  const files = info.data_files?.map(({ path }) => path) ?? []
  const { text: base, repo } = baseOf(info)
  const datasets = distinct(files.map(repoOfPath))
  const head = {
    library_name: kind === 'adapter' ? 'peft' : 'transformers',
    pipeline_tag: 'text-generation',
    ...(repo && { base_model: repo }),
    ...(datasets.length && { datasets }),
    tags: ['attune', info.method, ...(kind === 'adapter' ? ['lora'] : [])],
  }
  const what = kind === 'adapter' ? 'A PEFT adapter for' : 'A model trained from'
  const rows = Object.entries({ ...metrics, ...evalMetrics }).map(([key, value]) => [key, Number(value.toPrecision(5))])
  return [
    `---\n${stringify(head)}---`,
    `# ${name.split('/')[1]}`,
    `${what} ${base}, made with \`attune ${info.method}\` (attune ${info.versions.attune}) in ${step} steps.${best ? ` The weights are those of ${best}.` : ''}`,
    '## Data',
    distinct(files.map((path) => `- ${quoted([repoOfPath(path), basename(path)].filter(Boolean).join(': '))}`)).join(
      '\n',
    ),
    '## Settings',
    table(['setting', 'value'], settingsOf(info)),
    '## Metrics',
    table(['metric', `at step ${step}`], rows),
  ]
    .join('\n\n')
    .concat('\n')
}

const baseOf = ({ config, places, model_files }: RunInfo): { text: string; repo?: string } => {
  const repo = model_files?.map(({ path }) => repoOfPath(path)).find(Boolean)
  return repo
    ? { text: `[${repo}](https://huggingface.co/${repo})`, repo }
    : { text: quoted(givenName({ config, places })) }
}

/** Settings that say where files lie or how fast the run was computed, which are left out. */
const localSettings: ReadonlySet<string> = new Set([
  'model',
  'adapter',
  'data',
  'evalData',
  'column',
  'output',
  'resume',
  'saveEvery',
  'keep',
  'logEvery',
  'pushToHub',
  'reportTo',
  'device',
  'threads',
  'memory',
  'evalEvery',
])

const settingsOf = ({ config }: RunInfo): string[][] =>
  Object.entries(config)
    .filter(([key, value]) => !localSettings.has(key) && (typeof value !== 'object' || Object.keys(value ?? {}).length))
    .filter(([key]) => !key.startsWith('lora') || config.loraR !== undefined)
    .map(([key, value]) => [key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), textOf(value)])

const textOf = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

const quoted = (text: string) => `\`${text.replace(/[`\n\r]/g, ' ')}\``

const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => String(cell).replace(/[|\n\r]/g, ' ')).join(' | ')} |`)
    .join('\n')

const distinct = (texts: readonly (string | undefined)[]): string[] => [
  ...new Set(texts.filter((text) => text !== undefined)),
]
