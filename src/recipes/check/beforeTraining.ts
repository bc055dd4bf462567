/**
 * What a training command says of its rows before the first step: it refuses rows that nothing can be learnt from, and warns of
 * everything else that `attune check` calls ruin, since whoever trains may mean it.
 */
import type { WarningEvent } from '../../runs/events.ts'
import type { ExampleStream } from '../../train/stream.ts'
import { badInput, type Where } from '../../util/fault.ts'
import { plural, whole } from '../../util/format.ts'
import { type Finding, isRuin } from './findings.ts'
import type { LookOptions, RowChecks } from './rowChecks.ts'

/** Rows that are looked at closely, about: more would tell no more of the whole, and cost time. */
const closeRows = 500

/** How a training command looks at its rows. */
export const closeLook = ({ train, evalRows }: { train: Lengthy; evalRows?: Lengthy }): LookOptions => ({
  every: Math.max(1, Math.floor(train.length / closeRows)),
  holdsOut: evalRows !== undefined,
})
type Lengthy = { length: number }

/** Findings that end a run of any method, and of some. */
const refused: Readonly<Record<string, readonly string[] | 'all'>> = {
  'equal-replies': 'all',
  'all-good': 'all',
  'all-bad': 'all',
  // Losses on pairs still learn from the beginnings of cut responses
  'cut-stop': ['sft'],
}

/** Findings that ruin no run, but change what the model is trained to be. */
const warned = ['plain-text-for-chat-model']

/**
 * Throws the Fault of the first finding that no run should begin with: exit code 2, before anything is written.
 * @returns warnings of the others that would ruin the run or change what it is for, but for those that the stream's own warnings tell
 */
export const checkedBefore = (
  { findings, method }: Pick<RowChecks, 'findings' | 'method'>,
  stream: Pick<ExampleStream<never>, 'found'>,
): WarningEvent[] => {
  const found = findings()
  const ruins = found.filter(isRuin)
  const useless = ruins.find(({ code }) => {
    const methods = refused[code] ?? []
    return methods === 'all' || methods.includes(method)
  })
  if (useless)
    throw badInput(useless.code, `${textOf(useless)}; attune check shows such rows token by token`, useless.first)
  const { odd, dropped } = stream.found()
  return [...ruins, ...found.filter(({ code }) => warned.includes(code))]
    .filter(({ code }) => !(code in odd || code in dropped))
    .map((finding) => ({
      event: 'warning',
      code: finding.code,
      message: `${textOf(finding)}${finding.first ? `; the first: ${placeText(finding.first)}` : ''}`,
    }))
}

const textOf = ({ count, of, message, advice }: Finding): string =>
  `${whole(count)} of ${plural(of, 'row')} looked at: ${message}; ${advice}`

const placeText = ({ file, line, row }: Where): string =>
  [file, line !== undefined && `line ${line}`, row !== undefined && `row ${row}`].filter(Boolean).join(', ')
